"""A path gets its times: as fast as the joints' speeds and accelerations allow (TOPP-RA, Pham and Pham 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pan3d_core.config import MotionConfig
from pan3d_core.motion.arm import INSTALL, Arm, Floats

PERIOD_S = 0.02
SPACING_RAD = 0.12  # of the spline's knots; a spline through farther ones would leave the path


@dataclass(frozen=True)
class Trajectory:
    """Where joints are, and when."""

    joints: tuple[str, ...]
    times_s: Floats  # (N,) from 0 on
    positions: Floats  # (N, J) radians

    @property
    def duration_s(self) -> float:
        """From the first to the last."""
        return float(self.times_s[-1])

    def reversed(self) -> Trajectory:
        """The same way back, as fast."""
        return Trajectory(self.joints, self.duration_s - self.times_s[::-1], self.positions[::-1])

    def at(self, time_s: float) -> Floats:
        """(J,) radians at a time, held at both ends."""
        return np.array([np.interp(time_s, self.times_s, column) for column in self.positions.T])


@cache
def timing_library() -> Any:
    """Load toppra, quiet; it takes seconds, since it brings what draws curves. Raises `ValueError` where it is missing."""
    try:
        import toppra
    except ImportError as error:
        raise ValueError(f"timing needs the package toppra ({error}); {INSTALL}") from error
    toppra.setup_logging("ERROR")
    return toppra


def timed(arm: Arm, path: Floats, config: MotionConfig, length_m: float = 0.0) -> Trajectory:
    """Give a path times.

    Args:
        arm: Whose speeds count.
        path: (N, J) radians, from rest to rest.
        config: Which share of them, and the acceleration.
        length_m: Way of the tool, which it goes at `straight_speed_m_s` at most; 0 = its speed does not count.

    Returns:
        The same way, smooth between its knots.

    Raises:
        ValueError: toppra is missing, or finds no times.
    """
    toppra = timing_library()
    path = _spaced(path)
    if len(path) < 2:
        return Trajectory(arm.joints, np.zeros(1), path)
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(path, axis=0)).max(1))])
    spline = toppra.SplineInterpolator(along, path)
    speeds = config.speed_share * arm.speed
    limits = [
        toppra.constraint.JointVelocityConstraint(np.stack([-speeds, speeds], axis=1)),
        toppra.constraint.JointAccelerationConstraint(np.full((len(speeds), 2), config.acceleration) * [-1.0, 1.0]),
    ]
    grid = np.linspace(0.0, along[-1], max(51, 4 * len(path)))
    found = toppra.algorithm.TOPPRA(limits, spline, gridpoints=grid, parametrizer="ParametrizeConstAccel").compute_trajectory()
    if found is None:
        raise ValueError(f"path: expected one that can be timed, got none of {len(path)} knots by toppra")
    times = np.linspace(0.0, found.duration, max(2, int(np.ceil(found.duration / PERIOD_S)) + 1))
    stretch = max(1.0, length_m / config.straight_speed_m_s / max(found.duration, 1e-6))
    return Trajectory(arm.joints, times * stretch, np.asarray(found(times)))


def _spaced(path: Floats) -> Floats:
    """Knots at most `SPACING_RAD` apart, none twice."""
    knots = [path[0]]
    for goal in path[1:]:
        step = float(np.abs(goal - knots[-1]).max())
        if step < 1e-4:
            continue
        count = max(1, int(np.ceil(step / SPACING_RAD)))
        start = knots[-1]
        knots += [start + (goal - start) * k / count for k in range(1, count + 1)]
    return np.stack(knots)
