"""What narrow numbers cost a network, in figures of its task: judged once for each network, runtime, version and machine.

Who judges is no matter of a runtime: `pan3d export --precision` runs the whole pipeline on scenes with truth. Here the verdict is
kept, and a network without one, or with a bad one, is not used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path

from pan3d_core.runtime.networks.built import network_entry
from pan3d_core.runtime.networks.cache import CacheEntry
from pan3d_core.runtime.networks.interface import Graph, PrecisionRefused, RuntimeFacts, RuntimeUnavailable

_ON_TRIAL: ContextVar[bool] = ContextVar("on_trial", default=False)


@dataclass(frozen=True)
class Judgement:
    """One figure of the task."""

    name: str
    wide: float  # in torch, float32
    narrow: float
    allowed: float  # how much worse it may be: negative where less is worse

    @property
    def holds(self) -> bool:
        """Whether it is no worse than allowed."""
        change = self.narrow - self.wide
        return change >= self.allowed if self.allowed < 0 else change <= self.allowed

    def __str__(self) -> str:
        return f"{self.name} {self.wide:.4g} -> {self.narrow:.4g} (by {abs(self.allowed):g} at most)"


@contextmanager
def on_trial() -> Iterator[None]:
    """For as long as it lasts, networks open whose verdict is still to come."""
    token = _ON_TRIAL.set(True)
    try:
        yield
    finally:
        _ON_TRIAL.reset(token)


def judgement_entry(graph: Graph, facts: RuntimeFacts) -> CacheEntry:
    """The place in the cache of the verdict on a network in narrow numbers."""
    parts = {
        "network": network_entry(graph).key, "runtime": facts.name, "version": facts.version, "device": facts.device,
        "precision": facts.precision,
    }  # fmt: skip
    return CacheEntry(graph.engine, parts, "judged.json")


def keep_judgements(graph: Graph, facts: RuntimeFacts, found: Sequence[Judgement]) -> None:
    """Keep a verdict, instead of an earlier one.

    Args:
        graph: The network.
        facts: Of the runtime and the precision that it was judged in.
        found: At least one figure.

    Raises:
        OSError: The disk is full or the cache cannot be written.
    """
    content = json.dumps([asdict(figure) for figure in found])
    entry = judgement_entry(graph, facts)
    entry.discard()
    entry.build(lambda at: _write(at, content))


def require_judged(graph: Graph, facts: RuntimeFacts) -> None:
    """Refuse a network in narrow numbers unless it was judged and did no harm.

    Args:
        graph: The network.
        facts: Of the runtime and the precision.

    Raises:
        PrecisionRefused: It did harm; says in which figures.
        RuntimeUnavailable: Nobody has judged it.
    """
    if _ON_TRIAL.get():
        return
    path = judgement_entry(graph, facts).find()
    if path is None:
        raise RuntimeUnavailable(
            f"{facts.name} {facts.version} has not been judged in {facts.precision} on this machine; "
            f"pan3d export {graph.engine} --precision {facts.precision} does"
        )
    bad = [figure for figure in map(_read, json.loads(path.read_text(encoding="utf-8"))) if not figure.holds]
    if bad:
        raise PrecisionRefused(f"{facts.name} in {facts.precision} was refused: {', '.join(map(str, bad))}")


def _read(values: dict[str, float | str]) -> Judgement:
    return Judgement(**values)  # type: ignore[arg-type]  # as `keep_judgements` wrote them, which the cache's checksum says


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
