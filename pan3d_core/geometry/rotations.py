"""Rotations as (..., 3, 3) matrices and (..., 4) quaternions; the order is in every name."""

from __future__ import annotations

import torch
from torch import Tensor


def matrix_from_quat_xyzw(quat_xyzw: Tensor) -> Tensor:
    """(..., 4) scalar-last quaternions of any non-zero length -> (..., 3, 3)."""
    x, y, z, w = quat_xyzw.unbind(-1)
    double = 2.0 / quat_xyzw.square().sum(-1)
    rows = [
        1 - double * (y * y + z * z),
        double * (x * y - z * w),
        double * (x * z + y * w),
        double * (x * y + z * w),
        1 - double * (x * x + z * z),
        double * (y * z - x * w),
        double * (x * z - y * w),
        double * (y * z + x * w),
        1 - double * (x * x + y * y),
    ]
    matrix: Tensor = torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
    return matrix


def quat_xyzw_from_matrix(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 4) unit, scalar last, w >= 0.

    Each component's absolute value follows from the diagonal; the largest one is the safe divisor
    for the other three, which keeps half turns (w = 0) exact.
    """
    m00, m11, m22 = rotation[..., 0, 0], rotation[..., 1, 1], rotation[..., 2, 2]
    trace = m00 + m11 + m22
    squares = torch.stack([2 * m00 - trace, 2 * m11 - trace, 2 * m22 - trace, trace], dim=-1) + 1  # 4 q_i^2
    sums = rotation + rotation.transpose(-1, -2)
    wx = rotation[..., 2, 1] - rotation[..., 1, 2]
    wy = rotation[..., 0, 2] - rotation[..., 2, 0]
    wz = rotation[..., 1, 0] - rotation[..., 0, 1]
    xy, xz, yz = sums[..., 0, 1], sums[..., 0, 2], sums[..., 1, 2]
    # Row i holds 4 q_i (x, y, z, w).
    products = torch.stack(
        [
            torch.stack([squares[..., 0], xy, xz, wx], dim=-1),
            torch.stack([xy, squares[..., 1], yz, wy], dim=-1),
            torch.stack([xz, yz, squares[..., 2], wz], dim=-1),
            torch.stack([wx, wy, wz, squares[..., 3]], dim=-1),
        ],
        dim=-2,
    )
    largest = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quat = torch.nn.functional.normalize(products.gather(-2, largest)[..., 0, :], dim=-1)
    return torch.where(quat[..., 3:] < 0, -quat, quat)


def matrix_between(first: Tensor, second: Tensor) -> Tensor:
    """Return the rotation by the smallest angle that takes one direction to another.

    Of opposite vectors every half turn does; the one about an axis square to `first` and nearest to a coordinate axis is taken.

    Args:
        first: (3,) unit vector.
        second: (3,) unit vector.

    Returns:
        (3, 3).
    """
    quat_xyzw = torch.cat([torch.linalg.cross(first, second), (1 + first @ second)[None]])
    if float(quat_xyzw.norm()) < 1e-6:
        nearest = torch.zeros_like(first)
        nearest[first.abs().argmin()] = 1.0
        quat_xyzw = torch.cat([nearest - (nearest @ first) * first, first.new_zeros(1)])
    return matrix_from_quat_xyzw(quat_xyzw)
