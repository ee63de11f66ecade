"""What takes long in this process right now, for whoever asks from another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """Something that has begun and not ended."""

    words: str  # what is being done
    began_s: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began_s

    def __str__(self) -> str:
        return f"{self.words}, for {self.seconds:.0f} s now"


_lock = threading.Lock()
_steps: list[Step] = []  # those within others behind them


@contextmanager
def step(words: str) -> Iterator[None]:
    """Say what is being done for the time of a `with` block; steps within it are told in its place."""
    own = Step(words)
    with _lock:
        _steps.append(own)
    try:
        yield
    finally:
        with _lock:
            # By identity: another thread may have begun one with the same words in the same instant.
            _steps[:] = [other for other in _steps if other is not own]


def current_step() -> Step | None:
    """What has begun last of all that has not ended; None where nothing takes long."""
    with _lock:
        return _steps[-1] if _steps else None
