"""What the node would have delivered at the recorded rate: its worker, simulated with measured processing times.

The worker takes the newest waiting set when it is free; a set that waits while a newer one comes is replaced. No clock
and no thread in here, so that the same times give the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pan3d_ros.parameters.node_config import InputConfig
from pan3d_ros.processing.rate_limit import RateLimit

REPLACED, STALE, RATE_LIMIT = "replaced", "stale", "rate_limit"


@dataclass(frozen=True)
class FormedSet:
    """A view set as it came to the worker."""

    ready_ns: int  # when it was complete
    newest_ns: int  # newest stamp in it, on the same clock
    busy_s: float  # how long the worker has it
    lost: str = ""  # why it gives no result; "" = it gives one


@dataclass(frozen=True)
class Delivery:
    """A result as it would have come out."""

    index: int  # of the set
    sent_ns: int  # newest stamp
    done_ns: int

    @property
    def age_s(self) -> float:
        """From the newest image to the result."""
        return (self.done_ns - self.sent_ns) * 1e-9


@dataclass(frozen=True)
class Timeline:
    """All results in order, and what became of the other sets."""

    deliveries: tuple[Delivery, ...]
    lost: dict[str, int]  # reason -> sets


@dataclass
class _Worker:
    rules: InputConfig
    deliveries: list[Delivery] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    free_ns: int = -(2**62)
    rate_limit: RateLimit = field(default_factory=RateLimit)

    def start(self, index: int, item: FormedSet, now_ns: int) -> None:
        if self.rules.max_image_age_s and now_ns - item.newest_ns > self.rules.max_image_age_s * 1e9:
            self.lost[STALE] += 1
            return
        if not self.rate_limit.take(now_ns * 1e-9, self.rules.max_rate_hz):
            self.lost[RATE_LIMIT] += 1
            return
        self.free_ns = now_ns + round(item.busy_s * 1e9)
        if item.lost:
            self.lost[item.lost] += 1
        else:
            self.deliveries.append(Delivery(index, item.newest_ns, self.free_ns))


def simulate_worker(sets: Sequence[FormedSet], rules: InputConfig) -> Timeline:
    """Tell which view sets the node's worker would have processed, and when.

    Args:
        sets: In the order in which they were complete.
        rules: Of which `max_rate_hz` and `max_image_age_s` count.

    Returns:
        Deliveries, and how many sets were lost for which reason.
    """
    worker, waiting = _Worker(rules), None
    for index, item in enumerate(sets):
        if waiting is not None and worker.free_ns <= item.ready_ns:
            worker.start(*waiting, worker.free_ns)
            waiting = None
        if worker.free_ns <= item.ready_ns:
            worker.start(index, item, item.ready_ns)
        else:
            if waiting is not None:
                worker.lost[REPLACED] += 1
            waiting = index, item
    if waiting is not None:
        worker.start(*waiting, worker.free_ns)
    return Timeline(tuple(worker.deliveries), dict(worker.lost))
