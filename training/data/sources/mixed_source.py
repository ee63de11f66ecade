"""Batches of several sources by weight, with the same calls as `sources.ShardSource`.

Every batch is of one source, which is drawn from seed, step and place alone: scenes of different sizes never meet. A source that
has nothing more to give (its folder is gone, too many of its scenes are bad) is left out from then on, and the others go on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from training.data.arrays import SceneBatch
from training.data.sources.draws import StepDraws
from training.data.sources.shard_source import UNREADABLE

_log = logging.getLogger("pan3d.training")


class BatchSource(Protocol):
    """What the loop asks of a source of batches."""

    @property
    def scenes(self) -> int:
        """How many there are, for all ranks together."""

    @property
    def corrupt(self) -> int:
        """Scenes of this rank that could not be used so far."""

    @property
    def batch_size(self) -> int:
        """Scenes of a batch of this step."""

    def begin_step(self, step: int, batches: int | None = None) -> None:
        """Batches belong to step number `step` from here on, of which there are so many; None = as many as are accumulated."""

    def batch(self, part: int) -> SceneBatch:
        """Accumulated batch `part` of this step. Batches must be asked for in order."""

    def state(self) -> dict[str, Any]:
        """Where the source stands after the last whole step."""

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Go on where it stood; `states` of all ranks."""


class MixedSource:
    """This rank's share of several sources."""

    def __init__(
        self,
        sources: Mapping[str, BatchSource],
        weights: Sequence[float],
        draws: StepDraws,
        accumulate: int,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """`sources` by their places, as messages and checkpoints name them; one of the `weights` for each; `share`: this rank and
        how many there are."""
        self.names, self._sources = tuple(sources), tuple(sources.values())
        self.weights, self.draws, self.accumulate = list(weights), draws, accumulate
        self._share = share
        self._step, self._first, self._given = -1, 0, 0
        self._picks: list[int] = []  # the source of each batch from `_first` on

    @property
    def scenes(self) -> int:
        return sum(source.scenes for source in self._sources)

    @property
    def corrupt(self) -> int:
        return sum(source.corrupt for source in self._sources)

    @property
    def ended(self) -> int:
        """Sources that have nothing more to give."""
        return sum(weight == 0 for weight in self.weights)

    @property
    def batch_size(self) -> int:
        """Scenes of the batch that was given last."""
        return self._sources[self._given].batch_size

    def begin_step(self, step: int, batches: int | None = None) -> None:
        self._step = step
        self._pick(0, self.accumulate if batches is None else batches)

    def _pick(self, first: int, batches: int) -> None:
        """Draw the sources of the batches from `first` on."""
        self._first = first
        while True:
            if not any(self.weights):
                raise ValueError(f"sampling.sources: expected one that has scenes left, got none of {', '.join(self.names)}")
            self._picks = self.draws.sources(self._step, range(first, batches), self.weights)
            for index, count in sorted(Counter(self._picks).items()):
                try:
                    self._sources[index].begin_step(self._step, count)
                except UNREADABLE as error:
                    self._end(index, error)
                    break
            else:
                return

    def batch(self, part: int) -> SceneBatch:
        while True:
            place = part - self._first
            self._given = index = self._picks[place]
            try:
                return self._sources[index].batch(self._picks[:place].count(index))
            except UNREADABLE as error:
                self._end(index, error)
            self._pick(part, self._first + len(self._picks))

    def _end(self, index: int, error: Exception) -> None:
        self.weights[index] = 0.0
        _log.warning("sampling.sources: %s gives no more scenes (%s); the run goes on without it", self.names[index], error)

    def state(self) -> dict[str, Any]:
        own = zip(self.names, self._sources, self.weights, strict=True)
        return {"sources": {name: {"ended": weight == 0, **source.state()} for name, source, weight in own}}

    def restore(self, states: list[dict[str, Any]]) -> None:
        saved = tuple(states[0].get("sources", ()))
        if saved != self.names:
            was = ", ".join(saved) or "none"
            raise ValueError(f"sampling.sources: expected {was} as when the checkpoint was saved, got {', '.join(self.names)}")
        for index, (name, source) in enumerate(zip(self.names, self._sources, strict=True)):
            of_ranks = [state["sources"][name] for state in states]
            own = [{key: value for key, value in state.items() if key != "ended"} for state in of_ranks]
            source.restore(own)
            rank, ranks = self._share
            if of_ranks[rank]["ended"] if len(states) == ranks else all(state["ended"] for state in of_ranks):
                self.weights[index] = 0.0
