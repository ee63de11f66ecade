"""What matches between two views can be, whatever the poses."""

import numpy as np
import pytest

from pan3d_core.assembly.pose_checks.pose_fit import free_fits, motion_size
from pan3d_core.assembly.pose_checks.view_matches import ViewMatches


def matched(count: int):
    """Matches of points that two cameras see truly, and their rays; the second stands 20 cm to the right."""
    points = np.random.default_rng(0).uniform([-0.3, -0.3, 0.6], [0.3, 0.3, 1.4], (count, 3))
    moved = points - [0.2, 0.0, 0.0]
    pixels = [side / side[:, 2:] for side in (points, moved)]
    indices = np.zeros(count, np.int64), np.ones(count, np.int64)
    return ViewMatches(*indices, *pixels, np.tile(np.eye(3), (2, 1, 1))), tuple(pixels)


@pytest.mark.parametrize(("count", "counted"), [(14, 0), (15, 15), (40, 40)])
def test_true_matches_fit_some_pose_and_few_of_them_prove_nothing(count, counted):
    assert free_fits(*matched(count), tolerance=2e-3) == counted


def test_matches_by_chance_do_not_fit_one_pose():
    matches, (first, second) = matched(60)
    mixed = np.random.default_rng(1).permutation(second)
    assert free_fits(matches, (first, mixed), tolerance=2e-3) < 30


def test_a_motion_is_measured_in_degrees_and_metres():
    quarter = np.array([[0.0, -1, 0, 3], [1, 0, 0, 4], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert motion_size(quarter) == pytest.approx((90.0, 5.0))


def test_a_pair_is_counted_once_for_both_of_its_cameras():
    matches, rays = matched(40)
    known = {}
    assert free_fits(matches, rays, 2e-3, known) == 40 and known == {(0, 1): 40}
    assert free_fits(matches, rays, 2e-3, {(0, 1): 33}) == 33
