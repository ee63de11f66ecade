import math

import pytest
import torch

from pan3d_eval.metrics.cross_view import cross_view_instances, mean_cross_view


def views(*rows: list[int]) -> torch.Tensor:
    """One row of pixels per view."""
    return torch.tensor(rows)[:, None]


def test_known_answer():
    truth = views([1, 1, 1, 1, 2, 2, 0, 0], [0, 0, 0, 0, 2, 2, 2, 2])
    predicted = views([5, 5, 5, 6, 6, 6, 5, 9], [0, 0, 0, 0, 6, 6, 0, 5])
    # 1 is visible in the first view only: IoU with 5 is 3/4 (its pixel on nothing is out).
    # 2 with 6: 2/3 in the first view, 2/4 in the second. 9 lies on nothing but counts as predicted.
    result = cross_view_instances(predicted, truth)
    assert result.miou == pytest.approx((3 / 4 + (2 / 3 + 1 / 2) / 2) / 2)
    assert (result.precision, result.recall) == (pytest.approx(2 / 3), 1.0)
    assert result.f_score == pytest.approx(2 * 2 / 3 / (2 / 3 + 1), rel=1e-5)
    assert (result.num_true, result.num_predicted) == (2, 3)


def test_an_id_that_changes_between_views_costs_half():
    truth = views([1, 1, 0], [1, 1, 0])
    assert cross_view_instances(views([4, 4, 0], [4, 4, 0]), truth).miou == 1.0
    changed = cross_view_instances(views([4, 4, 0], [7, 7, 0]), truth)
    assert (changed.miou, changed.recall, changed.precision) == (0.5, 0.0, 0.0)  # 0.5 is no hit


def test_true_instances_without_a_partner_count_zero():
    result = cross_view_instances(views([4, 4, 0, 0]), views([1, 1, 2, 2]))
    assert (result.miou, result.recall, result.precision) == (0.5, 0.5, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_renaming_has_no_influence_and_more_predictions_do_not_help_precision(seed):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 4, (3, 5, 6), generator=generator)
    predicted = torch.where(torch.rand(3, 5, 6, generator=generator) < 0.8, truth, 1)
    names = torch.randperm(20, generator=generator) + 1
    names[0] = 0
    expected = cross_view_instances(predicted, truth)
    assert cross_view_instances(names[predicted], truth) == expected
    split = torch.where(torch.arange(6) % 2 == 0, predicted, predicted + 10 * (predicted > 0))
    assert cross_view_instances(split, truth).miou <= expected.miou + 1e-9


def test_empty_prediction_empty_truth_and_means():
    truth, nothing = views([1, 1, 0]), views([0, 0, 0])
    missed, undefined = cross_view_instances(nothing, truth), cross_view_instances(truth, nothing)
    assert (missed.miou, missed.precision, missed.recall, missed.f_score) == (0.0, 0.0, 0.0, 0.0)
    assert math.isnan(undefined.miou) and undefined.num_predicted == 1
    mean = mean_cross_view([cross_view_instances(truth, truth), missed, undefined])
    assert (mean.miou, mean.num_true) == (0.5, 2)
    assert math.isnan(mean_cross_view([]).miou)
    with pytest.raises(ValueError, match=r"expected equal shapes \(S, h, w\)"):
        cross_view_instances(truth, truth[:, 0])
