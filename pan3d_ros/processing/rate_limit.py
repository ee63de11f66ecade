"""How often something may happen, by a schedule instead of by gaps."""

from __future__ import annotations

# A source at just the allowed rate is never exact: with gaps alone every second set of it would be refused.
EARLY_SHARE = 0.25  # of a period


class RateLimit:
    """Grants at most `rate_hz` in the long run; one grant may come a quarter of a period early."""

    def __init__(self) -> None:
        self._next_s = float("-inf")

    def take(self, now_s: float, rate_hz: float) -> bool:
        """Ask whether it may happen now, and count it if so.

        Args:
            now_s: Of any one clock.
            rate_hz: Allowed rate; 0 = always.

        Returns:
            Whether it may.
        """
        if not rate_hz:
            return True
        period_s = 1.0 / rate_hz
        if now_s < self._next_s - EARLY_SHARE * period_s:
            return False
        self._next_s = max(self._next_s, now_s) + period_s
        return True
