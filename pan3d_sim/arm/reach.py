"""Joint positions that bring the gripper over a place, for scenes with an arm in them."""

from __future__ import annotations

from functools import cache

import numpy as np

from pan3d_core.motion import Arm, reach
from pan3d_sim.arm.links import ArmSpec
from pan3d_sim.arm.urdf import urdf_text


def reach_down(arm: ArmSpec, position: np.ndarray, yaw_rad: float) -> dict[str, float] | None:
    """Find positions with the gripper pointing down.

    Args:
        arm: The table of its links.
        position: (3,) metres, world, of the place between the finger tips.
        yaw_rad: Of the closing direction about the vertical.

    Returns:
        Joint -> radians, with the least motion from home; None where the arm does not get there.
    """
    goal = np.eye(4)
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    goal[:3, :3] = [[cosine, sine, 0.0], [sine, -cosine, 0.0], [0.0, 0.0, -1.0]]
    goal[:3, 3] = position
    model = _model(arm)
    found = reach(model, goal, np.array(arm.home))
    return dict(zip(model.joints, found.solutions[0].tolist())) if found.reached else None


@cache
def _model(arm: ArmSpec) -> Arm:
    return Arm(urdf_text(arm))
