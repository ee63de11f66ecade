"""Pieces of work that take turns in one process, and straight lines through what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import torch

from pan3d_tools.bench.official.side_worker import processor_s


class Clock:
    """Wall and processor seconds of named parts of a piece of work; a part that comes again is added up."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, float]] = {}
        self._last = self._now()

    def mark(self, name: str) -> None:
        """What was done since the last mark is `name`."""
        now = self._now()
        part = self.parts.setdefault(name, {"wall_s": 0.0, "cpu_s": 0.0})
        for key, before, after in zip(part, self._last, now, strict=True):
            part[key] += after - before
        self._last = now

    @staticmethod
    def _now() -> tuple[float, float]:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        return time.perf_counter(), processor_s()


def take_turns(works: Mapping[str, Callable[[Clock], object]], rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Every piece of work once per round; the least seconds of each part over the rounds, by work, part and kind of time.

    `whole` is the sum of the parts. A first round of each that is not counted warms up when there is more than one."""
    measured: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in works}
    for number in range(rounds + (rounds > 1)):
        for name, work in works.items():
            clock = Clock()
            work(clock)
            kinds = ("wall_s", "cpu_s")
            clock.parts["whole"] = {kind: sum(part[kind] for part in clock.parts.values()) for kind in kinds}
            if number > 0 or rounds == 1:
                measured[name].append(clock.parts)
    return {
        name: {part: {kind: min(turn[part][kind] for turn in turns) for kind in turns[0][part]} for part in turns[0]}
        for name, turns in measured.items()
    }


def line_through(x: Sequence[float], y: Sequence[float]) -> dict[str, float]:
    """Least-squares line: `slope`, `intercept` and `r2`, the share of the variance of y that it explains."""
    a, b = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    slope = ((a - a.mean()) * (b - b.mean())).sum() / (a - a.mean()).square().sum()
    intercept = b.mean() - slope * a.mean()
    rest, spread = (b - intercept - slope * a).square().sum(), (b - b.mean()).square().sum()
    return {"slope": float(slope), "intercept": float(intercept), "r2": float(1 - rest / spread) if spread > 0 else 1.0}
