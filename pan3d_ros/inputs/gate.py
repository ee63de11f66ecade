"""Leaves the inputs in the middleware while nobody can use them: it keeps the newest and drops the rest without any work here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from torch import Tensor

from pan3d_ros.inputs.transforms import TransformsSource, TransformUnavailable
from pan3d_ros.platform.distributions import EventHandler

HELD = (Image, CompressedImage, CameraInfo, PoseStamped, JointState)
# However long a view set is in work: by images alone it is known which cameras live.
LONGEST_S = 0.5
_OFF_S = 3600.0  # period of a timer that is cancelled


class InputGate(MutuallyExclusiveCallbackGroup):
    """Callback group of the inputs. Executors take nothing of cameras as long as it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = True

    def can_execute(self, entity: Any) -> bool:
        """Tell an executor whether to wait for an entity.

        Events of subscriptions are held, too: Fast DDS wakes who waits for one also for data, again and again until it is taken.
        """
        held = not self.is_open and (isinstance(entity, EventHandler) or getattr(entity, "msg_type", None) in HELD)
        return not held and bool(super().can_execute(entity))


class Intake:
    """Closes a gate after every view set, until the next one is due and whoever works on them is idle.

    What waits then is taken at once, in one callback: each round of an executor costs milliseconds in a node with many services.
    Only where that makes no view set the gate opens, and executors wait for more.

    Args:
        node: For a timer.
        gate: Of the inputs.
        drain: Takes all that waits for any input.
        max_rate_hz: View sets that may be taken per second; 0 = no limit.
        is_idle: Whether a view set would be worked on at once.
    """

    def __init__(
        self,
        node: Node,
        gate: InputGate,
        drain: Callable[[], None],
        max_rate_hz: Callable[[], float],
        is_idle: Callable[[], bool],
    ) -> None:
        self._node, self._gate, self._drain = node, gate, drain
        self._max_rate_hz, self._is_idle = max_rate_hz, is_idle
        self._due_s = self._closed_s = float("-inf")
        self._lock = threading.Lock()
        self._timer = node.create_timer(_OFF_S, self._review, gate, Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()
        gate.is_open = True

    def close(self) -> None:
        """End, with the gate open. A worker that becomes idle meanwhile finds it so, and leaves the timer alone."""
        with self._lock:
            self._gate.is_open = True
            self._node.destroy_timer(self._timer)

    def took(self) -> None:
        """A view set was formed: the next may wait. To be called in the gate's callbacks."""
        with self._lock:
            now_s, rate_hz = time.monotonic(), self._max_rate_hz()
            period_s = 1.0 / rate_hz if rate_hz else 0.0
            if now_s >= self._due_s:  # by a schedule instead of by gaps, so that what each set is late does not add up
                self._due_s = max(self._due_s + period_s, now_s + period_s / 2)
            self._closed_s, self._gate.is_open = now_s, False
            self._arm(min(self._due_s, now_s + LONGEST_S) - now_s)

    def idle(self) -> None:
        """The work on a view set has ended. Any thread may call this."""
        with self._lock:
            if not self._gate.is_open:
                now_s = time.monotonic()
                self._arm(min(self._due_s, self._closed_s + LONGEST_S) - now_s)

    def _review(self) -> None:
        """Take what waits if it is time, and wait for more where that is not enough."""
        with self._lock:
            self._timer.cancel()
            now_s, latest_s = time.monotonic(), self._closed_s + LONGEST_S
            if self._gate.is_open:
                return
            if now_s < latest_s and not (now_s >= self._due_s and self._is_idle()):
                self._arm(latest_s - now_s)  # or sooner, when the work has ended
                return
            closed_s = self._closed_s
        self._drain()
        with self._lock:
            self._gate.is_open = self._closed_s == closed_s

    def _arm(self, wait_s: float) -> None:
        self._timer.timer_period_ns = max(1000, int(wait_s * 1e9))
        self._timer.reset()


class DrainingTransforms:
    """Poses of topics that wait in the middleware while the gate is closed: they are taken where one is missing.

    Args:
        source: That is asked.
        drain: Hands it the poses that wait.
    """

    def __init__(self, source: TransformsSource, drain: Callable[[], None]) -> None:
        self._source, self._drain = source, drain

    def lookup(self, camera: str, frame_id: str, stamp_ns: int) -> Tensor:
        """Answer as `TransformsSource.lookup`."""
        try:
            return self._source.lookup(camera, frame_id, stamp_ns)
        except TransformUnavailable as error:
            if not error.may_come:
                raise
        self._drain()
        return self._source.lookup(camera, frame_id, stamp_ns)

    def clear(self) -> None:
        """As `TransformsSource.clear`."""
        self._source.clear()
