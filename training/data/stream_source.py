"""Batches from a stream of scenes, with the same calls as `sources.ShardSource`."""

from __future__ import annotations

from pathlib import Path

import torch

from pan3d_core.runtime.lazy import load
from training.data.arrays import SceneBatch, ShardSet, batch_of_records, training_vocabulary
from training.data.folder_shards import open_scene_folders
from training.data.recording_shards import holds_recordings, open_recordings
from training.data.recordings import SamplePlan
from training.data.scene_shards import SceneShards, is_url, open_tar_shards
from training.data.scene_stream import SceneReader
from training.data.sources import ShardSource, generator_from
from training.settings import SamplingConfig, TrainConfig

RENDERED = "cell"
# Loaded by those alone who render: MuJoCo and its GL libraries do not survive a fork, and workers of stored scenes are forked.
RENDERING = "training.data.rendered_shards:RenderedShards"


def open_shards(location: str, plan: SamplePlan | None = None) -> SceneShards:
    """Open what a location names.

    Args:
        location: "cell" (rendered on the fly), a URL or folder of tar shards, or a folder of scene folders or of recordings.
        plan: What a sample of a recording is; without one recordings are not looked for.

    Returns:
        The scenes.

    Raises:
        ValueError: There are no scenes for training.
    """
    if location == RENDERED:
        shards: SceneShards = load(RENDERING)()
        return shards
    if is_url(location) or any(Path(location).glob("*.tar")):
        return open_tar_shards(location)
    if plan is not None and holds_recordings(location):
        return open_recordings(location, plan)
    return open_scene_folders(location)


def open_source(config: TrainConfig, rank: int, ranks: int) -> ShardSource | StreamSource:
    """Open this rank's batches: of the arrays in data/train, or of what `sampling.stream` names.

    Args:
        config: The run.
        rank: Of this process.
        ranks: Of all processes.

    Returns:
        A source of batches that draws all chance from seed and step.

    Raises:
        ValueError: There is nothing to train on, or the stream shows other kinds than the data's words say.
    """
    sampling = config.sampling
    if not sampling.stream:
        return ShardSource(ShardSet(config.data / "train"), sampling, config.seed, rank, ranks, config.execution.accumulate)
    kinds = tuple(training_vocabulary(config.data)["kinds"])
    width, height = sampling.size
    views = int(max(sampling.view_counts))
    plan = SamplePlan(kinds, views, sampling.interval, sampling.stretches, width, height)
    shards = open_shards(sampling.stream, plan)
    if shards.kinds != kinds:
        raise ValueError(f"sampling.stream: expected kinds {', '.join(kinds)} as in {config.data}, got {', '.join(shards.kinds)}")
    options = {"workers": sampling.workers, "buffer": sampling.buffer}
    return StreamSource(SceneReader(shards, seed=config.seed, rank=rank, ranks=ranks, **options), sampling, config.seed)


class StreamSource:
    """This rank's share of an endless stream of scenes, batch by batch."""

    def __init__(self, reader: SceneReader, config: SamplingConfig, seed: int) -> None:
        self.reader, self.config, self.seed = reader, config, seed
        self._step = -1

    @property
    def scenes(self) -> int:
        """How many there are, for all ranks together."""
        return self.reader.scenes

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
        if self.corrupt > self.config.max_corrupt:
            limit = self.config.max_corrupt
            raise ValueError(f"sampling.max_corrupt: expected at most {limit} unreadable samples, got {self.corrupt}")
        generator = generator_from(self.seed, self._step, 1, part, self.reader.rank)
        views = [torch.randperm(record.num_views, generator=generator)[: self.num_views()].numpy() for record in records]
        return batch_of_records(records, views)

    def state(self) -> dict:
        """Where the stream stands after the last whole step."""
        return self.reader.state_dict()

    def restore(self, states: list[dict]) -> None:
        """`states`: of all ranks, of which there must be as many as then: a stream is dealt out by ranks."""
        if "taken" not in states[0]:
            raise ValueError("sampling.stream: expected none as when the checkpoint was saved, got one")
        if len(states) != self.reader.ranks:
            raise ValueError(f"ranks: expected {len(states)} as when the checkpoint was saved, got {self.reader.ranks}")
        self.reader.load_state_dict(states[self.reader.rank])
