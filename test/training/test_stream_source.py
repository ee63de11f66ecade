"""Streams as the training loop uses them."""

import numpy as np
import pytest
import torch

from pan3d_sim.shard_rendering import RenderPlan, render_data_set
from pan3d_sim.shards import SceneSettings
from training.rendered_shards import RenderedShards
from training.scene_shards import open_tar_shards
from training.scene_stream import SceneReader
from training.settings import SamplingConfig
from training.stream_source import StreamSource, open_shards

SIZE = {"num_views": 2, "width": 36, "height": 28}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Four scenes in two shards."""
    out = tmp_path_factory.mktemp("tar")
    render_data_set(RenderPlan(out, 38, 4, SceneSettings(**SIZE), shard_size=2, shard_format="tar"))
    return out


def source_of(shards, **changes) -> StreamSource:
    reader = SceneReader(shards, **{"seed": 5, "workers": 0, "buffer": 4, **changes})
    return StreamSource(reader, SamplingConfig(batch=2, view_counts=(1, 2), view_weights=(0.5, 0.5)), seed=5)


def steps(source: StreamSource, first: int, last: int) -> list[dict]:
    batches = []
    for step in range(first, last):
        source.begin_step(step)
        batches.append(vars(source.batch(0)))
    return batches


def assert_equal(left: list[dict], right: list[dict]) -> None:
    for a, b in zip(left, right, strict=True):
        assert all(torch.equal(value, b[name]) for name, value in a.items())


def test_batches_continue_exactly_after_a_restart(rendered):
    whole = steps(source_of(open_shards(str(rendered))), 0, 8)
    assert {batch["images"].shape[1] for batch in whole} == {1, 2}
    before, resumed = (source_of(open_shards(str(rendered))) for _ in range(2))
    steps(before, 0, 3)
    resumed.restore([before.state()])
    assert_equal(steps(resumed, 3, 8), whole[3:])
    with pytest.raises(ValueError, match="ranks: expected 2 as when the checkpoint was saved, got 1"):
        resumed.restore([before.state()] * 2)


def test_rendering_on_the_fly_gives_the_scenes_of_the_shards(rendered):
    from_disk = {record.seed: record for record in (SceneReader(open_tar_shards(rendered), seed=0, workers=0).next(),)}
    shards = RenderedShards(first=38, count=4, **SIZE)
    assert [len(shards.keys(chapter)) for chapter in range(len(shards.chapters))] == [2, 2]
    reader = SceneReader(shards, seed=0, workers=0, buffer=1)
    on_the_fly = {record.seed: record for record in (reader.next() for _ in range(4))}
    assert sorted(on_the_fly) == [38, 39, 40, 41]
    for seed, record in from_disk.items():
        assert np.array_equal(record.images, on_the_fly[seed].images) and np.array_equal(record.depth, on_the_fly[seed].depth)
    assert shards.kinds == open_tar_shards(rendered).kinds


def test_rendering_on_the_fly_never_touches_held_out_seeds():
    shards = RenderedShards()
    assert shards.keys(len(shards.chapters) - 1)[-1] == "00999999" and len(shards.chapters) == 25000
    with pytest.raises(ValueError, match="first, count: expected seeds of training"):
        RenderedShards(first=999_999, count=2)
    assert open_shards("cell") == shards
