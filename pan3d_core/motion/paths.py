"""Ways between joint positions: free ones by RRT-Connect (Kuffner and LaValle 2000, of OMPL), straight ones of the tool."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from pan3d_core.config import MotionConfig
from pan3d_core.motion.arm import INSTALL, Floats, nearest_turn
from pan3d_core.motion.collisions import Checker
from pan3d_core.motion.inverse import CLOSE, descend

ROOM_RAD = 2.0  # joints may swing out this much beyond start and goal
RANGE_RAD = 0.6  # longest branch of the trees
STRAIGHT_STEP_M = 0.01
JUMP_RAD = 0.35  # joints that turn by more within such a step have changed to another way of holding the tool


@cache
def path_library() -> tuple[Any, Any]:
    """Load OMPL's modules of spaces and of planners, quiet. Raises `ValueError` where it is missing."""
    try:
        import ompl.base
        import ompl.geometric
        import ompl.util
    except ImportError as error:
        raise ValueError(f"planning needs the package ompl ({error}); {INSTALL}") from error
    ompl.util.setLogLevel(ompl.util.LogLevel.LOG_ERROR)
    ompl.util.RNG.setSeed(1)
    return ompl.base, ompl.geometric


def free_path(checker: Checker, start: Floats, goals: Sequence[Floats], config: MotionConfig, limit_s: float) -> Floats | None:
    """Find a way that touches nothing.

    Args:
        checker: Says what touches.
        start: (J,) radians.
        goals: (J,) radians each; the way ends at any of them.
        config: How close states are checked.
        limit_s: Longest search.

    Returns:
        (N, J) radians, from `start` to a goal; None where none was found in time, or an end itself touches something.
    """
    goals = [goal for goal in goals if checker.free(goal)]
    if not goals or not checker.free(start):
        return None
    for goal in goals:
        direct = np.stack([start, goal])
        if is_free(checker, direct, config.step_rad):
            return direct
    base, geometric = path_library()
    count = len(start)
    ends = np.stack([start, *goals])
    bounds = base.RealVectorBounds(count)
    for k in range(count):
        bounds.setLow(k, float(max(checker.arm.lower[k], ends[:, k].min() - ROOM_RAD)))
        bounds.setHigh(k, float(min(checker.arm.upper[k], ends[:, k].max() + ROOM_RAD)))
    space = base.RealVectorStateSpace(count)
    space.setBounds(bounds)
    setup = geometric.SimpleSetup(space)
    setup.setStateValidityChecker(lambda state: checker.free(np.array([state[k] for k in range(count)])))
    information = setup.getSpaceInformation()
    information.setStateValidityCheckingResolution(config.step_rad / space.getMaximumExtent())
    setup.addStartState(_state(space, start))
    target = base.GoalStates(information)
    for goal in goals:
        target.addState(_state(space, goal))
    setup.setGoal(target)
    planner = geometric.RRTConnect(information)
    planner.setRange(RANGE_RAD)
    setup.setPlanner(planner)
    setup.solve(limit_s)
    if not setup.haveExactSolutionPath():
        return None
    setup.simplifySolution(min(0.5, limit_s))
    path = setup.getSolutionPath()
    return np.array([[path.getState(row)[k] for k in range(count)] for row in range(path.getStateCount())])


def straight_path(checker: Checker, start: Floats, goal: Floats) -> Floats | None:
    """Move the tool along a straight line without turning it.

    Args:
        checker: Says what touches.
        start: (J,) radians.
        goal: (4, 4) world, of the grasp frame; only its place counts.

    Returns:
        (N, J) radians from `start` on; None where the line leaves what the arm reaches, or touches something.
    """
    arm = checker.arm
    pose = arm.world_from_tip(start)
    begin = pose[:3, 3].copy()
    way = goal[:3, 3] - begin
    path = [start]
    if not checker.free(start):
        return None
    count = max(1, int(np.ceil(np.linalg.norm(way) / STRAIGHT_STEP_M)))
    for k in range(1, count + 1):
        pose[:3, 3] = begin + way * k / count
        angles, rest = descend(arm, pose, path[-1], steps=12)
        angles = nearest_turn(arm, angles, path[-1])
        if rest > CLOSE or np.abs(angles - path[-1]).max() > JUMP_RAD or not checker.free(angles):
            return None
        path.append(angles)
    return np.stack(path)


def is_free(checker: Checker, path: Floats, step_rad: float) -> bool:
    """Check a way of straight pieces in joint space.

    Args:
        checker: Says what touches.
        path: (N, J) radians.
        step_rad: Of the states that are looked at.

    Returns:
        Whether none of them touches anything.
    """
    for start, goal in zip(path[:-1], path[1:]):
        count = max(1, int(np.ceil(np.linalg.norm(goal - start) / step_rad)))
        if not all(checker.free(start + (goal - start) * k / count) for k in range(1, count + 1)):
            return False
    return checker.free(path[0])


def _state(space: Any, angles: Floats) -> Any:
    state = space.allocState()
    for k, angle in enumerate(angles):
        state[k] = float(angle)
    return state
