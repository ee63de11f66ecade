import math

import pytest
import torch

from pan3d_eval.metrics.depth import abs_rel, depth_errors


def test_perfect_depth_has_no_error():
    depth = torch.rand(2, 4, 5) + 0.5
    errors = depth_errors(depth, depth)
    assert (errors.abs_rel, errors.rmse_m, errors.delta1, errors.num_pixels) == (0.0, 0.0, 1.0, 40)
    assert errors.scale_median == errors.scale_l1 == pytest.approx(1.0)


def test_known_answers():
    truth = torch.tensor([1.0, 2.0, 4.0, 0.0])
    predicted = torch.tensor([1.1, 1.0, 4.0, 7.0])  # relative errors 0.1, 0.5, 0; the last has no truth
    errors = depth_errors(predicted, truth)
    assert errors.abs_rel == pytest.approx(0.2) == abs_rel(predicted, truth)
    assert errors.rmse_m == pytest.approx(math.sqrt((0.01 + 1.0) / 3), rel=1e-5)
    assert errors.delta1 == pytest.approx(2 / 3)
    assert errors.num_pixels == 3


def test_one_scale_is_undone_for_all_views_together():
    truth = torch.rand(3, 8, 8, dtype=torch.float64) + 0.5
    errors = depth_errors(truth * 0.5, truth)
    assert errors.abs_rel == pytest.approx(0.5)
    assert errors.scale_median == pytest.approx(2.0) and errors.scale_l1 == pytest.approx(2.0)
    assert errors.abs_rel_median < 1e-6 and errors.abs_rel_l1 < 1e-6
    per_view = truth * torch.tensor([0.5, 1.0, 2.0]).double()[:, None, None]
    assert depth_errors(per_view, truth).abs_rel_median > 0.2


def test_l1_scale_resists_outliers():
    truth = torch.linspace(0.5, 1.5, 101).double()
    predicted = truth / 1.25
    predicted[:10] *= 3.0
    assert depth_errors(predicted, truth).scale_l1 == pytest.approx(1.25, rel=1e-3)


def test_no_valid_pixel_is_undefined_and_shapes_are_checked():
    errors = depth_errors(torch.zeros(4), torch.ones(4))
    assert math.isnan(errors.abs_rel) and errors.num_pixels == 0
    assert math.isnan(abs_rel(torch.ones(3), torch.full((3,), math.nan)))
    with pytest.raises(ValueError, match=r"predicted: expected the truth's shape \(4,\), got \(3,\)"):
        depth_errors(torch.ones(3), torch.ones(4))


def test_shares_within_powers_of_a_quarter():
    truth = torch.ones(5, dtype=torch.float64)
    predicted = torch.tensor([1.0, 1.0, 1.0, 1.3, 1.9], dtype=torch.float64)  # 1.25, 1.5625, 1.953
    errors = depth_errors(predicted, truth)
    assert (errors.scale_median, errors.delta1, errors.delta1_median) == (1.0, 0.6, 0.6)
    assert (errors.delta2_median, errors.delta3_median) == (0.8, 1.0)
    assert errors.scale_l1 == pytest.approx(1.0, abs=1e-5) and errors.delta1_l1 == 0.6
    even = depth_errors(torch.ones(2, dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert even.scale_median == 1.5  # between the middle two


def test_the_scale_is_the_ratio_of_medians_and_not_the_median_of_ratios():
    predicted, truth = torch.tensor([1.0, 2.0, 4.0]).double(), torch.tensor([3.0, 1.0, 4.0]).double()
    errors = depth_errors(predicted, truth)  # ratios 3, 1/2, 1: their median is 1
    assert errors.scale_median == 1.5
    assert errors.abs_rel_median == pytest.approx((1.5 / 3 + 2.0 / 1 + 2.0 / 4) / 3)


@pytest.mark.parametrize("seed", range(3))
def test_order_and_repetition_of_pixels_have_no_influence(seed):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(60, generator=generator, dtype=torch.float64) + 0.5
    predicted = truth * (0.8 + 0.4 * torch.rand(60, generator=generator, dtype=torch.float64))
    order = torch.randperm(60, generator=generator)
    expected, other = depth_errors(predicted, truth), depth_errors(predicted[order].repeat(2), truth[order].repeat(2))
    for name, value in vars(expected).items():
        assert name == "num_pixels" or getattr(other, name) == pytest.approx(value, abs=1e-6), name
