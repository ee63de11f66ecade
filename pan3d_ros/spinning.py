"""Running a lifecycle node, without two faults of rclpy that would end the process."""

from __future__ import annotations

import logging
from typing import Any

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

log = logging.getLogger("pan3d.ros.spinning")


def run(node: LifecycleNode, threads: int, *, autostart: bool) -> None:
    """Spin until the process is asked to end. `autostart` configures and activates without a lifecycle manager;
    when that fails the node stays alive and says why."""
    executor = MultiThreadedExecutor(num_threads=threads)
    executor.add_node(node)

    def start() -> None:
        if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()

    if autostart:
        executor.create_task(start)
    try:
        spin(executor)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def spin(executor: Executor) -> None:
    """`executor.spin()` for nodes that unsubscribe while they run.

    A message that has been queued for a subscription which another thread destroys meanwhile raises
    `InvalidHandle` out of `spin`. It concerns nobody any more.
    """
    while True:
        try:
            executor.spin()
            return
        except InvalidHandle as error:
            log.debug("a callback of a destroyed subscription was dropped: %s", error)


def guard_transitions(node: LifecycleNode) -> None:
    """Answer false to an impossible transition ("activate" while unconfigured) instead of raising out of `spin`."""
    change = node._service_change_state.callback

    def guarded(request: Any, response: Any) -> Any:
        try:
            return change(request, response)
        except rclpy_implementation.RCLError as error:
            log.warning("transition refused: %s", error)
            response.success = False
            return response

    node._service_change_state.callback = guarded
