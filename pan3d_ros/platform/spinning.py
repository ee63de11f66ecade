"""Running a lifecycle node: until the process is asked to end, with transitions that say why they failed."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from threading import Event

import rclpy
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from pan3d_core.runtime.ending.asked import EndAsked, told
from pan3d_core.runtime.failures import FailureLog
from pan3d_ros.platform.enclaves import security_hint
from pan3d_ros.platform.rclpy_private import spin

log = logging.getLogger("pan3d.ros.spinning")
STARTING_LIMIT_S = 4.0  # launch kills after five
# What bad settings, files and weights raise; anything else is a fault of the program and shows its traceback.
EXPECTED_ERRORS = (ValueError, OSError, ImportError, RuntimeError)


def run(node: LifecycleNode, threads: int, *, autostart: bool) -> int:
    """Spin a node until the process is asked to end, then destroy it.

    Args:
        node: The node.
        threads: That run its callbacks.
        autostart: Configure and activate without a lifecycle manager; when that fails the node stays alive and says why.

    Returns:
        0, an exit code.

    Raises:
        EndAsked: The process was asked to end while the node was being configured and activated; that is over by then, or the
            process ends at once.
    """
    executor = MultiThreadedExecutor(num_threads=threads)
    executor.add_node(node)

    begun, started = Event(), Event()

    def start() -> None:
        begun.set()
        try:
            if node.trigger_configure() == TransitionCallbackReturn.SUCCESS and node.context.ok():
                node.trigger_activate()
        except RuntimeError:
            if node.context.ok():  # otherwise ROS was shut down meanwhile
                raise
        finally:
            started.set()

    if autostart:
        executor.create_task(start)
    failures = FailureLog(log)
    try:
        spin(executor, lambda error: failures.report("a callback", error))
    except (KeyboardInterrupt, ExternalShutdownException) as ended:
        if autostart and not started.is_set():
            asked = ended if isinstance(ended, KeyboardInterrupt) else EndAsked(signal.SIGINT)
            if begun.is_set() and not started.wait(STARTING_LIMIT_S):
                os._exit(told(node.get_name(), asked))  # a thread that loads large weights cannot be ended
            raise asked from None
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def attempt(work: Callable[[], None], undo: Callable[[], None]) -> tuple[TransitionCallbackReturn, str]:
    """Carry out a transition.

    Args:
        work: What it does.
        undo: Is called after a failure that can be expected.

    Returns:
        SUCCESS and no words; FAILURE and the words of the error for what can be expected to fail; ERROR and its words for a fault
        of the program, which rclpy would swallow.
    """
    try:
        work()
    except EXPECTED_ERRORS as error:
        log.debug("transition failed", exc_info=True)
        undo()
        return TransitionCallbackReturn.FAILURE, _words(error)
    except Exception as error:  # noqa: BLE001 (handed to the caller and on to the error state)
        log.exception("transition failed")
        return TransitionCallbackReturn.ERROR, _words(error)
    return TransitionCallbackReturn.SUCCESS, ""


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__) + security_hint(error)
