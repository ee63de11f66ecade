"""Streams as the training loop uses them."""

import json
import shutil

import numpy as np
import pytest
import torch

from pan3d_core.settings import read_settings
from pan3d_sim.data.scene_records import FIRST_HELD_OUT_SEED, SceneRecord, empty_columns
from pan3d_sim.data.shard_rendering import RenderPlan, render_data_set
from pan3d_sim.data.shards import SceneSettings, shard_ranges, write_tar_shard
from pan3d_sim.objects.kinds import HELD_OUT_KINDS, KINDS
from pan3d_sim.objects.vocabulary import PARAPHRASES, vocabulary
from training.data.scenes.rendered_shards import RenderedShards
from training.data.scenes.shards import open_tar_shards
from training.data.scenes.stream import SceneReader
from training.data.sources.stream_source import StreamSource, open_shards, open_source
from training.data.targets.text import encode_descriptions
from training.families import build_family, run_config
from training.run.loop import Trainer
from training.run.ranks import joined
from training.settings import SamplingConfig, TrainConfig

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
        assert all(torch.equal(value, b[name]) for name, value in a.items() if name != "teacher")


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


@pytest.fixture
def data(tmp_path, data_folder):
    """A run's folder without data/train, with tar shards of the kinds that its words name."""
    shutil.copytree(data_folder / "val", tmp_path / "data" / "val")
    shutil.copy(data_folder / "text_embeddings.npz", tmp_path / "data")
    return tmp_path / "data"


def test_a_run_trains_on_a_stream_and_resumes_exactly(data, tiny, tmp_path):
    stream = tmp_path / "tar"
    stream.mkdir()
    arrays = {path.stem: np.load(path) for path in (data / "val" / "part_000").glob("*.npy")}
    extra = {name: value for name, value in empty_columns(4).items() if name not in arrays}
    rows = [SceneRecord(seed=i, **{name: values[i % 2] for name, values in arrays.items()}, **extra) for i in range(4)]
    write_tar_shard(stream / "scenes_00000000-00000003.tar", rows)
    (stream / "vocabulary.json").write_text(json.dumps({"kinds": ["ball", "block"], "settings": {"num_views": 4}}))
    values = {
        "family": "pan3d-mini", "data": str(data), "out": str(tmp_path / "run"), "steps": 3, "model": tiny,
        "sampling": {"stream": str(stream), "batch": 1, "workers": 0, "view_counts": [2], "view_weights": [1.0]},
        "execution": {"threads": 1, "precision": "float32"},
    }  # fmt: skip
    config = run_config(values)
    with joined(config.execution, 0) as ranks:
        whole, before, after = (Trainer(config, build_family(config), ranks) for _ in range(3))
        curve = [whole.train_step() for _ in range(3)]
        before.train_step()
        after.restore(before.state({}))
        assert [after.train_step() for _ in range(2)] == curve[1:] and after.source.scenes == 4


def test_a_stream_with_other_kinds_is_refused(data, rendered, tmp_path):
    values = {"family": "pan3d-mini", "data": str(data), "out": "run", "sampling": {"stream": str(rendered)}}
    config = read_settings(TrainConfig, values)
    with pytest.raises(ValueError, match="sampling.stream: expected kinds ball, block"):
        open_source(config, 0, 1)


def test_no_default_trains_on_what_is_held_out():
    assert read_settings(TrainConfig, {"family": "pan3d-mini", "data": "d", "out": "o"}).sampling.stream == ""
    last = shard_ranges(RenderPlan("out", 0, 10**6).first_seed, 10**6, 200)[-1].last
    assert last == FIRST_HELD_OUT_SEED - 1 and SceneSettings().kinds == KINDS == RenderedShards().kinds
    assert not set(KINDS) & set(HELD_OUT_KINDS)


def test_paraphrases_do_not_reach_the_text_targets(monkeypatch):
    said = []

    class Encoder:
        def encode(self, texts: list[str]) -> torch.Tensor:
            said.extend(texts)
            return torch.zeros(len(texts), 4)

    monkeypatch.setattr("training.data.targets.text.TextEncoder", Encoder)
    encode_descriptions(vocabulary(KINDS))
    assert said and not {text for texts in PARAPHRASES.values() for text in texts} & set(said)
