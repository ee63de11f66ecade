"""Known answers of instance AP, computed by hand from the benchmark's rules."""

import math

import pytest
import torch

from pan3d_eval.metrics.average_precision import instance_ap, measure_overlaps


def strip(*spans: tuple[int, int], length: int = 100) -> torch.Tensor:
    """(len(spans), length) bool masks, each true on its half-open span."""
    masks = torch.zeros(len(spans), length, dtype=torch.bool)
    for row, (start, stop) in enumerate(spans):
        masks[row, start:stop] = True
    return masks


def truth(*spans: tuple[int, int], length: int = 100) -> torch.Tensor:
    ids = torch.zeros(length, dtype=torch.int64)
    for index, (start, stop) in enumerate(spans):
        ids[start:stop] = index + 1
    return ids


def score(masks, scores, ids, **options):
    overlaps = measure_overlaps(masks, torch.tensor(scores), ids, min_points=1, **options)
    return instance_ap([overlaps], min_points=1)


def test_perfect_prediction_is_one_whatever_the_ids_are_called():
    masks = strip((0, 20), (20, 50), (60, 70))
    for ids in (truth((0, 20), (20, 50), (60, 70)), truth((60, 70), (0, 20), (20, 50))):
        result = score(masks, [0.4, 0.9, 0.2], ids)
        assert (result.ap, result.ap50, result.ap25) == pytest.approx((1.0, 1.0, 1.0))
        assert result.num_true == result.num_predicted == 3


def test_nothing_predicted_is_zero_and_nothing_to_find_is_undefined():
    empty = torch.zeros(0, 100, dtype=torch.bool)
    assert score(empty, [], truth((0, 20))).ap50 == 0.0
    assert math.isnan(score(strip((0, 20)), [0.5], truth()).ap50)
    assert math.isnan(instance_ap([]).ap)


def test_false_positive_between_two_hits_costs_what_the_half_step_rule_says():
    result = score(strip((0, 20), (80, 90), (20, 40)), [0.9, 0.8, 0.7], truth((0, 20), (20, 40)))
    # Recall/precision from the lowest score: (1, 2/3), (1/2, 1/2), (1/2, 1), (0, 1), each with a step of 1/4.
    assert result.ap50 == pytest.approx(0.25 * (2 / 3 + 1 / 2 + 1 + 1))


def test_second_mask_on_an_object_is_a_false_positive_not_a_second_hit():
    twice = score(strip((0, 20), (0, 20)), [0.9, 0.8], truth((0, 20), (40, 60)))
    # One hit of two objects: (r 1/2, p 1/2), (r 1/2, p 1), (0, 1); steps 0, 1/4, 1/4.
    assert twice.ap50 == pytest.approx(0.25 * 1 + 0.25 * 1)


def test_row_order_has_no_influence():
    masks, ids = strip((0, 20), (0, 14), (20, 40), (70, 90)), truth((0, 20), (20, 44))
    scores = [0.3, 0.9, 0.5, 0.7]
    expected = score(masks, scores, ids)
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        assert score(masks[order], [scores[i] for i in order], ids) == expected


def test_threshold_is_strict_and_the_mean_has_nine_values():
    half = score(strip((0, 10)), [0.9], truth((0, 20)))  # IoU exactly 0.5
    assert half.ap50 == 0.0 and half.ap25 == 1.0
    most = score(strip((0, 18)), [0.9], truth((0, 20)))  # IoU 0.9: over eight of 0.50 ... 0.90
    assert most.ap == pytest.approx(8 / 9)


def test_void_and_tiny_instances_are_not_held_against_a_prediction():
    ids = truth((0, 40))
    void = torch.zeros(100, dtype=torch.bool)
    void[60:100] = True
    masks = strip((0, 40), (60, 80))
    assert score(masks, [0.5, 0.9], ids, void=void).ap50 == 1.0
    assert score(masks, [0.5, 0.9], ids).ap50 < 1.0
    tiny = truth((0, 40), (60, 65))
    overlaps = measure_overlaps(strip((0, 40), (60, 66)), torch.tensor([0.5, 0.9]), tiny, min_points=6)
    assert instance_ap([overlaps], min_points=6).num_true == 1
    assert instance_ap([overlaps], min_points=6).ap50 == 1.0


def test_class_aware_needs_the_right_class():
    masks, ids = strip((0, 20), (20, 40)), truth((0, 20), (20, 40))
    options = {"class_of_id": {1: 3, 2: 5}, "min_points": 1}
    swapped = measure_overlaps(masks, torch.tensor([0.9, 0.8]), ids, predicted_classes=torch.tensor([5, 3]), **options)
    right = measure_overlaps(masks, torch.tensor([0.9, 0.8]), ids, predicted_classes=torch.tensor([3, 5]), **options)
    assert instance_ap([swapped], class_aware=True, min_points=1).ap50 == 0.0
    assert instance_ap([right], class_aware=True, min_points=1).ap50 == 1.0
    assert instance_ap([swapped], min_points=1).ap50 == 1.0
    assert set(instance_ap([right], class_aware=True, min_points=1).per_class) == {3, 5}


def test_instances_without_a_class_have_no_part_in_the_mean_over_classes():
    """A prediction without a name must not score on an object without one."""
    masks, ids = strip((0, 20), (20, 40)), truth((0, 20), (20, 40))
    options = {"class_of_id": {1: 3, 2: -1}, "min_points": 1}
    found = measure_overlaps(masks, torch.tensor([0.9, 0.8]), ids, predicted_classes=torch.tensor([-1, -1]), **options)
    named = instance_ap([found], class_aware=True, min_points=1)
    assert set(named.per_class) == {3} and named.ap50 == 0.0
    assert instance_ap([found], min_points=1).ap50 == 1.0


def test_scenes_share_one_ranking():
    good = measure_overlaps(strip((0, 20)), torch.tensor([0.9]), truth((0, 20)), min_points=1)
    spurious = measure_overlaps(strip((50, 70)), torch.tensor([0.95]), truth((0, 20)), min_points=1)
    both = instance_ap([good, spurious], min_points=1)
    # (r 1/2, p 1/2), (r 0, p 0), (0, 1): steps 1/4, 1/4, 0.
    assert both.ap50 == pytest.approx(0.25 * 0.5)


def test_shapes_that_disagree_are_named():
    with pytest.raises(ValueError, match=r"masks: expected shape \(P, 90\), got \(1, 100\)"):
        measure_overlaps(strip((0, 20)), torch.tensor([0.9]), truth(length=90))
    with pytest.raises(ValueError, match=r"scores: expected shape \(1,\), got \(2,\)"):
        measure_overlaps(strip((0, 20)), torch.tensor([0.9, 0.1]), truth())
