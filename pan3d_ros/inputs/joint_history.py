"""Positions of a robot's joints over time, looked up at an exact stamp. No ROS in here."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Protocol

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.fields import Heading

KEEP_NS = 5_000_000_000
SAME_NS = 1_000_000  # an image this much newer than the newest position is of the same moment


class JointStateFields(Protocol):
    """What is read of sensor_msgs/JointState."""

    header: Heading
    name: Sequence[str]
    position: Sequence[float]


class JointHistory:
    """Positions by joint, interpolated and never extrapolated; several publishers may tell of different joints. For several
    threads."""

    def __init__(self, max_gap_ns: int) -> None:
        self.count = 0  # of messages
        self._max_gap_ns = max_gap_ns
        self._lock = threading.Lock()
        self._told: dict[str, tuple[list[int], list[float]]] = {}

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of those that were told of."""
        with self._lock:
            return tuple(self._told)

    def newest(self) -> dict[str, float]:
        """The last position of each joint that was told of, radians or metres."""
        with self._lock:
            return {name: positions[-1] for name, (_, positions) in self._told.items() if positions}

    def clear(self) -> None:
        """Forget everything, because the clock jumped."""
        with self._lock:
            self._told.clear()

    def add(self, message: JointStateFields) -> None:
        """Take a message. Stamps that go back start the history of its joints anew.

        Raises:
            ValueError: It has no stamp, not one position for each name, or one that is not finite.
        """
        stamp_ns = stamp_to_ns(message.header.stamp)
        if stamp_ns <= 0:
            raise ValueError(f"JointState.header.stamp: expected the time of the positions, got {stamp_ns} ns")
        if len(message.position) != len(message.name):
            raise ValueError(
                f"JointState.position: expected one for each of {len(message.name)} names, got {len(message.position)}"
            )
        positions = [float(value) for value in message.position]
        wrong = [name for name, value in zip(message.name, positions) if not math.isfinite(value)]
        if wrong:
            raise ValueError(f"JointState.position: expected finite numbers, got another one for {', '.join(wrong)}")
        with self._lock:
            self.count += 1
            for name, position in zip(message.name, positions):
                self._append(name, stamp_ns, position)

    def at(self, stamp_ns: int, joints: Sequence[str]) -> Mapping[str, float]:
        """Look positions up.

        Args:
            stamp_ns: When.
            joints: Whose.

        Returns:
            Joint -> radians or metres.

        Raises:
            LookupError: Which joint is not told of, or how far off its known positions are.
        """
        with self._lock:
            missing = [name for name in joints if name not in self._told]
            if missing:
                told = ", ".join(self._told) or "none"
                raise LookupError(f"expected positions of {', '.join(joints)}, got none of {', '.join(missing)} but of {told}")
            return {name: self._position(name, stamp_ns) for name in joints}

    def _append(self, name: str, stamp_ns: int, position: float) -> None:
        stamps, positions = self._told.setdefault(name, ([], []))
        if stamps and stamp_ns <= stamps[-1]:
            if stamp_ns == stamps[-1]:
                positions[-1] = position
                return
            stamps.clear()
            positions.clear()
        stamps.append(stamp_ns)
        positions.append(position)
        if stamps[-1] - stamps[0] > 2 * KEEP_NS:  # seldom, and then many at once
            old = bisect_left(stamps, stamps[-1] - KEEP_NS)
            del stamps[:old], positions[:old]

    def _position(self, name: str, stamp_ns: int) -> float:
        stamps, positions = self._told[name]
        index = bisect_left(stamps, stamp_ns)
        if index < len(stamps) and stamps[index] == stamp_ns:
            return positions[index]
        if index == len(stamps):
            late_ns = stamp_ns - stamps[-1]
            if late_ns <= SAME_NS:
                return positions[-1]
            raise LookupError(f"the newest position of {name} is {late_ns * 1e-6:.1f} ms older than the image")
        if index == 0:
            raise LookupError(f"the oldest position of {name} is {(stamps[0] - stamp_ns) * 1e-6:.1f} ms newer than the image")
        gap_ns = stamps[index] - stamps[index - 1]
        if gap_ns > self._max_gap_ns:
            raise LookupError(
                f"the positions of {name} around the image are {gap_ns * 1e-6:.0f} ms apart, robot.max_gap_s is"
                f" {self._max_gap_ns * 1e-9:g}"
            )
        turn = positions[index] - positions[index - 1]
        if abs(turn) > math.pi:  # told within a full turn, of which it passed the end
            turn -= math.copysign(2 * math.pi, turn)
        return positions[index - 1] + turn * (stamp_ns - stamps[index - 1]) / gap_ns
