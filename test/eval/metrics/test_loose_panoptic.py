import math

import pytest
import torch

from pan3d_core.labels import LabelSpace
from pan3d_eval.metrics.loose_panoptic import loose_panoptic_quality, reduced, thing_coverage
from pan3d_eval.metrics.panoptic import panoptic_quality

LABELS = LabelSpace(("floor", "mug"), (False, True))


def maps(*spans: tuple[int, int, int, int], length: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """(semantic, instance) of one view in one row; everything else is floor without an instance."""
    semantic, instance = torch.zeros(1, 1, length, dtype=torch.int64), torch.zeros(1, 1, length, dtype=torch.int64)
    for start, stop, class_id, instance_id in spans:
        semantic[..., start:stop], instance[..., start:stop] = class_id, instance_id
    return semantic, instance


def loose(predicted, truth, **options):
    return loose_panoptic_quality(predicted, truth, LABELS, reduction=1, **options)


def test_a_fifth_of_overlap_is_a_match_here_and_none_in_the_strict_form():
    truth, predicted = maps((0, 20, 1, 1)), maps((14, 30, 1, 5))  # mug: 6 / (20 + 16 - 6)
    assert loose(predicted, truth).per_class[1] == pytest.approx((0.2, 0.2, 1.0))
    assert panoptic_quality(predicted, truth, LABELS).per_class[1] == (0.0, 0.0, 0.0)
    assert loose(predicted, truth, min_iou=0.3).per_class[1] == (0.0, 0.0, 0.0)
    assert loose(predicted, truth).per_class[0][0] == pytest.approx(70 / (80 + 84 - 70))  # floor without ids is a segment


def test_one_instance_may_be_matched_by_two_predictions():
    truth, halves = maps((0, 20, 1, 1)), maps((0, 10, 1, 5), (10, 20, 1, 6))
    assert loose(halves, truth).per_class[1] == pytest.approx((0.5, 0.5, 1.0))
    assert panoptic_quality(halves, truth, LABELS).per_class[1] == (0.0, 0.0, 0.0)


def test_a_segment_has_the_class_of_most_of_its_pixels():
    truth = maps((0, 20, 1, 1))
    mixed = maps((0, 12, 1, 5), (12, 20, 0, 5))
    assert loose(mixed, truth).per_class[1] == (1.0, 1.0, 1.0)
    mostly_floor = maps((0, 8, 1, 5), (8, 20, 0, 5))
    assert loose(mostly_floor, truth).per_class[1] == (0.0, 0.0, 0.0)


def test_classes_that_never_occur_count_as_zero():
    wide = LabelSpace(("floor", "mug", "can", "box"), (False, True, True, True))
    truth = maps((0, 20, 1, 1))
    assert loose_panoptic_quality(truth, truth, wide, reduction=1).loose_pq == pytest.approx(0.5)
    assert loose_panoptic_quality(truth, truth, wide, reduction=1, evaluated=(0, 1)).loose_pq == 1.0


def test_coverage_is_that_of_the_prediction_with_most_pixels_inside():
    truth = torch.tensor([1] * 10 + [2] * 4 + [0] * 6)
    predicted = torch.tensor([7] * 6 + [8] * 4 + [7] * 4 + [7] * 6)  # 7: 6 of the first, all of the second
    coverage, sizes = thing_coverage(predicted, truth)
    assert coverage.tolist() == pytest.approx([6 / (16 + 10 - 6), 4 / 16]) and sizes.tolist() == [10, 4]
    result = loose(maps((0, 10, 1, 7)), maps((0, 20, 1, 1), (40, 50, 1, 2)))
    assert result.mean_coverage == pytest.approx((0.5 + 0) / 2)
    assert result.weighted_coverage == pytest.approx(0.5 * 20 / 30)


def test_quarter_resolution_takes_the_pixel_at_each_centre():
    row = torch.arange(13)[None, None]
    assert reduced(row.expand(1, 4, 13), 4).tolist() == [[[2, 6, 10]]]  # centres 2.17, 6.5, 10.83
    assert reduced(row, 1).tolist() == row.tolist()
    with pytest.raises(ValueError, match="reduction: expected 1..1, got 4"):
        reduced(row, 4)
    image = tuple(item.expand(1, 8, 100) for item in maps((0, 20, 1, 1)))
    assert loose_panoptic_quality(image, image, LABELS).loose_pq == 1.0


def test_empty_prediction_and_empty_truth():
    truth, nothing = maps((0, 20, 1, 1)), tuple(torch.full_like(item, value) for item, value in zip(maps(), (-1, 0), strict=True))
    assert loose(nothing, truth).loose_pq == 0.0 and loose(nothing, truth).mean_coverage == 0.0
    assert loose(truth, nothing).loose_pq == 0.0 and math.isnan(loose(truth, nothing).mean_coverage)


@pytest.mark.parametrize("seed", range(4))
def test_renaming_ids_has_no_influence(seed):
    generator = torch.Generator().manual_seed(seed)
    semantic = torch.randint(0, 2, (1, 4, 8), generator=generator).repeat_interleave(4, dim=2)
    truth = semantic, torch.randint(1, 5, (1, 4, 32), generator=generator)
    predicted = semantic, torch.randint(0, 5, (1, 4, 32), generator=generator)
    names = torch.randperm(40, generator=generator) + 1
    names[0] = 0
    expected = loose(predicted, truth)
    assert loose((semantic, names[predicted[1]]), truth).loose_pq == pytest.approx(expected.loose_pq)
