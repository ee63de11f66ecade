"""The support's plane in clean and in bad depth."""

import numpy as np
import pytest

from pan3d_core.geometry.support import SupportPlane, find_support_plane, plane_noise, view_correction, within_outline

LEVEL = SupportPlane.level(0.2)


def table(count=4000, height=0.2, seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(-0.4, 0.4, (count, 2)), np.full(count, height)])


def test_a_view_that_shows_the_table_shifted_and_tilted_is_laid_onto_it():
    points = table()
    wrong = points.copy()
    wrong[:, 2] += 0.006 + 0.02 * points[:, 0] - 0.01 * points[:, 1]
    wrong[:500, 2] += 0.015  # a book on it
    corrected = wrong[:, 2] - view_correction(wrong, LEVEL)
    np.testing.assert_allclose(corrected[500:], 0.2, atol=5e-4)
    np.testing.assert_allclose(corrected[:500], 0.215, atol=1e-3)


def test_a_view_without_the_table_or_too_far_from_it_stays_as_it_is():
    assert (view_correction(table(height=0.5), LEVEL) == 0).all()
    assert (view_correction(table(height=0.225), LEVEL) == 0).all()
    assert (view_correction(table(count=20), LEVEL) == 0).all()


@pytest.mark.parametrize("sigma_m", [0.0005, 0.004])
def test_noise_is_measured_on_the_table_whatever_stands_on_it(sigma_m):
    rng = np.random.default_rng(1)
    depth = rng.uniform(0.5, 1.2, 6000)
    height = rng.normal(0.0, sigma_m, 6000) * depth**2
    height[:1500] = 0.02
    assert plane_noise(height, depth).at(np.array([1.0]))[0] == pytest.approx(sigma_m, rel=0.35)
    assert plane_noise(height + 1.0, depth).at(np.array([1.0]))[0] == 0.0


def test_what_hangs_beside_the_table_is_not_on_it():
    points = np.concatenate([table(), [[0.0, 0.0, 0.3], [0.6, 0.0, 0.3]]])
    own = np.abs(LEVEL.height(points)) < 0.01
    assert within_outline(points, LEVEL, own, 0.006)[-2:].tolist() == [True, False]


def test_the_plane_is_found_and_a_wall_is_none():
    tilted = table()
    tilted[:, 2] += 0.05 * tilted[:, 0]
    plane = find_support_plane(tilted)
    assert plane is not None and np.abs(plane.height(tilted)).max() < 1e-3
    assert find_support_plane(tilted[:, [2, 1, 0]]) is None and find_support_plane(tilted[:50]) is None
