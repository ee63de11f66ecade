"""Quaternions and matrices say the same rotation, for one of them and for many."""

import math

import pytest
import torch

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_any_number_of_quaternions_becomes_as_many_rotations_and_comes_back(shape):
    quats = torch.randn(*shape, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    matrices = matrix_from_quat_xyzw(quats)
    assert matrices.shape == (*shape, 3, 3)
    identity = torch.eye(3, dtype=torch.float64).expand_as(matrices)
    assert torch.allclose(matrices @ matrices.transpose(-1, -2), identity, atol=1e-9)
    assert torch.allclose(torch.linalg.det(matrices), torch.ones(shape, dtype=torch.float64), atol=1e-9)
    back = quat_xyzw_from_matrix(matrices)
    unit = quats / quats.norm(dim=-1, keepdim=True)
    assert torch.allclose((back * unit).sum(-1).abs(), torch.ones(shape, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize(("axis", "other", "third"), [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_a_quarter_turn_about_an_axis_moves_the_next_axis_to_the_one_after(axis, other, third):
    quat = torch.zeros(4)
    quat[axis] = quat[3] = math.sqrt(0.5)
    matrix = matrix_from_quat_xyzw(quat)
    assert torch.allclose(matrix[:, other], torch.eye(3)[third], atol=1e-6)
    assert torch.allclose(quat_xyzw_from_matrix(matrix), quat, atol=1e-6)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_have_quaternions_without_a_real_part(axis):
    matrix = torch.diag(torch.where(torch.arange(3) == axis, 1.0, -1.0))
    assert torch.allclose(quat_xyzw_from_matrix(matrix).abs(), torch.eye(4)[axis], atol=1e-6)
