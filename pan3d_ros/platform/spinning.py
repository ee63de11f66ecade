"""Running a lifecycle node: until the process is asked to end, with transitions that say why they failed."""

from __future__ import annotations

import logging
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from pan3d_core.runtime.failures import FailureLog
from pan3d_ros.platform.rclpy_private import spin

log = logging.getLogger("pan3d.ros.spinning")
# What bad settings, files and weights raise; anything else is a fault of the program and shows its traceback.
EXPECTED_ERRORS = (ValueError, OSError, ImportError, RuntimeError)


def run(node: LifecycleNode, threads: int, *, autostart: bool) -> None:
    """Spin a node until the process is asked to end, then destroy it.

    Args:
        node: The node.
        threads: That run its callbacks.
        autostart: Configure and activate without a lifecycle manager; when that fails the node stays alive and says why.
    """
    executor = MultiThreadedExecutor(num_threads=threads)
    executor.add_node(node)

    def start() -> None:
        if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()

    if autostart:
        executor.create_task(start)
    failures = FailureLog(log)
    try:
        spin(executor, lambda error: failures.report("a callback", error))
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def attempt(work: Callable[[], None], undo: Callable[[], None]) -> tuple[TransitionCallbackReturn, Exception | None]:
    """Carry out a transition.

    Args:
        work: What it does.
        undo: Is called after a failure that can be expected.

    Returns:
        SUCCESS; FAILURE and the error for what can be expected to fail; ERROR and the error for a fault of the program, which
        rclpy would swallow.
    """
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
