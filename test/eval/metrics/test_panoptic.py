import math

import pytest
import torch

from pan3d_core.labels import LabelSpace
from pan3d_eval.metrics.panoptic import average_quality, coco_panoptic_counts, panoptic_quality

LABELS = LabelSpace(("floor", "mug", "can"), (False, True, True))


def maps(*spans: tuple[int, int, int, int], length: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """(semantic, instance) with spans (start, stop, class, id); everything else is floor."""
    semantic, instance = torch.zeros(length, dtype=torch.int64), torch.zeros(length, dtype=torch.int64)
    for start, stop, class_id, instance_id in spans:
        semantic[start:stop], instance[start:stop] = class_id, instance_id
    return semantic, instance


def coco(predicted, truth, crowd=None):
    return average_quality(coco_panoptic_counts(predicted, truth, len(LABELS), crowd))


def test_perfect_is_one_whatever_the_ids():
    truth = maps((0, 20, 1, 1), (20, 40, 1, 2), (60, 80, 2, 3))
    swapped = maps((0, 20, 1, 9), (20, 40, 1, 4), (60, 80, 2, 1))
    for quality in (panoptic_quality(swapped, truth, LABELS), coco(swapped, truth)):
        assert (quality.pq, quality.sq, quality.rq) == (1.0, 1.0, 1.0)


def test_known_answer():
    # Mug: IoU 16/20 = 0.8, one match. Can: predicted elsewhere: one missed, one spurious.
    truth = maps((0, 20, 1, 1), (60, 80, 2, 2))
    predicted = maps((0, 16, 1, 1), (40, 60, 2, 2))
    floor_iou = 40 / (64 + 60 - 40)  # predicted floor 64, true floor 60, common 40
    assert floor_iou < 0.5
    for quality in (panoptic_quality(predicted, truth, LABELS), coco(predicted, truth)):
        assert quality.per_class[1] == pytest.approx((0.8, 0.8, 1.0))
        assert quality.per_class[2] == (0.0, 0.0, 0.0) and quality.per_class[0] == (0.0, 0.0, 0.0)
        assert (quality.pq, quality.sq, quality.rq) == pytest.approx((0.8 / 3, 0.8 / 3, 1 / 3))


def test_small_shares_are_forgiven_on_request_but_not_what_was_not_found_at_all():
    truth = maps((0, 40, 1, 1), (50, 53, 2, 2))  # the can has 3 %
    absent = panoptic_quality(maps((0, 40, 1, 1)), truth, LABELS, min_share=0.02)
    assert absent.per_class[2] == (0.0, 0.0, 0.0)
    elsewhere = maps((0, 40, 1, 1), (70, 71, 2, 2))  # 1 % of the prediction
    assert 2 not in panoptic_quality(elsewhere, truth, LABELS, min_share=0.02).per_class
    assert panoptic_quality(elsewhere, truth, LABELS).per_class[2] == (0.0, 0.0, 0.0)
    assert 2 not in panoptic_quality(truth, truth, LABELS, min_share=0.05).per_class


def test_ids_must_hold_through_the_views_of_a_scene_but_not_between_images():
    truth = tuple(torch.stack([item, item]) for item in maps((0, 20, 1, 1)))
    other_id = tuple(torch.stack(pair) for pair in zip(maps((0, 20, 1, 1)), maps((0, 20, 1, 2)), strict=True))
    assert panoptic_quality(other_id, truth, LABELS).per_class[1] == (0.0, 0.0, 0.0)  # IoU 1/2 twice
    counts = [coco_panoptic_counts(*[tuple(i[k] for i in pair) for pair in (other_id, truth)], len(LABELS)) for k in (0, 1)]
    assert average_quality(counts[0] + counts[1]).pq == 1.0


def test_void_truth_is_not_held_against_a_segment():
    truth, predicted = maps((0, 20, 1, 1)), maps((0, 20, 1, 1), (30, 50, 2, 2))
    truth[0][30:50] = -1
    assert panoptic_quality(predicted, truth, LABELS).pq == 1.0
    assert coco(predicted, truth).pq == 1.0
    wider = maps((0, 20, 1, 1), (29, 50, 2, 2))  # still mostly on void; one pixel of floor lost
    assert coco(wider, truth).per_class.keys() == {0, 1}


def test_void_prediction_is_forgiven_per_scene_and_held_against_it_per_image():
    truth = maps((0, 20, 1, 1))
    predicted = maps((12, 20, 1, 1))
    predicted[0][:12] = -1
    assert panoptic_quality(predicted, truth, LABELS).per_class[1] == (1.0, 1.0, 1.0)
    assert coco(predicted, truth).per_class[1] == (0.0, 0.0, 0.0)  # IoU 8/20
    predicted[0][12:20] = -1
    assert panoptic_quality(predicted, truth, LABELS).per_class[1] == (0.0, 0.0, 0.0)
    assert panoptic_quality(predicted, truth, LABELS).per_class[0] == (1.0, 1.0, 1.0)


def test_crowd_is_not_missed_and_excuses_predictions_of_its_class():
    truth = maps((0, 20, 1, 1), (40, 70, 1, 2))
    crowd = torch.zeros(100, dtype=torch.bool)
    crowd[40:70] = True
    excused, other_class = maps((0, 20, 1, 1), (40, 50, 1, 2)), maps((0, 20, 1, 1), (40, 50, 2, 2))
    assert coco(maps((0, 20, 1, 1)), truth, crowd).per_class[1] == (1.0, 1.0, 1.0)
    assert coco(excused, truth, crowd).per_class[1] == (1.0, 1.0, 1.0)
    assert coco(other_class, truth, crowd).per_class[2] == (0.0, 0.0, 0.0)
    whole = maps((0, 20, 1, 1), (40, 70, 1, 2))
    assert coco(whole, truth, crowd).per_class[1] == (1.0, 1.0, 1.0)  # no second hit
    assert coco(whole, truth).per_class[1] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_renaming_ids_has_no_influence_and_splitting_a_segment_gains_nothing(seed):
    generator = torch.Generator().manual_seed(seed)
    semantic = torch.randint(0, 3, (12,), generator=generator).repeat_interleave(10)
    truth = semantic, torch.arange(12).repeat_interleave(10) % 5
    noise = torch.rand(120, generator=generator) < 0.2
    predicted = torch.where(noise, torch.randint(0, 3, (120,), generator=generator), truth[0]), truth[1].clone()
    names = torch.randperm(50, generator=generator)
    renamed = predicted[0], names[predicted[1]]
    split = predicted[0], torch.where(torch.arange(120) % 2 == 0, predicted[1], predicted[1] + 20)
    for measure in (lambda *pair: panoptic_quality(*pair, LABELS), coco):
        quality = measure(predicted, truth)
        assert measure(renamed, truth).pq == pytest.approx(quality.pq)
        assert measure(split, truth).pq <= quality.pq + 1e-12


def test_nothing_to_measure_is_undefined_and_nothing_predicted_is_zero():
    nothing = torch.full((100,), -1), torch.zeros(100, dtype=torch.int64)
    for measure in (lambda *pair: panoptic_quality(*pair, LABELS), coco):
        assert math.isnan(measure(nothing, nothing).pq)
        assert measure(nothing, maps((0, 20, 1, 1))).pq == 0.0
    assert math.isnan(coco(maps(), nothing).pq)  # all on void


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="one shape for all four maps"):
        panoptic_quality(maps(length=90), maps(), LABELS)
    with pytest.raises(ValueError, match="one shape for all four maps"):
        coco(maps(length=90), maps())
    negative = maps((0, 20, 1, -3))
    with pytest.raises(ValueError, match="instance_id: expected 0.."):
        coco(negative, maps())
