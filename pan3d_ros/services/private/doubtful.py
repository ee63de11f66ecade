"""`~/record_doubtful`: what the node was least sure of becomes bags, to be labelled and learnt from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from pan3d_core.runtime.files import free_path
from pan3d_core.runtime.lazy import load
from pan3d_core.structures import CameraView, Panoptic3D
from pan3d_ros.doubtful import DoubtfulSets, sureness
from pan3d_ros.outputs.diagnostics import OK, WARN, status
from pan3d_ros.parameters.node_config import DoubtfulConfig, NodeConfig
from pan3d_ros.parameters.values import expanded_path
from pan3d_ros.services.private.own import OwnServices

log = logging.getLogger("pan3d.ros.doubtful")
WRITE_BAGS = "pan3d_ros.doubtful.bag:write_bags"  # needs rosbags, which a robot may lack


class DoubtServices(OwnServices):
    """The service, below the node's own name only, and the sets that it writes.

    Args:
        node: That offers it.
        settings: Gives the node's settings.
    """

    def __init__(self, node: Node, settings: Callable[[], NodeConfig]) -> None:
        super().__init__(node, MutuallyExclusiveCallbackGroup(), {"record_doubtful": (Trigger, self._record)})
        self._settings = settings
        self._sets: DoubtfulSets | None = None
        self._problem = ""  # why the last set could not be kept

    def saw(self, config: NodeConfig, views: Sequence[CameraView], panoptic: Panoptic3D) -> None:
        """Keep a view set if the network was unsure of it, see `Onlooker`."""
        if not config.doubtful.folder:
            return
        problem = ""
        try:
            self._of(config.doubtful).offer(views, sureness(panoptic), config.doubtful)
        except (OSError, ValueError) as error:  # perception goes on whatever becomes of the recording
            problem = f"a view set could not be kept: {error}"
            if problem != self._problem:
                log.warning(problem)
        self._problem = problem

    def forget(self) -> None:
        """What was kept is on disk and stays."""

    def status(self, config: NodeConfig) -> list[DiagnosticStatus]:
        """A line of /diagnostics; none where nothing shall be kept."""
        if not config.doubtful.folder:
            return []
        if self._problem or self._sets is None:
            return [status("doubtful", WARN if self._problem else OK, self._problem or "no view set was doubtful yet")]
        kept = self._sets.kept
        size = sum(item.size for item in kept) / 1e6
        words = f"{len(kept)} view sets are kept, {size:.1f} of {config.doubtful.quota_mb} MB"
        return [status("doubtful", OK, words, {"least sure": min((item.sure for item in kept), default=1.0)})]

    def _of(self, config: DoubtfulConfig) -> DoubtfulSets:
        folder = expanded_path("doubtful.folder", config.folder)
        if self._sets is None or self._sets.folder != folder:
            self._sets = DoubtfulSets(folder)
        return self._sets

    def _record(self, _: Any, response: Any) -> Any:
        try:
            response.message = self._recorded(self._settings().doubtful)
            response.success = True
        except ModuleNotFoundError as error:
            response.success, response.message = False, f"{error.name} is not installed: install the extra [bags]"
        except (ValueError, OSError) as error:
            response.success, response.message = False, str(error)
        log.log(logging.INFO if response.success else logging.WARNING, response.message)
        return response

    def _recorded(self, config: DoubtfulConfig) -> str:
        if not config.folder:
            raise ValueError("doubtful.folder: expected a folder for view sets that are in doubt, got none")
        sets = self._of(config)
        kept = sets.kept
        if not kept:
            raise ValueError(f"no view set was less sure than doubtful.sure = {config.sure:g} since the last recording")
        target = free_path(sets.folder / f"recording_{datetime.now(timezone.utc):%Y%m%d_%H%M%S}")
        load(WRITE_BAGS)(target, kept)
        sets.drop(kept)
        least = min(item.sure for item in kept)
        return f"{len(kept)} view sets, the least sure one {least:.2f}, are bags in {target}: pan3d teach label {target}"
