"""Prisms and columns are closed, face outwards, and have the volume of what they hold."""

import numpy as np
import pytest
from closed_meshes import gap, volume

from pan3d_core.planning.meshes import Columns, prism

CUBE = np.array([[x, y, z] for x in (0.0, 0.1) for y in (0.0, 0.2) for z in (0.0, 0.3)])


def test_a_prism_is_the_padded_outline_down_to_its_level():
    corners, triangles = prism(CUBE, np.array([0.01, 0.02, 0.03]), -0.05)
    assert volume(corners, triangles) == pytest.approx(0.12 * 0.24 * 0.38) and gap(corners, triangles) < 1e-12
    np.testing.assert_allclose(corners.min(0), [-0.01, -0.02, -0.05])
    np.testing.assert_allclose(corners.max(0), [0.11, 0.22, 0.33])


@pytest.mark.parametrize("points", [CUBE[:1], CUBE[[0, 1]], np.linspace([0, 0, 0], [0.1, 0.1, 0.1], 5)])
def test_what_is_thin_is_a_thin_prism(points):
    corners, triangles = prism(points, np.zeros(3), 0.0)
    assert volume(corners, triangles) > 0 and gap(corners, triangles) < 1e-9
    assert corners[:, 2].min() == 0.0 and (corners.max(0) >= points.max(0) - 1e-12).all()


def test_columns_have_their_volume_and_are_closed():
    rng = np.random.default_rng(0)
    columns = Columns(np.zeros(2), np.array([0.2, 0.1]), 0.01)
    low = np.where(rng.random(columns.shape) < 0.3, rng.uniform(0.05, 0.2, columns.shape), 0.0)
    high = np.where(rng.random(columns.shape) < 0.6, rng.uniform(0.0, 0.3, columns.shape), -np.inf)
    corners, triangles = columns.mesh(low, high)
    expected = np.maximum(high - low, 0.0).sum() * columns.side_m**2
    assert volume(corners, triangles) == pytest.approx(expected, rel=1e-4) and gap(corners, triangles) < 1e-6


def test_wide_things_have_wide_columns():
    columns = Columns(np.zeros(2), np.array([2.0, 0.1]), 0.01)
    assert columns.side_m == pytest.approx(0.05) and max(columns.shape) < 50


def test_holes_that_nobody_looked_into_are_full_and_bowls_stay_hollow():
    x, y = np.meshgrid(np.linspace(-0.1, 0.1, 81), np.linspace(-0.1, 0.1, 81))
    away = np.hypot(x, y).ravel()
    ring = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, 0.08)])[(away > 0.05) & (away < 0.1)]
    bottom = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, 0.01)])[away < 0.05]
    columns = Columns(np.full(2, -0.1), np.full(2, 0.1), 0.01)
    middle = tuple(((np.zeros(2) - columns.origin) / columns.side_m).astype(int))
    assert columns.heights(ring, np.zeros(3))[middle] == pytest.approx(0.08)
    assert columns.heights(np.concatenate([ring, bottom]), np.zeros(3))[middle] == pytest.approx(0.01)
    assert columns.heights(ring, np.array([0.0, 0.0, 0.02]))[middle] == pytest.approx(0.10)
    assert np.isinf(columns.heights(ring, np.zeros(3))[0, 0])
