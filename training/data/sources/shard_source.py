"""Where a run's batches come from, and what becomes of samples that cannot be read.

All chance is drawn anew from (seed, step, place in the step), never carried along: a resumed run, and a run with other
numbers of ranks and accumulated batches but the same batches in all, sees the same samples.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.data.arrays import Sampler, SceneBatch, ShardSet
from training.data.resize import cut_to_aspect
from training.data.sources.draws import StepDraws, generator_from
from training.settings import SamplingConfig

_log = logging.getLogger("pan3d.training")

TENSORS = tuple(item.name for item in fields(SceneBatch) if item.name != "teacher")  # the teacher is asked later
UNREADABLE = (OSError, ValueError, EOFError, KeyError, IndexError)
ATTEMPTS = 50


def require_sound(batch: SceneBatch) -> None:
    """Raise `ValueError` for numbers that no rendering or recording gives: NaN, negative depth, ids without a kind."""
    for item in fields(SceneBatch):
        value = getattr(batch, item.name)
        if item.name == "support_height":  # NaN = there is none; who needs one says so
            continue
        if isinstance(value, Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{item.name}: expected finite values, got NaN or infinity")
    if batch.depth.min() < 0:
        raise ValueError(f"depth: expected 0 or more, got {float(batch.depth.min())}")
    if batch.ids.min() < 0 or batch.ids.max() >= batch.kinds.shape[1]:
        raise ValueError(f"ids: expected 0 to {batch.kinds.shape[1] - 1}, got {int(batch.ids.min())} to {int(batch.ids.max())}")
    if bool((batch.intrinsics[..., [0, 1], [0, 1]] <= 0).any()):
        raise ValueError("intrinsics: expected positive focal lengths")


def stack_batches(parts: list[SceneBatch]) -> SceneBatch:
    """Batches of equal shapes -> one batch."""
    stacked: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]) for name in TENSORS}
    return SceneBatch(**stacked)


class ShardSource:
    """This rank's share of an endless shuffled stream of scenes."""

    ended = 0  # such a set of scenes has no end

    def __init__(
        self, shards: ShardSet, config: SamplingConfig, seed: int, rank: int, ranks: int, accumulate: int,
        draws: StepDraws | None = None,
    ) -> None:  # fmt: skip
        """`seed` of the scenes' order and of each sample; `draws` of the run, None = of this seed."""
        self.shards, self.config, self.seed = shards, config, seed
        self.draws = draws or StepDraws(config, seed)
        self.rank, self.ranks, self.accumulate = rank, ranks, accumulate
        # Every rank draws the whole step's scenes and takes its part, so all agree on the order.
        self.sampler = Sampler(shards, self.seed, rank=0, world=1)
        self.corrupt = 0
        self._step = -1
        self._indices = np.zeros(0, dtype=np.int64)

    @property
    def scenes(self) -> int:
        """How many there are now."""
        return len(self.shards)

    def begin_step(self, step: int, batches: int | None = None) -> None:
        """Draw the scenes of step number `step`, of so many batches per rank; None = as many as are accumulated."""
        self._step = step
        self._indices = self.sampler.next(self.batch_size * self.ranks * (self.accumulate if batches is None else batches))

    @property
    def batch_size(self) -> int:
        """Scenes of a batch of this step."""
        return self.draws.scenes(self.num_views())

    def num_views(self) -> int:
        """Views of this step's samples."""
        return self.draws.views(self._step, self.shards.num_views)

    def batch(self, part: int) -> SceneBatch:
        """Batch `part` of this step."""
        first = (part * self.ranks + self.rank) * self.batch_size
        made = stack_batches([self._scene(place) for place in range(first, first + self.batch_size)])
        return cut_to_aspect(made, self.draws.aspect(self._step))

    def _scene(self, place: int) -> SceneBatch:
        """The scene at `place` of the step, or another one when it cannot be read."""
        generator = generator_from(self.seed, self._step, 1, place)
        index = int(self._indices[place])
        views = self.num_views()
        for _ in range(ATTEMPTS):
            chosen = torch.randperm(self.shards.num_views, generator=generator)[:views].numpy()
            scene = self._read(index, chosen)
            if scene is not None:
                return scene
            index = int(torch.randint(len(self.shards), (), generator=generator))
        raise ValueError(f"data: expected a readable scene among {ATTEMPTS} random ones in {self.shards.folder}, got none")

    def _read(self, index: int, views: np.ndarray) -> SceneBatch | None:
        try:
            scene = self.shards.batch(np.array([index]), [views])
            require_sound(scene)
        except UNREADABLE as error:
            self.corrupt += 1
            _log.warning("scene %d of %s cannot be used (%s); another one takes its place", index, self.shards.folder, error)
            if self.corrupt > self.config.max_corrupt:
                raise ValueError(
                    f"sampling.max_corrupt: expected at most {self.config.max_corrupt} unreadable samples, got {self.corrupt}"
                ) from error
            return None
        return scene

    def state(self) -> dict:
        """Where the stream stands after the last whole step."""
        return {"sampler": self.sampler.state(), "corrupt": self.corrupt}

    def restore(self, states: list[dict]) -> None:
        """`states`: of all ranks, which may have been of another number."""
        if len(states) == self.ranks:
            own = states[self.rank]
            self.sampler.restore(own["sampler"])
            self.corrupt = own["corrupt"]
        else:
            self.sampler.restore(states[0]["sampler"])
            self.corrupt = sum(state["corrupt"] for state in states) if self.rank == 0 else 0
