"""An endless, shuffled stream of scenes that can be continued exactly from any place.

The order is worked out from names alone, before anything is read: chapters are permuted per epoch, dealt out to all workers of
all ranks, and their scenes pass through a shuffle buffer. So the state of a stream is one number, how many scenes were taken,
and continuing reads again only the chapters that the buffer still holds scenes of.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pan3d_sim.data.scene_records import DamagedScene, SceneRecord
from training.data.scenes.shards import SceneShards, UnreadableChapter

_log = logging.getLogger("pan3d.training")
_CHAPTERS, _BUFFER = 0, 1  # purposes of random numbers


@dataclass(frozen=True)
class BadScene:
    """A scene that cannot be used."""

    chapter: str
    key: str
    reason: str


def buffer_order(count: int, capacity: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) the order in which `count` scenes leave a shuffle buffer of `capacity` that reads them as 0, 1, 2, ...

    Scene i leaves after at most i + `capacity` - 1 were read; a capacity of 1 changes nothing.
    """
    held = list(range(min(capacity, count)))
    following = len(held)
    order = np.empty(count, dtype=np.int64)
    for place, draw in enumerate(rng.random(count)):
        chosen = int(draw * len(held))
        order[place] = held[chosen]
        if following < count:
            held[chosen] = following
            following += 1
        else:
            held[chosen] = held[-1]
            held.pop()
    return order


@dataclass(frozen=True)
class StreamPlan:
    """How scenes are shuffled and dealt out. `share` counts the workers of all ranks."""

    seed: int
    buffer: int  # scenes
    shares: int

    def __post_init__(self) -> None:
        if self.buffer < 1 or self.shares < 1:
            raise ValueError(f"buffer, shares: expected at least 1, got {self.buffer} and {self.shares}")

    def reading_order(self, shards: SceneShards, epoch: int, share: int) -> list[tuple[int, str]]:
        """(chapter, key) of an epoch's scenes that fall to a share, as they are read: whole chapters where there are enough."""
        order = np.random.default_rng([self.seed, epoch, _CHAPTERS]).permutation(len(shards.chapters)).tolist()
        if len(order) >= self.shares:
            return [(chapter, key) for chapter in order[share :: self.shares] for key in shards.keys(chapter)]
        return [(chapter, key) for chapter in order for key in shards.keys(chapter)][share :: self.shares]

    def leaving_order(self, count: int, epoch: int, share: int) -> np.ndarray:
        """Indices into the reading order as the scenes leave the buffer."""
        return buffer_order(count, self.buffer, np.random.default_rng([self.seed, epoch, _BUFFER, share]))


class SceneStream(IterableDataset):
    """Endless scenes of one rank, decoded; unusable ones come as `BadScene` in their place."""

    def __init__(self, shards: SceneShards, plan: StreamPlan, first_share: int, taken: int = 0) -> None:
        """`first_share`: of this rank, whose worker w has share `first_share` + w; `taken`: scenes to leave out, by all workers
        together."""
        self.scenes = sum(len(shards.keys(chapter)) for chapter in range(len(shards.chapters)))
        if self.scenes < plan.shares:
            raise ValueError(f"data: expected at least {plan.shares} scenes for as many workers, got {self.scenes}")
        self.shards, self.plan, self.first_share, self.taken = shards, plan, first_share, taken

    def __iter__(self) -> Iterator[SceneRecord | BadScene]:
        info = get_worker_info()
        workers = 1 if info is None else info.num_workers
        # A loader asks its workers in turn from its first on, so the first continues whose turn it is.
        worker = ((0 if info is None else info.id) + self.taken) % workers
        left_out = (self.taken - worker + workers - 1) // workers
        share = self.first_share + worker
        for epoch in itertools.count():
            reading = self.plan.reading_order(self.shards, epoch, share)
            if left_out >= len(reading):
                left_out -= len(reading)
                continue
            yield from self._epoch(reading, self.plan.leaving_order(len(reading), epoch, share)[left_out:])
            left_out = 0

    def _epoch(self, reading: list[tuple[int, str]], leaving: np.ndarray) -> Iterator[SceneRecord | BadScene]:
        wanted = np.zeros(len(reading), dtype=bool)
        wanted[leaving] = True
        arriving = self._read(reading, wanted)
        held: dict[int, object] = {}
        for place in leaving.tolist():
            while place not in held:
                index, stored = next(arriving)
                held[index] = stored
            stored = held.pop(place)
            yield stored if isinstance(stored, BadScene) else self._decode(reading[place], stored)

    def _read(self, reading: list[tuple[int, str]], wanted: np.ndarray) -> Iterator[tuple[int, object]]:
        """(index into `reading`, stored scene or why there is none) of all wanted scenes, chapter by chapter."""
        for chapter, group in itertools.groupby(range(len(reading)), key=lambda index: reading[index][0]):
            waiting = {reading[index][1]: index for index in group if wanted[index]}
            if not waiting:
                continue
            reason = "not in the shard"
            try:
                for key, stored in self.shards.read(chapter, frozenset(waiting)):
                    if key in waiting:
                        yield waiting.pop(key), stored
            except UnreadableChapter as error:
                reason = str(error)
            for key, index in waiting.items():
                yield index, BadScene(self.shards.chapters[chapter], key, reason)

    def _decode(self, place: tuple[int, str], stored: object) -> SceneRecord | BadScene:
        chapter, key = place
        try:
            return self.shards.decode(stored)
        except DamagedScene as error:
            return BadScene(self.shards.chapters[chapter], key, str(error))


