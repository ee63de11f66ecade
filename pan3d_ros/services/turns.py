"""How many requests are there at a time, how many are computed at a time, and how fast answers leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pan3d_interfaces.msg import ErrorCode

from pan3d_ros.services.requests import RequestError

COMPUTED_AT_ONCE = 2  # of those that wait for the same result, so that its coming is no rush for the cores
# A client of ROS's defaults keeps ten answers until it takes them, and what comes on top of ten is lost: with gaps of 8 ms some
# were, where the client's executor had pictures to send, too.
ANSWERS_AT_ONCE, GAP_S = 5, 0.02


class Turns:
    """Bounds what many callers cost. `computing` is held while an answer is computed."""

    def __init__(self) -> None:
        self.computing = threading.Semaphore(COMPUTED_AT_ONCE)
        self.waiting = 0
        self._lock, self._leaving = threading.Lock(), threading.Lock()
        self._next_s = 0.0  # when the next answer would leave if all were one gap apart

    @contextmanager
    def admitted(self, at_most: int) -> Iterator[None]:
        """Count a request as waiting for the block.

        Args:
            at_most: So many at a time.

        Raises:
            RequestError: So many are waiting already (BUSY).
        """
        with self._lock:
            if self.waiting >= at_most:
                raise RequestError(ErrorCode.BUSY, f"{self.waiting} requests are waiting already")
            self.waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self.waiting -= 1

    def pace(self) -> None:
        """Return when an answer may leave: a few at once, and then one after the other with a gap."""
        with self._leaving:  # also while sleeping: where the machine is busy and sleep long, clients are slow, too
            now_s = time.monotonic()
            if self._next_s > now_s:
                time.sleep(GAP_S)
                now_s = time.monotonic()
            self._next_s = max(self._next_s, now_s - ANSWERS_AT_ONCE * GAP_S) + GAP_S
