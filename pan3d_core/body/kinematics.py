"""Where the links of a robot are when its joints have given positions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pan3d_core.body.description import FIXED, SLIDING, Floats, Joint, RobotDescription


def root_from_links(robot: RobotDescription, positions: Mapping[str, float]) -> Tensor:
    """Place the links of a robot.

    Args:
        robot: Whose.
        positions: Name of each joint of `told_joints` -> radians, or metres where it slides; others are left out of account.

    Returns:
        (L, 4, 4) float64: the frame of each link, in the order of `links`, in that of the root.

    Raises:
        ValueError: The position of a joint is missing or not finite.
    """
    missing = [name for name in robot.told_joints if name not in positions]
    if missing:
        raise ValueError(f"joint positions: expected those of {', '.join(robot.told_joints)}, got none of {', '.join(missing)}")
    wrong = [name for name in robot.told_joints if not np.isfinite(positions[name])]
    if wrong:
        raise ValueError(f"joint positions: expected finite numbers, got {positions[wrong[0]]} of {wrong[0]}")
    placed = {robot.root: np.eye(4)}
    for joint in robot.joints:
        placed[joint.child] = placed[joint.parent] @ joint.parent_from_joint @ _motion(joint, positions)
    return torch.from_numpy(np.stack([placed[link] for link in robot.links]))


def _motion(joint: Joint, positions: Mapping[str, float]) -> Floats:
    """(4, 4) by which a joint moves its child."""
    moved = np.eye(4)
    if joint.kind in FIXED:
        return moved
    follows = joint.mimicked
    position = positions[joint.name] if follows is None else follows.multiplier * positions[follows.joint] + follows.offset
    if joint.kind in SLIDING:
        moved[:3, 3] = position * joint.axis
        return moved
    x, y, z = joint.axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    moved[:3, :3] += np.sin(position) * cross + (1 - np.cos(position)) * cross @ cross
    return moved
