"""Recordings as a stream: training goes on without the bad scene, counted, and every family that can learns from them."""

import math

import pytest
from published_scenes import write_scannet
from scannet_copies import copy_scene
from trainers import trainer_of

from pan3d_eval.datasets.scenes import list_scenes
from training.data.convert import convert
from training.data.scenes.recording_shards import open_recordings
from training.data.scenes.recordings import SamplePlan
from training.data.scenes.stream import SceneReader
from training.data.sources.stream_source import open_shards

PLAN = SamplePlan(("chair", "lamp", "table"), views=4, interval=1, samples=2, width=70, height=56)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two scenes that can be used, and one without depth."""
    root = tmp_path_factory.mktemp("scans")
    scene = write_scannet(root)
    copy_scene(scene, "scene0001_00")
    for path in (copy_scene(scene, "scene0002_00") / "depth").glob("*.png"):
        path.unlink()
    return scene.parent


@pytest.fixture(scope="module")
def rooms(scans, tmp_path_factory):
    """A run's data made of them."""
    data = tmp_path_factory.mktemp("rooms")
    for part in ("train", "val"):
        convert(list_scenes([scans / "scene0000_00"]), PLAN, data / part)
    return data


def test_the_stream_goes_on_without_a_bad_scene_which_is_counted_and_named(scans, caplog):
    shards = open_shards(str(scans), PLAN)
    assert shards == open_recordings(scans, PLAN) and shards.chapters == ("scene0000_00", "scene0001_00", "scene0002_00")
    assert shards.num_views == 4 and shards.kinds == PLAN.kinds and shards.keys(0) == ["0", "1"]
    reader = SceneReader(shards, seed=0, workers=0, buffer=4)
    records = [reader.next() for _ in range(4)]
    assert {record.images.shape for record in records} == {(4, 56, 70, 3)} and {record.seed for record in records} == {0, 1}
    while reader.taken < 6:
        reader.next()
    assert reader.bad >= 1 and "left out: shard scene0002_00, scene" in caplog.text
    assert "scene scene0002_00: expected the depth of frame 0" in caplog.text
    resumed = SceneReader(shards, seed=0, workers=0, buffer=4)
    resumed.load_state_dict(reader.state_dict())
    assert (resumed.next().images == reader.next().images).all()


def test_a_run_trains_on_recordings_where_they_lie(run_values, scans, rooms):
    sampling = {
        "stream": str(scans), "batch": 1, "workers": 0, "buffer": 4, "size": [70, 56], "interval": 1, "stretches": 2,
        "view_counts": [2, 3], "view_weights": [0.5, 0.5],
    }  # fmt: skip
    trainer = trainer_of(run_values("segvggt", data=str(rooms), sampling=sampling, model={"max_depth_m": 10.0}))
    terms = [trainer.train_step() for _ in range(2)]
    assert all(math.isfinite(value) for step in terms for value in step.values()) and trainer.source.scenes == 6
    assert trainer.family.settings.classes == PLAN.kinds
    figures = trainer.family.evaluate(trainer.measured_model(), 1)
    assert figures[0]["objects"] == 2  # of a chair and a lamp; what has no class is void and counts nowhere


@pytest.mark.parametrize(("family", "model"), [("fast3dis", {}), ("eps3d", {"text_channels": 384})])
def test_networks_of_rooms_learn_from_them(run_values, rooms, family, model):
    trainer = trainer_of(run_values(family, data=str(rooms), sampling={"batch": 1}, model=model))
    assert math.isfinite(trainer.train_step()["total"])


def test_the_small_networks_say_that_they_need_a_support(run_values, rooms):
    trainer = trainer_of(run_values("pan3d-mini", data=str(rooms)))
    with pytest.raises(ValueError, match="support_height: expected the height that objects stand on"):
        trainer.train_step()
