"""Trajectories of messages, checked before anything moves by them. No ROS in here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from pan3d_core.motion import Trajectory
from pan3d_ros.messages.fields import Heading

FAR_RAD = 0.1  # a trajectory that begins further from where the arm is would be a jump
OVER = 1.05  # speeds of interpolation may exceed the limit by rounding


class Seconds(Protocol):
    """What is read of builtin_interfaces/Duration."""

    sec: int
    nanosec: int


class PointFields(Protocol):
    """What is read of trajectory_msgs/JointTrajectoryPoint."""

    positions: Sequence[float]
    time_from_start: Seconds


class TrajectoryFields(Protocol):
    """What is read of trajectory_msgs/JointTrajectory."""

    header: Heading
    joint_names: Sequence[str]
    points: Sequence[PointFields]


class TrajectoryError(ValueError):
    """A trajectory that cannot be followed; `code` is a constant's name of control_msgs/FollowJointTrajectory."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


def trajectory_from_message(
    message: TrajectoryFields,
    here: Mapping[str, float],
    limits: Mapping[str, tuple[float, float]],
    speeds: Mapping[str, float],
) -> Trajectory:
    """Read a trajectory that begins where the joints are.

    Args:
        message: With positions at increasing times; velocities and accelerations are not looked at.
        here: Joint -> radians or metres, now.
        limits: Joint -> lowest and highest position.
        speeds: Joint -> largest speed; a joint without one has none.

    Returns:
        The trajectory from now on.

    Raises:
        TrajectoryError: Joints are unknown, or positions or times cannot be.
    """
    names = tuple(message.joint_names)
    unknown = [name for name in names if name not in here]
    if not names or unknown or len(set(names)) < len(names):
        raise TrajectoryError("INVALID_JOINTS", f"joint_names: expected different ones of {', '.join(here)}, got {list(names)}")
    if not message.points:
        raise TrajectoryError("INVALID_GOAL", "points: expected one or more, got none")
    for number, point in enumerate(message.points):
        values = list(point.positions)
        if len(values) != len(names) or not all(map(math.isfinite, values)):
            raise TrajectoryError(
                "INVALID_GOAL", f"points[{number}].positions: expected {len(names)} finite numbers, got {len(values)}"
            )
        for name, value in zip(names, values):
            low, high = limits[name]
            if not low - 1e-3 <= value <= high + 1e-3:
                words = f"points[{number}].positions: expected {name} within {low:.3f} and {high:.3f}, got {value:.3f}"
                raise TrajectoryError("INVALID_GOAL", words)
    times = [point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec for point in message.points]
    positions = [list(point.positions) for point in message.points]
    if times[0] > 0:
        times, positions = [0.0, *times], [[here[name] for name in names], *positions]
    _check_times(times)
    begin = dict(zip(names, positions[0]))
    far = [name for name in names if abs(begin[name] - here[name]) > FAR_RAD]
    if far:
        words = f"points[0].positions: expected {far[0]} near {here[far[0]]:.3f}, where it is, got {begin[far[0]]:.3f}"
        raise TrajectoryError("INVALID_GOAL", words)
    way = Trajectory(names, np.array(times), np.array(positions, np.float64))
    _check_speeds(way, speeds)
    return way


def _check_times(times: Sequence[float]) -> None:
    if times[0] < 0 or any(after <= before for before, after in zip(times, times[1:])):
        raise TrajectoryError("INVALID_GOAL", f"time_from_start: expected increasing times from 0 on, got {times[:10]}")


def _check_speeds(way: Trajectory, speeds: Mapping[str, float]) -> None:
    moved = np.abs(np.diff(way.positions, axis=0)) / np.diff(way.times_s)[:, None]
    for name, column in zip(way.joints, moved.T):
        fastest = float(column.max(initial=0.0))
        if fastest > OVER * speeds.get(name, math.inf):
            words = f"points: expected {name} to move at {speeds[name]:.2f} per second at most, got {fastest:.2f}"
            raise TrajectoryError("INVALID_GOAL", words)
