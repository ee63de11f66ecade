"""Rigid transforms as (..., 4, 4) matrices, named `a_from_b`: p_a = a_from_b @ p_b."""

from __future__ import annotations

import torch
from torch import Tensor


def rigid(rotation: Tensor, translation: Tensor) -> Tensor:
    """Put rotation and translation together.

    Args:
        rotation: (..., 3, 3).
        translation: (..., 3).

    Returns:
        (..., 4, 4).
    """
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 0, 3] = 1.0
    return torch.cat([top, bottom], dim=-2)


def invert_rigid(a_from_b: Tensor) -> Tensor:
    """(..., 4, 4) -> b_from_a; exact for rotation + translation, not for scaled matrices."""
    rotation_t = a_from_b[..., :3, :3].transpose(-1, -2)
    return rigid(rotation_t, -(rotation_t @ a_from_b[..., :3, 3:])[..., 0])


def is_rigid(a_from_b: Tensor, tolerance: float = 1e-3) -> bool:
    """Tell whether a matrix is a rotation and a translation.

    Args:
        a_from_b: (4, 4).
        tolerance: Largest difference of an entry of R R^T from the identity's.

    Returns:
        Whether it is one; a mirror image is not, nor is a last row that is not exactly 0 0 0 1.
    """
    rotation = a_from_b[:3, :3].double()
    error = (rotation @ rotation.T - torch.eye(3, dtype=torch.float64, device=rotation.device)).abs().max()
    proper = float(error) <= tolerance and float(torch.linalg.det(rotation)) > 0
    return proper and a_from_b[3].tolist() == [0.0, 0.0, 0.0, 1.0]


def transform_points(a_from_b: Tensor, points_b: Tensor) -> Tensor:
    """Apply (..., 4, 4) to (..., N, 3) points; leading axes broadcast.

    Args:
        a_from_b: (..., 4, 4).
        points_b: (..., N, 3) in frame b.

    Returns:
        (..., N, 3) in frame a.
    """
    return points_b @ a_from_b[..., :3, :3].transpose(-1, -2) + a_from_b[..., None, :3, 3]


def look_at(eye: Tensor, target: Tensor, up: Tensor | None = None) -> Tensor:
    """Make `cam_from_world` of an OpenCV camera at `eye` (3,) that looks at `target` (3,), image up along `up`.

    Args:
        eye: Where the camera stands, in the world.
        target: What is in the middle of the image.
        up: (3,) direction in the world; z where it is not given.

    Returns:
        (4, 4).

    Raises:
        ValueError: The camera looks along `up`.
    """
    up = torch.tensor([0.0, 0.0, 1.0], dtype=eye.dtype) if up is None else up
    forward = torch.nn.functional.normalize(target - eye, dim=0)
    right = torch.linalg.cross(forward, up)
    if right.norm() < 1e-6:
        raise ValueError("look_at: expected a viewing direction that is not parallel to `up`")
    right = torch.nn.functional.normalize(right, dim=0)
    down = torch.linalg.cross(forward, right)
    return invert_rigid(rigid(torch.stack([right, down, forward], dim=1), eye))
