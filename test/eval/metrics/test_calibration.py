import math

import numpy as np
import pytest

from pan3d_eval.metrics.calibration import expected_calibration_error


def test_known_answer():
    # Bin (0.8, 0.9]: scores 0.9 0.9, one right, gap 0.4. Bin (0.1, 0.2]: 0.2 0.2 0.2, none right, gap 0.2.
    result = expected_calibration_error(np.array([0.9, 0.9, 0.2, 0.2, 0.2]), np.array([1, 0, 0, 0, 0], dtype=bool))
    assert result.ece == pytest.approx((2 * 0.4 + 3 * 0.2) / 5)
    assert result.worst == pytest.approx(0.4)
    assert result.brier == pytest.approx((0.01 + 0.81 + 3 * 0.04) / 5)
    np.testing.assert_allclose(result.mean_score, [0.2, 0.9])
    np.testing.assert_allclose(result.share_right, [0.0, 0.5])
    assert result.count.tolist() == [3, 2]


def test_scores_that_keep_their_promise_have_no_error():
    scores = np.repeat([0.25, 0.75], 4)
    right = np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
    assert expected_calibration_error(scores, right).ece == pytest.approx(0.0)
    sure = expected_calibration_error(np.array([0.0, 1.0]), np.array([False, True]))
    assert (sure.ece, sure.brier, len(sure.count)) == (0.0, 0.0, 2)


def test_an_edge_belongs_to_the_bin_below_it():
    assert expected_calibration_error(np.array([0.5, 0.51]), np.array([True, True]), num_bins=2).count.tolist() == [1, 1]
    assert expected_calibration_error(np.array([0.3, 0.30001]), np.array([True, True])).count.tolist() == [1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_order_and_repetition_have_no_influence(seed):
    generator = np.random.default_rng(seed)
    scores, right = generator.random(40), generator.random(40) < 0.5
    expected = expected_calibration_error(scores, right).ece
    order = generator.permutation(40)
    assert expected_calibration_error(scores[order], right[order]).ece == pytest.approx(expected)
    assert expected_calibration_error(np.tile(scores, 3), np.tile(right, 3)).ece == pytest.approx(expected)
    assert 0 <= expected <= expected_calibration_error(scores, right).worst <= 1


def test_many_draws_from_calibrated_scores_come_close_to_zero():
    generator = np.random.default_rng(0)
    scores = generator.random(200_000)
    assert expected_calibration_error(scores, generator.random(200_000) < scores).ece < 0.01
    assert expected_calibration_error(scores, generator.random(200_000) < scores**2).ece > 0.1


def test_no_score_is_undefined_and_wrong_input_is_named():
    nothing = expected_calibration_error(np.zeros(0), np.zeros(0, dtype=bool))
    assert math.isnan(nothing.ece) and len(nothing.count) == 0
    with pytest.raises(ValueError, match=r"scores, right: expected two arrays of one length, got \(2,\) \(3,\)"):
        expected_calibration_error(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="scores: expected probabilities"):
        expected_calibration_error(np.array([0.5, 1.5]), np.array([True, True]))
