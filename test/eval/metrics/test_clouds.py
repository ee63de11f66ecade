import math

import pytest
import torch

from pan3d_eval.metrics.clouds import cloud_errors


def test_known_distances():
    truth = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    predicted = torch.tensor([[0.0, 0.03, 0], [1, 0, 0.06], [1, 0.3, 0], [0, 0.01, 0]])
    errors = cloud_errors(predicted, truth)
    assert errors.accuracy_m == pytest.approx((0.03 + 0.06 + 0.3 + 0.01) / 4)
    assert errors.accuracy_median_m == pytest.approx((0.03 + 0.06) / 2)
    third = math.hypot(1, 0.06)
    assert errors.completeness_m == pytest.approx((0.01 + 0.06 + third) / 3, rel=1e-5)
    assert errors.completeness_median_m == pytest.approx(0.06)
    assert errors.chamfer_m == pytest.approx((errors.accuracy_m + errors.completeness_m) / 2)
    assert (errors.precision, errors.recall) == (0.5, pytest.approx(1 / 3))
    assert errors.f_score == pytest.approx(2 * 0.5 / 3 / (0.5 + 1 / 3))
    assert cloud_errors(predicted, truth, threshold_m=0.1).precision == 0.75


@pytest.mark.parametrize("seed", range(3))
def test_order_and_repetition_have_no_influence_and_roles_can_be_swapped(seed):
    generator = torch.Generator().manual_seed(seed)
    truth, predicted = torch.rand(50, 3, generator=generator), torch.rand(40, 3, generator=generator)
    expected = cloud_errors(predicted, truth)
    shuffled = cloud_errors(predicted[torch.randperm(40, generator=generator)].repeat(2, 1), truth.flip(0))
    swapped = cloud_errors(truth, predicted)
    for name in ("accuracy_m", "completeness_m", "precision", "recall", "f_score"):
        assert getattr(shuffled, name) == pytest.approx(getattr(expected, name))
    assert (swapped.accuracy_m, swapped.precision) == pytest.approx((expected.completeness_m, expected.recall))
    same = cloud_errors(truth, truth)
    assert (same.accuracy_m, same.completeness_m, same.f_score) == (0.0, 0.0, 1.0)


def test_empty_prediction_and_empty_truth():
    points, nothing = torch.rand(5, 3), torch.zeros(0, 3)
    missed = cloud_errors(nothing, points)
    assert (missed.precision, missed.recall, missed.f_score) == (0.0, 0.0, 0.0) and math.isnan(missed.accuracy_m)
    assert math.isnan(cloud_errors(points, nothing).f_score)
    assert cloud_errors(points, points + 10).f_score == 0.0


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"truth: expected shape \(N, 3\), got \(5, 2\)"):
        cloud_errors(torch.rand(5, 3), torch.rand(5, 2))
    with pytest.raises(ValueError, match="threshold_m: expected more than 0"):
        cloud_errors(torch.rand(5, 3), torch.rand(5, 3), threshold_m=0.0)
