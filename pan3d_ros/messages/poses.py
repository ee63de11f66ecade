"""Poses, vectors and headers to tensors and back. ROS quaternions are x y z w.

What reads messages needs their fields only, so that a bag can be read where no ROS is installed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.geometry.transforms import rigid
from pan3d_core.structures import OrientedBox
from pan3d_ros.messages.buffers import stamp_from_ns

if TYPE_CHECKING:
    from geometry_msgs.msg import Point, Pose, Transform, Vector3
    from std_msgs.msg import Header


def checked_pose(name: str, translation: Sequence[float], quaternion_xyzw: Sequence[float]) -> tuple[list[float], list[float]]:
    """The numbers, the quaternion at unit length; `ValueError` for NaN, infinity and what is no rotation."""
    values = [float(v) for v in (*translation, *quaternion_xyzw)]
    if len(values) != 7 or not all(math.isfinite(v) for v in values):
        raise ValueError(f"{name}: expected 3 + 4 finite numbers, got {values}")
    norm = math.sqrt(sum(v * v for v in values[3:]))
    if abs(norm - 1.0) > 0.05:
        raise ValueError(f"{name}: expected a unit quaternion, got length {norm:.4g}")
    return values[:3], [v / norm for v in values[3:]]


def matrix_from_pose(name: str, translation: Sequence[float], quaternion_xyzw: Sequence[float]) -> Tensor:
    """(4, 4) float32 `parent_from_child`; checks as `checked_pose`."""
    xyz, xyzw = checked_pose(name, translation, quaternion_xyzw)
    rotation = matrix_from_quat_xyzw(torch.tensor(xyzw, dtype=torch.float64)).float()
    return rigid(rotation, torch.tensor(xyz, dtype=torch.float32))


def pose_numbers(pose: Pose) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
    """Translation and xyzw quaternion of a Pose, unchecked."""
    p, q = pose.position, pose.orientation
    return (p.x, p.y, p.z), (q.x, q.y, q.z, q.w)


def transform_numbers(transform: Transform) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
    """Translation and xyzw quaternion of a Transform, unchecked."""
    p, q = transform.translation, transform.rotation
    return (p.x, p.y, p.z), (q.x, q.y, q.z, q.w)


def pose_message(parent_from_child: Tensor) -> Pose:
    """Pose of a (4, 4) transform."""
    from geometry_msgs.msg import Pose, Quaternion

    x, y, z, w = quat_xyzw_from_matrix(parent_from_child[:3, :3].double()).tolist()
    return Pose(position=point_message(parent_from_child[:3, 3]), orientation=Quaternion(x=x, y=y, z=z, w=w))


def point_message(vector: Tensor) -> Point:
    """Point of a (3,) vector."""
    from geometry_msgs.msg import Point

    x, y, z = (float(v) for v in vector)
    return Point(x=x, y=y, z=z)


def vector_message(vector: Tensor) -> Vector3:
    """Vector3 of a (3,) vector."""
    from geometry_msgs.msg import Vector3

    x, y, z = (float(v) for v in vector)
    return Vector3(x=x, y=y, z=z)


def header(frame_id: str, stamp_ns: int) -> Header:
    """Header with an exact integer stamp."""
    from std_msgs.msg import Header

    return Header(frame_id=frame_id, stamp=stamp_from_ns(stamp_ns))


def box_corners(box: OrientedBox) -> Tensor:
    """(8, 3) corners of a box in the world; bit i of the index says which end of axis i."""
    signs = torch.tensor([[1.0 if corner >> axis & 1 else -1.0 for axis in range(3)] for corner in range(8)])
    local = signs * 0.5 * box.size_m.cpu()
    return local @ box.world_from_box[:3, :3].cpu().T + box.world_from_box[:3, 3].cpu()
