import math

import pytest
import torch

from pan3d_core.evaluation.panoptic_quality import panoptic_quality
from pan3d_core.labels import LabelSpace

LABELS = LabelSpace(("floor", "mug", "can"), (False, True, True))


def maps(*spans: tuple[int, int, int, int], length: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """(semantic, instance) with spans (start, stop, class, id); everything else is floor."""
    semantic, instance = torch.zeros(length, dtype=torch.int64), torch.zeros(length, dtype=torch.int64)
    for start, stop, class_id, instance_id in spans:
        semantic[start:stop], instance[start:stop] = class_id, instance_id
    return semantic, instance


def test_perfect_is_one_whatever_the_ids():
    truth = maps((0, 20, 1, 1), (20, 40, 1, 2), (60, 80, 2, 3))
    swapped = maps((0, 20, 1, 9), (20, 40, 1, 4), (60, 80, 2, 1))
    quality = panoptic_quality(swapped, truth, LABELS)
    assert (quality.pq, quality.sq, quality.rq) == (1.0, 1.0, 1.0)


def test_known_answer():
    # Mug: IoU 16/20 = 0.8, one match. Can: predicted elsewhere: one missed, one spurious. Floor: 44 of 56 + 10 + ... below.
    truth = maps((0, 20, 1, 1), (60, 80, 2, 2))
    predicted = maps((0, 16, 1, 1), (40, 60, 2, 2))
    quality = panoptic_quality(predicted, truth, LABELS)
    assert quality.per_class[1] == pytest.approx((0.8, 0.8, 1.0))
    assert quality.per_class[2] == (0.0, 0.0, 0.0)
    floor_iou = 40 / (64 + 60 - 40)  # predicted floor 64, true floor 60, common 40
    assert floor_iou < 0.5 and quality.per_class[0] == (0.0, 0.0, 0.0)
    assert quality.pq == pytest.approx(0.8 / 3)


def test_a_class_that_was_not_found_counts_unless_small_shares_are_forgiven():
    truth, predicted = maps((0, 40, 1, 1)), maps()
    assert panoptic_quality(predicted, truth, LABELS).per_class[1] == (0.0, 0.0, 0.0)
    forgiving = panoptic_quality(predicted, truth, LABELS, min_share=0.005)
    assert 1 not in forgiving.per_class


def test_void_truth_is_not_held_against_a_segment():
    truth, predicted = maps((0, 20, 1, 1)), maps((0, 20, 1, 1), (30, 50, 2, 2))
    truth[0][30:50] = -1
    assert panoptic_quality(predicted, truth, LABELS).pq == 1.0


def test_nothing_to_measure_is_undefined_and_shapes_are_checked():
    nothing = torch.full((10,), -1), torch.zeros(10, dtype=torch.int64)
    assert math.isnan(panoptic_quality(nothing, nothing, LABELS).pq)
    with pytest.raises(ValueError, match="one shape for all four maps"):
        panoptic_quality(maps(length=90), maps(), LABELS)
