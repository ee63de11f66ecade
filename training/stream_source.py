"""Batches from a stream of scenes, with the same calls as `sources.ShardSource`."""

from __future__ import annotations

from pathlib import Path

import torch

from training.datasets import SceneBatch, batch_of_records
from training.folder_shards import open_scene_folders
from training.scene_shards import SceneShards, is_url, open_tar_shards
from training.scene_stream import SceneReader
from training.settings import SamplingConfig
from training.sources import generator_from

RENDERED = "cell"


def open_shards(location: str) -> SceneShards:
    """What a location names: "cell" (rendered on the fly), a URL or folder of tar shards, or a folder of scene folders.

    Raises `ValueError` when there are no scenes for training.
    """
    if location == RENDERED:
        from training.rendered_shards import RenderedShards

        return RenderedShards()
    if is_url(location) or any(Path(location).glob("*.tar")):
        return open_tar_shards(location)
    return open_scene_folders(location)


class StreamSource:
    """This rank's share of an endless stream of scenes, batch by batch."""

    def __init__(self, reader: SceneReader, config: SamplingConfig, seed: int) -> None:
        self.reader, self.config, self.seed = reader, config, seed
        self._step = -1

    @property
    def corrupt(self) -> int:
        """Scenes left out so far."""
        return self.reader.bad

    def begin_step(self, step: int) -> None:
        """From here on batches belong to step number `step`."""
        self._step = step

    def num_views(self) -> int:
        """Views of this step's samples: the same on all ranks, which then take equally long."""
        weights = torch.tensor(self.config.view_weights)
        drawn = int(torch.multinomial(weights, 1, generator=generator_from(self.seed, self._step, 0)))
        return min(int(self.config.view_counts[drawn]), self.reader.shards.num_views)

    def batch(self, part: int) -> SceneBatch:
        """Accumulated batch `part` of this step. Batches must be asked for in order."""
        records = [self.reader.next() for _ in range(self.config.batch)]
        generator = generator_from(self.seed, self._step, 1, part, self.reader.rank)
        views = [torch.randperm(record.num_views, generator=generator)[: self.num_views()].numpy() for record in records]
        return batch_of_records(records, views)

    def state(self) -> dict:
        """Where the stream stands after the last whole step."""
        return self.reader.state_dict()

    def restore(self, states: list[dict]) -> None:
        """`states`: of all ranks, of which there must be as many as then: a stream is dealt out by ranks."""
        if len(states) != self.reader.ranks:
            raise ValueError(f"ranks: expected {len(states)} as when the checkpoint was saved, got {self.reader.ranks}")
        self.reader.load_state_dict(states[self.reader.rank])