class SceneReader:
    """One rank's scenes: the stream, decoded in worker processes, with bad scenes left out, counted and named."""

    def __init__(
        self,
        shards: SceneShards,
        *,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        workers: int = 1,
        buffer: int = 1000,
        max_bad_share: float = 0.02,
    ) -> None:
        """`workers` per rank, 0 = in this process; `buffer`: scenes that each worker shuffles among. More than 10 bad scenes and
        more than `max_bad_share` of those taken, or of the rank's part of an epoch while that is more, raise `ValueError`."""
        self.shards, self.rank, self.ranks, self.workers = shards, rank, ranks, workers
        self.max_bad_share = max_bad_share
        self.plan = StreamPlan(seed, min(buffer, shards.largest_buffer), ranks * max(workers, 1))
        self.taken = self.bad = 0
        self._scenes: Iterator[SceneRecord | BadScene] | None = None
        self.scenes = self._stream().scenes  # also says at once when there are too few

    def next(self) -> SceneRecord:
        """The next usable scene."""
        if self._scenes is None:
            self._scenes = iter(self._loader())
        while True:
            item = next(self._scenes)
            self.taken += 1
            if not isinstance(item, BadScene):
                return item
            self._count_bad(item)

    def state_dict(self) -> dict[str, int]:
        """Where the stream stands: what `next` gave so far."""
        return {
            "taken": self.taken,
            "bad": self.bad,
            "shares": self.plan.shares,
            "seed": self.plan.seed,
            "buffer": self.plan.buffer,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue exactly after the scene that was given last when `state` was taken.

        Raises `ValueError` when seed, buffer, ranks or workers are others: the order would be another one.
        """
        own = self.state_dict()
        for name in ("shares", "seed", "buffer"):
            if state[name] != own[name]:
                raise ValueError(f"{name}: expected {state[name]} as when the state was saved, got {own[name]}")
        self.close()
        self.taken, self.bad = state["taken"], state["bad"]

    def close(self) -> None:
        """End the worker processes; `next` starts them again."""
        self._scenes = None

    def _stream(self) -> SceneStream:
        return SceneStream(self.shards, self.plan, self.rank * max(self.workers, 1), self.taken)

    def _loader(self) -> DataLoader:
        context = self.shards.worker_context if self.workers else None
        return DataLoader(self._stream(), batch_size=None, num_workers=self.workers, multiprocessing_context=context)

    def _count_bad(self, scene: BadScene) -> None:
        self.bad += 1
        _log.warning("left out: shard %s, scene %s: %s (%d of %d)", scene.chapter, scene.key, scene.reason, self.bad, self.taken)
        if self.bad > max(10, self.max_bad_share * max(self.taken, self.scenes / self.ranks)):
            raise ValueError(
                f"data: expected at most {self.max_bad_share:.0%} bad scenes, got {self.bad} of {self.taken}, "
                f"the last being {scene.key} of {scene.chapter}: {scene.reason}"
            )
