"""Harmonics of turned things."""

import math

import pytest
import torch

from pan3d_core.geometry.alignment import Similarity
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.spherical_harmonics import CONSTANT, harmonic_basis, sphere_directions, turned_harmonics
from pan3d_core.geometry.transforms import look_at
from pan3d_core.rendering.motion import moved_gaussians
from pan3d_core.rendering.rasterizer import rasterize
from pan3d_core.structures import Gaussians

ROTATION = matrix_from_quat_xyzw(torch.tensor([0.3, -0.5, 0.2, 0.7], dtype=torch.float64))


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
def test_a_turned_thing_shows_at_turned_directions_what_it_showed(degree):
    noise = torch.Generator().manual_seed(degree)
    coefficients = torch.randn(5, (degree + 1) ** 2, 3, generator=noise, dtype=torch.float64)
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=noise, dtype=torch.float64), dim=-1)
    turned = turned_harmonics(coefficients, ROTATION)
    before = harmonic_basis(directions, degree) @ coefficients
    after = harmonic_basis(directions @ ROTATION.T, degree) @ turned
    torch.testing.assert_close(after, before, atol=1e-10, rtol=0)
    assert torch.equal(turned_harmonics(coefficients, torch.eye(3)).round(decimals=9), coefficients.round(decimals=9))


def test_every_degree_turns_by_itself():
    coefficients = torch.zeros(1, 16, 3, dtype=torch.float64)
    coefficients[:, 4:9] = 1.0
    turned = turned_harmonics(coefficients, ROTATION)
    assert turned[:, :4].abs().max() < 1e-12 and turned[:, 9:].abs().max() < 1e-12
    assert turned.square().sum() == pytest.approx(15.0)


def test_the_constant_and_the_directions():
    directions = sphere_directions(400)
    assert float(harmonic_basis(directions, 0)[0, 0]) == pytest.approx(CONSTANT)
    gram = 4 * math.pi / 400 * harmonic_basis(directions, 2).T @ harmonic_basis(directions, 2)
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), atol=0.02, rtol=0)


def test_moved_gaussians_look_the_same_to_a_camera_moved_with_them():
    noise = torch.Generator().manual_seed(4)
    gaussians = Gaussians(
        means=torch.rand(60, 3, generator=noise, dtype=torch.float64),
        scales=torch.rand(60, 3, generator=noise, dtype=torch.float64) * 0.1 + 0.02,
        quats_wxyz=torch.randn(60, 4, generator=noise, dtype=torch.float64),
        opacities=torch.rand(60, generator=noise, dtype=torch.float64),
        colors=torch.randn(60, 16, 3, generator=noise, dtype=torch.float64) * 0.3,
    )
    camera = look_at(torch.tensor([2.0, 1.0, 1.5], dtype=torch.float64), torch.full((3,), 0.5, dtype=torch.float64))[None]
    intrinsics = torch.tensor([[40.0, 0, 23.5], [0, 40.0, 15.5], [0, 0, 1]], dtype=torch.float64)[None]
    moved = Similarity(2.0, ROTATION, torch.tensor([0.4, -3.0, 1.0], dtype=torch.float64))
    before = rasterize(gaussians, camera, intrinsics, (32, 48))
    after = rasterize(moved_gaussians(gaussians, moved), moved.apply_to_cameras(camera), intrinsics, (32, 48))
    torch.testing.assert_close(after.colors, before.colors, atol=1e-9, rtol=0)
    torch.testing.assert_close(after.depth, 2.0 * before.depth, atol=1e-9, rtol=0)
