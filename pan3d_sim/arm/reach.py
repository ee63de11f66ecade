"""Joint positions that bring the gripper near a place, for scenes with an arm in them. Who plans motion uses a proper solver."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from pan3d_sim.arm.links import ArmSpec
from pan3d_sim.arm.model import matrix_from_rpy

NEAR_M, NEAR_RAD = 0.01, 0.05


def world_from_tool(arm: ArmSpec, angles: np.ndarray) -> np.ndarray:
    """Place the grasp frame.

    Args:
        arm: The table of its links.
        angles: (6,) radians.

    Returns:
        (4, 4) in the frame of the root.
    """
    by_name = {joint.name: float(angle) for joint, angle in zip(arm.arm_joints, angles)}
    placed = {arm.root: np.eye(4)}
    for link in arm.links:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = matrix_from_rpy(link.rpy), link.xyz
        cosine, sine = np.cos(by_name.get(link.joint.name, 0.0)), np.sin(by_name.get(link.joint.name, 0.0))
        turned = np.eye(4)
        turned[:2, :2] = [[cosine, -sine], [sine, cosine]]  # all turning joints turn about z
        placed[link.name] = placed[link.parent] @ pose @ turned
    return placed["tool0"]


def reach_down(arm: ArmSpec, position: np.ndarray, yaw_rad: float) -> dict[str, float] | None:
    """Find positions with the gripper pointing down.

    Args:
        arm: The table of its links.
        position: (3,) metres, world, of the place between the finger tips.
        yaw_rad: Of the closing direction about the vertical.

    Returns:
        Joint -> radians; None where the arm does not get there from its home.
    """
    goal = np.eye(4)
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    goal[:3, :3] = [[cosine, sine, 0.0], [sine, -cosine, 0.0], [0.0, 0.0, -1.0]]
    goal[:3, 3] = position

    def off(angles: np.ndarray) -> np.ndarray:
        pose = world_from_tool(arm, angles)
        turned = 0.5 * sum(np.cross(pose[:3, k], goal[:3, k]) for k in range(3))
        return np.concatenate([5.0 * (pose[:3, 3] - goal[:3, 3]), turned, 1e-3 * (angles - arm.home)])

    limits = [joint.low for joint in arm.arm_joints], [joint.high for joint in arm.arm_joints]
    found = least_squares(off, np.array(arm.home), bounds=limits, max_nfev=200).x
    rest = off(found)
    if np.linalg.norm(rest[:3]) > 5.0 * NEAR_M or np.linalg.norm(rest[3:6]) > NEAR_RAD:
        return None
    return {joint.name: float(angle) for joint, angle in zip(arm.arm_joints, found)}
