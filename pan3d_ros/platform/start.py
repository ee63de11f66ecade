"""The start of a process with nodes."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from pan3d_core.runtime import keep_heap_steady
from pan3d_core.runtime.ending.asked import EndAsked, told, unwound
from pan3d_ros.platform.enclaves import in_words, security_hint
from pan3d_ros.platform.log_folder import ensure_log_folder
from pan3d_ros.platform.shared_memory import remove_stale_segments

log = logging.getLogger("pan3d.ros.start")
Main = Callable[..., int]


def ros_program(name: str) -> Callable[[Main], Main]:
    """Make a function the program of a process with nodes: ROS is started for it, and it ends in order when it is asked to.

    Args:
        name: Of the program, for what it says.

    Returns:
        A decorator. What it decorates takes the arguments of the command line (None = those of the process) and gives the
        exit code; asked to end before it spins, it ends with a line and 130 (Ctrl-C) or 143 (SIGTERM).
    """

    def decorated(main: Main) -> Main:
        def program(arguments: list[str] | None = None) -> int:
            try:
                with unwound():
                    return _unless_shut_down(name, main, arguments)
            except KeyboardInterrupt as asked:
                rclpy.try_shutdown()
                return told(name, asked)

        return wraps(main)(program)

    return decorated


def _unless_shut_down(name: str, main: Main, arguments: list[str] | None) -> int:
    start_ros(arguments)
    try:
        return main(arguments)
    except RuntimeError as error:
        if rclpy.ok():
            if security_hint(error):
                log.debug("refused", exc_info=error)
                raise SystemExit(f"pan3d: ROS refuses: {in_words(error)}") from error
            raise
        # Else of entities of ROS that were being made while it was shut down.
        log.debug("%s", error)
        raise EndAsked(signal.SIGINT) from error


def start_ros(arguments: list[str] | None = None) -> None:
    """Initialise ROS where it may stumble otherwise: without a writable home, and after processes that were killed.

    The heap is kept steady, since nodes work for hours. What has been imported by now is never garbage: full collections
    (engines that make many objects cause one every few view sets) do not look through it again.

    Args:
        arguments: of the command line; None = those of the process.

    Raises:
        SystemExit: ROS refuses an argument or a parameter file, with its words.
    """
    keep_heap_steady()
    gc.freeze()
    ensure_log_folder()
    remove_stale_segments()
    try:
        rclpy.init(args=arguments)
    except (RuntimeError, ValueError) as error:  # of rcl, and of rclpy for arguments that it does not know
        raise SystemExit(f"pan3d: ROS cannot start: {in_words(error)}") from error


@contextmanager
def own_context() -> Iterator[Context]:
    """Initialise ROS for the block alone: the process may use it for other things, too. Ctrl-C stays with the program.

    Raises:
        ValueError: ROS refuses, with its words.
    """
    context = Context()
    ensure_log_folder()
    try:
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        raise ValueError(f"ROS cannot start: {in_words(error)}") from error
    try:
        yield context
    finally:
        context.try_shutdown()
