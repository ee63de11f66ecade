"""Joint positions for a pose of the gripper: damped least squares (Wampler 1986) on pinocchio's derivatives, from many starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pan3d_core.motion.arm import Arm, Floats, nearest_turn

CLOSE = 1e-4  # metres and radians
STEPS, DAMPING, LONGEST_STEP_RAD = 60, 0.02, 0.6
STARTS = 24
SAME_RAD = 0.1  # solutions nearer to each other in every joint are one


@dataclass(frozen=True)
class Reach:
    """What was found."""

    solutions: tuple[Floats, ...]  # (J,) radians each, those with the least motion first; none = the pose is out of reach
    short_m: float  # how far from the pose the best start ended; 0 where it is reached

    @property
    def reached(self) -> bool:
        """Whether the arm gets there."""
        return bool(self.solutions)


def descend(arm: Arm, goal: Floats, start: Floats, steps: int = STEPS) -> tuple[Floats, float]:
    """Go from one start to the nearest place where the tip is at its goal.

    Args:
        arm: With its limits, which are kept.
        goal: (4, 4) world.
        start: (J,) radians.
        steps: At most.

    Returns:
        (J,) radians, and what is missing, in metres or radians, whichever is larger.
    """
    angles = np.clip(start, arm.lower, arm.upper)
    for _ in range(steps):
        error, jacobian = arm.error_and_jacobian(angles, goal)
        if np.abs(error).max() < CLOSE:
            break
        damping = min(DAMPING, float(np.abs(error).max()))  # as strong as far: exact at the end
        square = jacobian @ jacobian.T + damping**2 * np.eye(6)
        change = -jacobian.T @ np.linalg.solve(square, error)
        change *= min(1.0, LONGEST_STEP_RAD / max(float(np.abs(change).max()), 1e-9))
        angles = np.clip(angles + change, arm.lower, arm.upper)
    error, _ = arm.error_and_jacobian(angles, goal)
    return angles, float(np.abs(error).max())


def reach(arm: Arm, goal: Floats, near: Floats, starts: Sequence[Floats] = (), seed: int = 0) -> Reach:
    """Find the ways in which the arm can hold its gripper at a pose.

    Args:
        arm: With its limits.
        goal: (4, 4) world, of the grasp frame.
        near: (J,) radians: where the arm is; ways with less motion come first.
        starts: Tried before the drawn ones.
        seed: Of the starts that are drawn.

    Returns:
        All different ways that were found.
    """
    rng = np.random.default_rng(seed)
    lower, upper = np.maximum(arm.lower, -np.pi), np.minimum(arm.upper, np.pi)
    drawn = [rng.uniform(lower, upper) for _ in range(STARTS)]
    found: list[Floats] = []
    short = np.inf
    for start in [near, *starts, *drawn]:
        angles, rest = descend(arm, goal, start)
        short = min(short, rest)
        angles = nearest_turn(arm, angles, near)
        if rest <= CLOSE and all(np.abs(angles - other).max() > SAME_RAD for other in found):
            found.append(angles)
    found.sort(key=lambda angles: float(np.abs(angles - near).max()))
    return Reach(tuple(found), 0.0 if found else float(short))
