"""What the node knows at the moment: the newest result, for all threads, and how long the last ones took."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from pan3d_interfaces.msg import InstanceArray

from pan3d_core.structures import PerceptionResult


@dataclass(frozen=True)
class SceneResult:
    """One processed view set."""

    sequence: int  # 1, 2, ... since activation
    result: PerceptionResult
    instances: InstanceArray
    frame_ids: Mapping[str, str]  # camera -> optical frame
    stages_s: Mapping[str, float]  # stage -> seconds; "wait" = newest stamp to begin of work

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

    def wake(self) -> None:
        """Let those who wait ask again whether their wait is cancelled."""
        with self._changed:
            self._changed.notify_all()

    def wait(
        self, fits: Callable[[SceneResult], bool], timeout_s: float, cancelled: Callable[[], bool], poll_s: float = 0.1
    ) -> SceneResult | None:
        """Wait for a result.

        Args:
            fits: Whether the newest result is what is waited for.
            timeout_s: How long.
            cancelled: Is asked at every change and after `poll_s`; True ends it.
            poll_s: Longest time between two such questions.

        Returns:
            The newest result once it fits; None when time is up or it is cancelled.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                if self._latest is not None and fits(self._latest):
                    return self._latest
                left = deadline - time.monotonic()
                if left <= 0 or cancelled():
                    return None
                self._changed.wait(min(left, poll_s))


class Latencies:
    """Durations of the last 200 view sets in seconds."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=200)

    def add(self, seconds: float) -> None:
        self._values.append(seconds)

    def percentile(self, percent: float) -> float:
        """0 when there is none yet."""
        return float(np.percentile(self._values, percent)) if self._values else 0.0
