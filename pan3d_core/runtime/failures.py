"""Which exceptions one input may cause, in one place: what a boundary around foreign data catches, and how it logs them.

A boundary lists these families instead of `Exception`, so that what ends a program on purpose passes.
"""

from __future__ import annotations

import logging
import struct
import traceback
import zlib

import cv2

BAD_INPUT = (
    ValueError,  # includes numpy's LinAlgError and UnicodeDecodeError
    ArithmeticError,  # overflow, division by zero
    LookupError,  # an index or key that the data promised
    RuntimeError,  # what torch (its LinAlgError, devices, shapes), Qhull and inference engines raise
    OSError,  # a stage that reads, as of files that have gone
    MemoryError,
    BufferError,
    EOFError,
    struct.error,
    zlib.error,
    cv2.error,  # derives from Exception itself
)
"""What data may cause that a program did not expect."""

PROGRAM_FAULTS = (TypeError, AttributeError, AssertionError, NameError)
"""What says that the program is wrong. Listed because the fault shows with the inputs that reach it, and a robot goes on with the
others; that it is logged with its traceback keeps it from being hidden."""

FAILURES = BAD_INPUT + PROGRAM_FAULTS
"""What may end the work on one input, and nothing else."""


class FailureLog:
    """Logs each kind of failure once with its traceback; the next ones of a kind are one line each, and rarer.

    A kind is the type of the exception and the line that raised it.

    Args:
        log: Where to.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._counts: dict[tuple[str, str, int], int] = {}

    def report(self, what: str, error: BaseException) -> None:
        """Log a failure.

        Args:
            what: Failed, for a person: "a view set".
            error: Being handled, or handled before.
        """
        frames = traceback.extract_tb(error.__traceback__)
        filename, line = (frames[-1].filename, frames[-1].lineno or 0) if frames else ("", 0)
        kind = (type(error).__name__, filename, line)
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count == 1:
            self._log.error("%s failed: %s", what, described(error), exc_info=error)
        elif count & (count - 1) == 0:  # 2, 4, 8, ...: a camera that is broken for good must not fill the log
            self._log.error("%s failed for the %dth time in the same place: %s", what, count, described(error))


def described(error: BaseException) -> str:
    """Name the kind of an exception and its message, on one line and of bounded length."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__
