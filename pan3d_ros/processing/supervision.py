"""Brings a lifecycle node back after its perception has ended, without an operator."""

from __future__ import annotations

import logging
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode

from pan3d_core.runtime.failures import described
from pan3d_ros.parameters.node_config import RecoveryConfig
from pan3d_ros.platform.rclpy_private import lifecycle_state
from pan3d_ros.processing.recovery import Recovery

log = logging.getLogger("pan3d.ros.supervision")


class Supervisor:
    """Takes the node through the error state when perception has ended, and configures it again after a while.

    Args:
        node: Its transitions are triggered in its default callback group, where those that others ask for run, too.
        config: Gives the present settings.
    """

    def __init__(self, node: LifecycleNode, config: Callable[[], RecoveryConfig]) -> None:
        self.failure: Exception | None = None  # what ended perception or a transition, until the error state has been left
        self._node, self._config = node, config
        self._recovery = Recovery()
        self._trying = False
        group = node.default_callback_group
        self._ended = node.create_guard_condition(self._deactivate, callback_group=group)
        self._due = node.create_guard_condition(self._try_again, callback_group=group)

    def ended(self, error: Exception, *, worked: bool) -> str:
        """Note that perception has ended. May be called in any thread, and leaves the rest to the executor.

        Args:
            error: What ended it.
            worked: It gave results before.

        Returns:
            Why there is no perception, for requests.
        """
        self.failure = error
        self._recovery.failed(self._config(), worked=worked)
        self._ended.trigger()
        return f"perception stopped: {described(error)}"

    def watch(self) -> str:
        """Start the attempt that is due. To be called once in a while.

        Returns:
            What is planned, for diagnostics; empty where nothing is.
        """
        if self._recovery.due:
            self._due.trigger()
        return self._recovery.words()

    def taken_over(self) -> None:
        """Plan nothing any more, because somebody asked for a transition; the supervisor's own attempts do not count."""
        if not self._trying:
            self._recovery.cancel()

    def _deactivate(self) -> None:
        if self.failure is not None and lifecycle_state(self._node) == "active":
            self._node.trigger_deactivate()

    def _try_again(self) -> None:
        if not self._recovery.due:
            return
        log.warning("configuring and activating again after a failure")
        self._trying = True
        try:
            if lifecycle_state(self._node) == "unconfigured":
                self._node.trigger_configure()
            if lifecycle_state(self._node) == "inactive":
                self._node.trigger_activate()
        finally:
            self._trying = False
        if lifecycle_state(self._node) == "active":
            self._recovery.cancel()
        else:
            self._recovery.failed(self._config())
