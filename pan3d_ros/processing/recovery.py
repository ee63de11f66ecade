"""When a perception that has ended is tried again. No ROS in here: the node asks `due`, and tries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pan3d_ros.parameters.node_config import RecoveryConfig


class Recovery:
    """Attempts with growing delays. For use by several threads.

    Args:
        steady_s: Seconds on a clock that never jumps.
    """

    def __init__(self, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._due_s: float | None = None
        self._attempts = 0
        self._given_up = False

    def failed(self, config: RecoveryConfig, *, worked: bool = False) -> None:
        """Plan the next attempt, or none where there were enough.

        Args:
            config: The delays, and how many attempts there may be.
            worked: There were results since the last attempt, so that counting and delays begin anew.
        """
        with self._lock:
            if worked:
                self._attempts = 0
            self._given_up = bool(config.max_attempts) and self._attempts >= config.max_attempts
            if not config.enabled or self._given_up:
                self._due_s = None
                return
            # The exponent is bounded so that years of attempts do not overflow a float.
            delay_s = min(config.initial_delay_s * config.factor ** min(self._attempts, 100), config.max_delay_s)
            self._attempts += 1
            self._due_s = self._steady_s() + delay_s

    def cancel(self) -> None:
        """Plan nothing any more: somebody else has taken over, or it works."""
        with self._lock:
            self._due_s = None
            self._given_up = False

    @property
    def due(self) -> bool:
        """Whether it is time for the planned attempt."""
        due_s = self._due_s
        return due_s is not None and self._steady_s() >= due_s

    def words(self) -> str:
        """Say what is planned, for diagnostics: "failed, trying again in 3 s (attempt 2)"; empty where nothing is."""
        with self._lock:
            if self._given_up:
                return f"failed, and given up after {self._attempts} attempts; configure the node to try again"
            if self._due_s is None:
                return ""
            return f"failed, trying again in {max(0.0, self._due_s - self._steady_s()):.0f} s (attempt {self._attempts})"
