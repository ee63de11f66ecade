"""Why views did not become results. No ROS in here: the node and the replay of a bag keep the same log."""

from __future__ import annotations

import enum
import threading
import time
from collections import Counter


class Problem(enum.Enum):
    """What went wrong, under the names of the error codes in pan3d_interfaces/msg/ErrorCode.msg."""

    NO_IMAGES = enum.auto()
    STALE_IMAGES = enum.auto()
    NO_CAMERA_INFO = enum.auto()
    TF_FAILURE = enum.auto()
    OUT_OF_MEMORY = enum.auto()
    INFERENCE_ERROR = enum.auto()


class ProblemLog:
    """Recent reasons why views did not become results, by problem."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()  # drop reason -> number
        self._last: dict[Problem, tuple[float, float, str]] = {}  # problem -> (first, last time, message)
        self._logged: dict[str, float] = {}
        self._lock = threading.Lock()

    def report(self, problem: Problem, reason: str, message: str) -> bool:
        """Note that a view or a view set was dropped.

        Args:
            problem: What kind it is.
            reason: By which it is counted.
            message: For a person.

        Returns:
            Whether it is time to log it (again).
        """
        now = time.monotonic()
        with self._lock:
            self._counts[reason] += 1
            first, last, _ = self._last.get(problem, (now, now, ""))
            self._last[problem] = (first if now - last < 5.0 else now, now, message)
            due = now - self._logged.get(reason, float("-inf")) > 10.0
            if due:
                self._logged[reason] = now
            return due

    def count(self, reason: str) -> None:
        """A view set was left out for a reason that is no problem."""
        with self._lock:
            self._counts[reason] += 1

    def totals(self) -> dict[str, int]:
        """Drop reason -> number since the node was started."""
        with self._lock:
            return dict(self._counts)

    def solved(self, *problems: Problem) -> None:
        """The problem is gone."""
        with self._lock:
            for problem in problems:
                self._last.pop(problem, None)

    def recent(self, problem: Problem, within_s: float = 5.0) -> tuple[str, float] | None:
        """Ask for a problem that was reported lately.

        Args:
            problem: What kind.
            within_s: How long ago at most.

        Returns:
            The last message, and for how many seconds it has lasted; None when there is none.
        """
        with self._lock:
            entry = self._last.get(problem)
        if entry is None or time.monotonic() - entry[1] > within_s:
            return None
        return entry[2], entry[1] - entry[0]
