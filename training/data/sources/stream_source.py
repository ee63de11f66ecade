"""Batches from a stream of scenes, with the same calls as `sources.ShardSource`."""

from __future__ import annotations

from pathlib import Path

import torch

from pan3d_core.runtime.lazy import load
from training.data.arrays import SceneBatch, ShardSet, batch_of_records, training_vocabulary
from training.data.resize import cut_to_aspect
from training.data.scenes.folder_shards import open_scene_folders
from training.data.scenes.recording_shards import holds_recordings, open_recordings
from training.data.scenes.recordings import SamplePlan
from training.data.scenes.shards import SceneShards, is_url, open_tar_shards
from training.data.scenes.stream import SceneReader
from training.data.sources.draws import StepDraws, generator_from, seed_from
from training.data.sources.mixed_source import BatchSource, MixedSource
from training.data.sources.shard_source import ShardSource
from training.settings import SamplingConfig, TrainConfig

RENDERED = "cell"
_SOURCE_SEED = 6  # purpose of random numbers
# Loaded by those alone who render: MuJoCo and its GL libraries do not survive a fork, and workers of stored scenes are forked.
RENDERING = "training.data.scenes.rendered_shards:RenderedShards"


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


def open_source(config: TrainConfig, rank: int, ranks: int) -> ShardSource | StreamSource | MixedSource:
    """Open this rank's batches: of the arrays in data/train, of what `sampling.stream` names, or of `sampling.sources` by weight.

    Args:
        config: The run.
        rank: Of this process.
        ranks: Of all processes.

    Returns:
        A source of batches that draws all chance from seed and step.

    Raises:
        ValueError: There is nothing to train on, or a stream shows other kinds than the data's words say.
    """
    sampling, draws = config.sampling, StepDraws(config.sampling, config.seed)
    accumulate = config.execution.accumulate
    if not sampling.sources:
        if not sampling.stream:
            return ShardSource(ShardSet(config.data / "train"), sampling, config.seed, rank, ranks, accumulate)
        return _streamed(config, sampling.stream, config.seed, (rank, ranks), "sampling.stream")
    opened: dict[str, BatchSource] = {}
    for number, place in enumerate(sampling.sources):
        seed = seed_from(config.seed, _SOURCE_SEED, number)
        if place != RENDERED and not is_url(place) and any(Path(place).glob("*/images.npy")):
            shards = ShardSet(Path(place))
            _require_kinds(config, tuple(shards.vocabulary()["kinds"]), f"sampling.sources: {place}")
            opened[place] = ShardSource(shards, sampling, seed, rank, ranks, accumulate, draws)
        else:
            opened[place] = _streamed(config, place, seed, (rank, ranks), f"sampling.sources: {place}")
    return MixedSource(opened, list(sampling.sources.values()), draws, accumulate, (rank, ranks))


def _streamed(config: TrainConfig, place: str, seed: int, share: tuple[int, int], name: str) -> StreamSource:
    """The stream that a place holds; `share`: rank and number of ranks; `name` of the setting, for errors."""
    sampling = config.sampling
    kinds = tuple(training_vocabulary(config.data)["kinds"])
    width, height = sampling.size
    views = int(max(sampling.view_counts))
    shards = open_shards(place, SamplePlan(kinds, views, sampling.interval, sampling.stretches, width, height))
    _require_kinds(config, shards.kinds, name)
    rank, ranks = share
    reader = SceneReader(shards, seed=seed, rank=rank, ranks=ranks, workers=sampling.workers, buffer=sampling.buffer)
    return StreamSource(reader, sampling, seed, StepDraws(sampling, config.seed))


def _require_kinds(config: TrainConfig, found: tuple[str, ...], name: str) -> None:
    kinds = tuple(training_vocabulary(config.data)["kinds"])
    if found != kinds:
        raise ValueError(f"{name}: expected kinds {', '.join(kinds)} as in {config.data}, got {', '.join(found)}")


class StreamSource:
    """This rank's share of an endless stream of scenes, batch by batch."""

    ended = 0  # a stream begins anew at its end

    def __init__(self, reader: SceneReader, config: SamplingConfig, seed: int, draws: StepDraws | None = None) -> None:
        """`seed` of each sample; `draws` of the run, None = of this seed."""
        self.reader, self.config, self.seed = reader, config, seed
        self.draws = draws or StepDraws(config, seed)
        self._step = -1

    @property
    def scenes(self) -> int:
        """How many there are, for all ranks together."""
        return self.reader.scenes

    @property
    def corrupt(self) -> int:
        """Scenes left out so far."""
        return self.reader.bad

    def begin_step(self, step: int, batches: int | None = None) -> None:
        """From here on batches belong to step number `step`, however many they are."""
        self._step = step

    @property
    def batch_size(self) -> int:
        """Scenes of a batch of this step."""
        return self.draws.scenes(self.num_views())

    def num_views(self) -> int:
        """Views of this step's samples."""
        return self.draws.views(self._step, self.reader.shards.num_views)

    def batch(self, part: int) -> SceneBatch:
        """Batch `part` of this step. Batches must be asked for in order."""
        records = [self.reader.next() for _ in range(self.batch_size)]
        if self.corrupt > self.config.max_corrupt:
            limit = self.config.max_corrupt
            raise ValueError(f"sampling.max_corrupt: expected at most {limit} unreadable samples, got {self.corrupt}")
        generator = generator_from(self.seed, self._step, 1, part, self.reader.rank)
        views = [torch.randperm(record.num_views, generator=generator)[: self.num_views()].numpy() for record in records]
        return cut_to_aspect(batch_of_records(records, views), self.draws.aspect(self._step))

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
