"""`~/check_calibration`: which camera is not where it is said to be, by the pictures that perception had last."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from pan3d_core.calibration import CalibrationCheck, check_calibration, lines_of, words_of
from pan3d_core.runtime.failures import FAILURES, FailureLog, described
from pan3d_core.structures import CameraView, Panoptic3D
from pan3d_ros.outputs.diagnostics import OK, WARN, status
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.services.private.own import OwnServices

log = logging.getLogger("pan3d.ros.calibration")


@dataclass(frozen=True)
class _Checked:
    """The last check, and when it was made."""

    check: CalibrationCheck
    at_s: float  # `time.monotonic()`


class CalibrationServices(OwnServices):
    """The service, below the node's own name only. It succeeds when a camera can be told of, and none is off.

    Args:
        node: That offers it.
        settings: Gives the node's settings.
    """

    def __init__(self, node: Node, settings: Callable[[], NodeConfig]) -> None:
        super().__init__(node, MutuallyExclusiveCallbackGroup(), {"check_calibration": (Trigger, self._answer)})
        self._settings = settings
        self._lock = threading.Lock()
        self._views: tuple[CameraView, ...] = ()
        self._checked: _Checked | None = None
        self._begun = 0  # how often all was forgotten: a check that began before says nothing of what came after
        self._failures = FailureLog(log)

    def saw(self, config: NodeConfig, views: Sequence[CameraView], panoptic: Panoptic3D) -> None:
        """Remember the views, see `Onlooker`."""
        with self._lock:
            self._views = tuple(views)

    def forget(self) -> None:
        """Neither views nor a check count any more."""
        with self._lock:
            self._views, self._checked, self._begun = (), None, self._begun + 1

    def status(self, config: NodeConfig) -> list[DiagnosticStatus]:
        """A line of /diagnostics on the last check; none before the first."""
        with self._lock:
            checked = self._checked
        if checked is None:
            return []
        values = {"checked": f"{time.monotonic() - checked.at_s:.0f} s ago"}
        if checked.check.is_right:
            return [status("calibration", OK, "all cameras that can be told of are where they are said to be", values)]
        names = ", ".join(item.camera for item in checked.check.off)
        words = f"not where they are said to be: {names}" if names else "the pictures tell of no camera"
        said = {item.camera: words_of(item) for item in checked.check.cameras}
        return [status("calibration", WARN, f"{words}; ~/check_calibration says what mends it", values | said)]

    def _answer(self, _: Any, response: Any) -> Any:
        try:
            check = self._check()
            response.success, response.message = check.is_right, "\n".join(lines_of(check))
        except ValueError as error:
            response.success, response.message = False, f"could not look: {error}"
        except FAILURES as error:  # a fault of pictures must not end the node that is asked about them
            self._failures.report("a check of the calibration", error)
            response.success, response.message = False, f"could not look: {described(error)}"
        log.log(logging.INFO if response.success else logging.WARNING, response.message)
        return response

    def _check(self) -> CalibrationCheck:
        with self._lock:
            views, begun = self._views, self._begun
        if not views:
            raise ValueError("there is no result yet whose pictures could be compared")
        age_s = (self._node.get_clock().now().nanoseconds - max(view.stamp_ns for view in views)) * 1e-9
        limit_s = self._settings().service.max_age_s
        if age_s > limit_s:
            raise ValueError(f"the newest pictures are {age_s:.1f} s old, service.max_age_s is {limit_s:g}")
        check = check_calibration([views])
        with self._lock:
            if begun == self._begun:
                self._checked = _Checked(check, time.monotonic())
        return check
