"""Running a lifecycle node: transitions that say why they failed, and without two faults of rclpy that end a process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

log = logging.getLogger("pan3d.ros.spinning")
# What bad settings, files and weights raise; anything else is a fault of the program and shows its traceback.
EXPECTED_ERRORS = (ValueError, OSError, ImportError, RuntimeError)


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


def attempt(work: Callable[[], None], undo: Callable[[], None]) -> tuple[TransitionCallbackReturn, Exception | None]:
    """Outcome of a transition that does `work`, and what went wrong: FAILURE after `undo` for what can be expected to
    fail, ERROR for a fault of the program, which rclpy would swallow."""
    try:
        work()
    except EXPECTED_ERRORS as error:
        log.debug("transition failed", exc_info=True)
        undo()
        return TransitionCallbackReturn.FAILURE, error
    except Exception as error:  # noqa: BLE001 (handed to the caller and on to the error state)
        log.exception("transition failed")
        return TransitionCallbackReturn.ERROR, error
    return TransitionCallbackReturn.SUCCESS, None


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
