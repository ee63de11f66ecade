"""What families of networks of any size share: held-out scenes at the network's size, and whether samples are varied."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from training.data.arrays import SceneBatch, ShardSet
from training.data.augment import AugmentConfig
from training.data.resize import resize_batch
from training.settings import TrainConfig

PATCH = 14


def shaped(hw: tuple[int, int], long_edge: int) -> tuple[int, int]:
    """The size in whole patches that has the shape of `hw` and this long edge."""
    scale = long_edge / max(hw)
    height, width = (max(round(side * scale / PATCH), 1) * PATCH for side in hw)
    return height, width


class SizedData:
    """The data of a run for a network of one size."""

    def __init__(self, config: TrainConfig, hw: tuple[int, int]) -> None:
        self.folder, self.hw = config.data, hw
        self.augmentation = AugmentConfig() if config.sampling.augment else None
        self.draws_shapes = bool(config.sampling.aspects)

    @cached_property
    def validation(self) -> ShardSet:
        """Held-out scenes as they are stored."""
        return ShardSet(self.folder / "val")

    def sized(self, batch: SceneBatch) -> SceneBatch:
        """The batch at the network's size."""
        return resize_batch(batch, self.hw)

    def drawn(self, batch: SceneBatch) -> SceneBatch:
        """A training batch at the network's size, or where shapes are drawn in its own shape with the network's long edge."""
        height, width = batch.images.shape[-2:]
        return resize_batch(batch, shaped((height, width), max(self.hw)) if self.draws_shapes else self.hw)

    def scene(self, index: int) -> SceneBatch:
        """One held-out scene with all its views, at the network's size."""
        return self.sized(self.validation.batch(np.array([index]), [np.arange(self.validation.num_views)]))

    def shown(self, scenes: int) -> range:
        """Numbers of the first `scenes` held-out scenes, of all where there are fewer."""
        return range(min(scenes, len(self.validation)))
