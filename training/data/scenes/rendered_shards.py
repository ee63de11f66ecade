"""Training scenes rendered on the fly, the same that `pan3d sim render --shards` would write for their seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from pan3d_sim.data.bank import SCENES_PER_BANK
from pan3d_sim.data.scene_records import FIRST_HELD_OUT_SEED, SceneRecord, ShardRange, scene_key
from pan3d_sim.data.shards import SceneSettings, record_scene


@dataclass(frozen=True)
class RenderedShards:
    """Scenes rendered on the fly: seeds `first` to `first + count - 1`, a chapter per bank of objects."""

    first: int = 0
    count: int = FIRST_HELD_OUT_SEED
    num_views: int = 4
    width: int = 144
    height: int = 112
    worker_context = "spawn"  # the GL libraries do not survive a fork
    largest_buffer = 3 * SCENES_PER_BANK  # what fills the buffer is rendered before the first scene is given out

    def __post_init__(self) -> None:
        if self.first < 0 or self.count < 1 or self.first + self.count > FIRST_HELD_OUT_SEED:
            got = f"{self.first} to {self.first + self.count - 1}"
            raise ValueError(f"first, count: expected seeds of training, 0 to {FIRST_HELD_OUT_SEED - 1}, got {got}")

    @cached_property
    def chapters(self) -> tuple[str, ...]:
        """Named by their seeds."""
        return tuple(seeds.name for seeds in self._ranges)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of training."""
        return self._settings().kinds

    def keys(self, chapter: int) -> list[str]:
        """One per seed."""
        return [scene_key(seed) for seed in self._ranges[chapter].seeds]

    def read(self, chapter: int, wanted: Collection[str]) -> Iterator[tuple[str, SceneRecord]]:
        """Render the wanted scenes."""
        with self._settings().stream() as stream:
            for seed in self._ranges[chapter].seeds:
                if scene_key(seed) in wanted:
                    yield scene_key(seed), record_scene(seed, stream.render(seed), self.kinds)

    def decode(self, stored: SceneRecord) -> SceneRecord:
        """Nothing to do."""
        return stored

    def _settings(self) -> SceneSettings:
        return SceneSettings(num_views=self.num_views, width=self.width, height=self.height)

    @cached_property
    def _ranges(self) -> list[ShardRange]:
        end, start = self.first + self.count, self.first - self.first % SCENES_PER_BANK
        borders = range(start, end, SCENES_PER_BANK)
        return [ShardRange(max(self.first, low), min(low + SCENES_PER_BANK, end) - 1) for low in borders]
