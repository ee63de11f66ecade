"""Grasps rehearsed in a physics twin of what is perceived, before anything moves; knows points and boxes, never the truth."""

from __future__ import annotations

from pan3d_core.config import GripperConfig, RehearsalConfig
from pan3d_core.grasping.rehearsal import Rehearsal, RehearsalRequest, Rehearser, not_rehearsed
from pan3d_core.runtime.lazy import load

__all__ = ["NoPhysics", "build_rehearser"]


class NoPhysics:
    """A rehearser where there is no physics: grasps stay in the planner's order, and the answer says why.

    Args:
        problem: In words.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def __call__(self, request: RehearsalRequest) -> Rehearsal:
        """Answer that nothing was tried."""
        return not_rehearsed(request.targets, self.problem)


def build_rehearser(config: RehearsalConfig | None = None, gripper: GripperConfig | None = None) -> Rehearser:
    """Build a rehearser; MuJoCo is loaded here and not before.

    Args:
        config: Time and rounds.
        gripper: Shape of the hand.

    Returns:
        One that tries grasps, or, where MuJoCo is not installed, one that says so.
    """
    try:
        make = load("pan3d_sim.rehearsal.trials:GraspRehearser")
    except ModuleNotFoundError as error:
        if error.name != "mujoco":
            raise
        return NoPhysics("mujoco is not installed; pip install 'pan3d[sim]'")
    rehearser: Rehearser = make(config, gripper)
    return rehearser
