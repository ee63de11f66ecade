"""The one thread that owns the compute device. It always works on the newest job."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
log = logging.getLogger("pan3d.ros.worker")


class LatestWorker(Generic[T]):
    """Runs `process(job)` in its own thread; a waiting job is replaced by a newer one.

    An exception out of `process` ends the thread: it is logged with its traceback, kept in `failure` and
    handed to `on_failure`. Errors that concern one job only must be handled inside `process`. `on_idle` is called in the thread
    after a job when no other waits.
    """

    def __init__(
        self,
        process: Callable[[T], None],
        on_failure: Callable[[Exception], None],
        name: str = "pan3d-worker",
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self.failure: Exception | None = None
        self.processed = 0
        self.replaced = 0
        self._process = process
        self._on_failure, self._on_idle = on_failure, on_idle
        self._waiting: T | None = None
        self._busy_since_s: float | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """True once `stop` was called; long waits inside `process` should end then."""
        return self._stopping

    @property
    def is_idle(self) -> bool:
        """Whether a job would be begun at once."""
        return self._busy_since_s is None and self._waiting is None

    @property
    def busy_s(self) -> float:
        """Seconds that the present job has been running, 0 when idle."""
        since = self._busy_since_s
        return 0.0 if since is None else time.monotonic() - since

    def offer(self, job: T) -> None:
        """Make `job` the next one. Returns at once."""
        with self._changed:
            if self._waiting is not None:
                self.replaced += 1
            self._waiting = job
            self._changed.notify()

    def discard(self) -> None:
        """Forget a job that has not been started."""
        with self._changed:
            self._waiting = None

    def stop(self, timeout_s: float) -> bool:
        """End the thread after the present job. False when it is still running after `timeout_s`."""
        with self._changed:
            self._stopping = True
            self._waiting = None
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _next(self) -> T | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._waiting is not None)
            job, self._waiting = self._waiting, None
            return None if self._stopping else job

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._busy_since_s = time.monotonic()
            try:
                self._process(job)
            except Exception as error:  # noqa: BLE001 (the boundary of the thread: everything unexpected must surface)
                log.exception("perception stopped: %s", error)
                self.failure = error
                self._on_failure(error)
                return
            finally:
                self._busy_since_s = None
            self.processed += 1
            if self.is_idle:
                self._on_idle()
