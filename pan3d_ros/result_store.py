"""What the node knows at the moment: the newest result, and why there is no newer one. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pan3d_interfaces.msg import InstanceArray

from pan3d_core.pipeline import PerceptionResult


@dataclass(frozen=True)
class SceneResult:
    """One processed view set."""

    sequence: int  # 1, 2, ... since activation
    result: PerceptionResult
    instances: InstanceArray
    frame_ids: dict[str, str]  # camera -> optical frame
    stages_s: dict[str, float]  # stage -> seconds; "wait" = newest stamp to begin of work

    @property
    def oldest_ns(self) -> int:
        return min(self.result.views.stamps_ns)

    @property
    def newest_ns(self) -> int:
        return max(self.result.views.stamps_ns)


class ResultStore:
    """Holds the newest result; requests wait here for a newer one."""

    def __init__(self) -> None:
        self._latest: SceneResult | None = None
        self._changed = threading.Condition()

    @property
    def latest(self) -> SceneResult | None:
        return self._latest

    def put(self, result: SceneResult | None) -> None:
        """Replace the newest result; None forgets it."""
        with self._changed:
            self._latest = result
            self._changed.notify_all()

    def wait(self, fits: Callable[[SceneResult], bool], timeout_s: float, cancelled: Callable[[], bool]) -> SceneResult | None:
        """The newest result once it `fits`; None after `timeout_s` or when `cancelled`."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                if self._latest is not None and fits(self._latest):
                    return self._latest
                left = deadline - time.monotonic()
                if left <= 0 or cancelled():
                    return None
                self._changed.wait(min(left, 0.1))


class ProblemLog:
    """Recent reasons why views did not become results, by error code."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()  # drop reason -> number
        self._last: dict[int, tuple[float, float, str]] = {}  # code -> (first, last time, message)
        self._logged: dict[str, float] = {}
        self._lock = threading.Lock()

    def report(self, code: int, reason: str, message: str) -> bool:
        """A view (set) was dropped for `reason`; `message` tells a person. True when it is time to log it (again)."""
        now = time.monotonic()
        with self._lock:
            self._counts[reason] += 1
            first, last, _ = self._last.get(code, (now, now, ""))
            self._last[code] = (first if now - last < 5.0 else now, now, message)
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

    def solved(self, *codes: int) -> None:
        """The problem is gone."""
        with self._lock:
            for code in codes:
                self._last.pop(code, None)

    def recent(self, code: int, within_s: float = 5.0) -> tuple[str, float] | None:
        """Message and duration in seconds of a problem that was reported lately."""
        with self._lock:
            entry = self._last.get(code)
        if entry is None or time.monotonic() - entry[1] > within_s:
            return None
        return entry[2], entry[1] - entry[0]

    def newest(self, within_s: float = 10.0) -> tuple[int, str] | None:
        """Code and message of the problem that was reported last."""
        with self._lock:
            entries = [(last, code, text) for code, (_, last, text) in self._last.items()]
        if not entries or time.monotonic() - max(entries)[0] > within_s:
            return None
        return max(entries)[1:]


class Latencies:
    """Durations of the last 200 view sets in seconds."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=200)

    def add(self, seconds: float) -> None:
        self._values.append(seconds)

    def percentile(self, percent: float) -> float:
        """0 when there is none yet."""
        return float(np.percentile(self._values, percent)) if self._values else 0.0
