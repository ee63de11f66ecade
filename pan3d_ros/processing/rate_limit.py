"""How often something may happen, by a schedule instead of by gaps."""

from __future__ import annotations

# A source at just the allowed rate is never exact: with gaps alone every second set of it would be refused.
EARLY_SHARE = 0.25  # of a period


class RateLimit:
    """Grants at most `rate_hz` in the long run; one grant may come a quarter of a period early."""

    def __init__(self) -> None:
        self._next_s = float("-inf")

    def take(self, now_s: float, rate_hz: float) -> bool:
        """Whether it may happen now; counts it if so. `rate_hz` 0 = always."""
        if not rate_hz:
            return True
        period_s = 1.0 / rate_hz
        if now_s < self._next_s - EARLY_SHARE * period_s:
            return False
        self._next_s = max(self._next_s, now_s) + period_s
        return True
