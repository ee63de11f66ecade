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
    ROBOT_UNKNOWN = enum.auto()  # TF_FAILURE to those who ask
    OUT_OF_MEMORY = enum.auto()
    INFERENCE_ERROR = enum.auto()


class ProblemLog:
    """Recent reasons why views did not become results, by problem."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()  # drop reason -> number
        # (problem, camera or "") -> (first, last time, message)
        self._last: dict[tuple[Problem, str], tuple[float, float, str]] = {}
        self._logged: dict[str, float] = {}
        self._lock = threading.Lock()

    def report(self, problem: Problem, reason: str, message: str, camera: str = "") -> bool:
        """Note that a view (set) was dropped.

        Args:
            problem: What went wrong.
            reason: Under which it is counted.
            message: For a person.
            camera: Whose view it was; "" for a whole set.

        Returns:
            Whether it is time to log it (again).
        """
        now = time.monotonic()
        with self._lock:
            self._counts[reason] += 1
            first, last, _ = self._last.get((problem, camera), (now, now, ""))
            self._last[problem, camera] = (first if now - last < 5.0 else now, now, message)
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

    def solved(self, *problems: Problem, camera: str = "") -> None:
        """These problems of a camera, or of whole sets, are gone."""
        with self._lock:
            for problem in problems:
                self._last.pop((problem, camera), None)

    def recent(self, problem: Problem, camera: str | None = None, within_s: float = 5.0) -> tuple[str, float] | None:
        """Tell of a problem that was reported lately.

        Args:
            problem: Which one.
            camera: Whose; None = of all cameras and of whole sets.
            within_s: How long ago it may have been reported last.

        Returns:
            The messages and the longest duration in seconds; None where there is no such problem.
        """
        now = time.monotonic()
        with self._lock:
            found = [
                entry
                for (kind, whose), entry in sorted(self._last.items(), key=lambda item: item[0][1])
                if kind == problem and camera in (None, whose) and now - entry[1] <= within_s
            ]
        if not found:
            return None
        return "; ".join(message for _, _, message in found), max(last - first for first, last, _ in found)
