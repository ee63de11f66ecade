"""Poses of messages as tensors. ROS quaternions are x y z w. No ROS in here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.camera_checks import require_near
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import rigid
from pan3d_ros.messages.fields import PoseFields, TransformFields

Numbers = Sequence[float] | np.ndarray


def checked_pose(name: str, translation: Numbers, quaternion_xyzw: Numbers) -> tuple[list[float], list[float]]:
    """Give the numbers, the quaternion at unit length.

    Args:
        name: Of the pose, for the error.
        translation: (3,) metres.
        quaternion_xyzw: (4,) of a length near 1.

    Returns:
        Translation (3,) and quaternion (4,).

    Raises:
        ValueError: NaN, infinity, what is no rotation, or a place out of reach.
    """
    values = [float(v) for v in (*translation, *quaternion_xyzw)]
    if len(values) != 7 or not all(math.isfinite(v) for v in values):
        raise ValueError(f"{name}: expected 3 + 4 finite numbers, got {values}")
    require_near(name, values[:3])
    norm = math.sqrt(sum(v * v for v in values[3:]))
    if abs(norm - 1.0) > 0.05:
        raise ValueError(f"{name}: expected a unit quaternion, got length {norm:.4g}")
    return values[:3], [v / norm for v in values[3:]]


def matrix_from_pose(name: str, translation: Numbers, quaternion_xyzw: Numbers) -> Tensor:
    """Make a transform of a pose.

    Args:
        name: Of the pose, for the error.
        translation: (3,) metres.
        quaternion_xyzw: (4,) of a length near 1.

    Returns:
        (4, 4) float32 `parent_from_child`.

    Raises:
        ValueError: As `checked_pose`.
    """
    xyz, xyzw = checked_pose(name, translation, quaternion_xyzw)
    rotation = matrix_from_quat_xyzw(torch.tensor(xyzw, dtype=torch.float64)).float()
    return rigid(rotation, torch.tensor(xyz, dtype=torch.float32))


def matrix_from_xyz_rpy(numbers: Numbers) -> np.ndarray:
    """(4, 4) `parent_from_child` of x, y, z in metres and roll, pitch, yaw in radians, as a URDF's origin has them."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = Rotation.from_euler("xyz", numbers[3:]).as_matrix(), numbers[:3]
    return matrix


def pose_numbers(pose: PoseFields) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
    """Translation and xyzw quaternion of a Pose, unchecked."""
    p, q = pose.position, pose.orientation
    return (p.x, p.y, p.z), (q.x, q.y, q.z, q.w)


def transform_numbers(transform: TransformFields) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
    """Translation and xyzw quaternion of a Transform, unchecked."""
    p, q = transform.translation, transform.rotation
    return (p.x, p.y, p.z), (q.x, q.y, q.z, q.w)


def box_corners(box: OrientedBox) -> Tensor:
    """(8, 3) corners of a box in the world; bit i of the index says which end of axis i."""
    signs = torch.tensor([[1.0 if corner >> axis & 1 else -1.0 for axis in range(3)] for corner in range(8)])
    local = signs * 0.5 * box.size_m.cpu()
    return local @ box.world_from_box[:3, :3].cpu().T + box.world_from_box[:3, 3].cpu()
