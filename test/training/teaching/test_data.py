"""The data of a taught network: one's own scenes and generated ones, and views that nothing is learnt from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth, read_scene, write_scene
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.data.scene_folders import cell_scene
from training.data.arrays import ShardSet
from training.data.scenes.folder_shards import record_from_scene
from training.teaching.data import DataPlan, prepare, read_dataset

PLAN = DataPlan(generated=2, own_share=0.5, kept=1)


@pytest.fixture(scope="module")
def scene():
    with RobotCell(3, num_cameras=8, width=144, height=112) as cell:
        made = cell_scene(cell)
    truth = made.known_truth()
    first, second, *rest = truth.objects
    objects = (replace(first, name="blue valve"), SceneObject(second.instance_id, "void"), *rest)
    return replace(made, truth=replace(truth, objects=objects))


@pytest.fixture(scope="module")
def made(scene, tmp_path_factory):
    base = tmp_path_factory.mktemp("taught")
    write_scene(base / "dataset" / "bench", scene)
    return base, prepare(base / "dataset", base / "data", PLAN)


def test_samples_are_mixed_by_weight_and_no_held_out_view_is_learnt_from(made, scene):
    base, data = made
    train, val, kept = ShardSet(base / "data" / "train"), ShardSet(base / "data" / "val"), ShardSet(data.kept / "val")
    assert len(train) == 4 and len(val) == 1 and len(kept) == 1 and data.samples_of == (1,)
    assert "blue valve" in train.vocabulary()["kinds"] and train.vocabulary()["kinds"] == val.vocabulary()["kinds"]
    poses = [np.load(base / "data" / part / "own" / "cam_from_world.npy").reshape(-1, 16) for part in ("train", "val")]
    assert not any(np.allclose(mine, other) for mine in poses[0] for other in poses[1])
    train.refuse_held_out()
    with pytest.raises(ValueError, match="held-out"):
        kept.refuse_held_out()


def test_what_is_void_stays_void_and_names_are_kinds(made, scene):
    base, _ = made
    val = ShardSet(base / "data" / "val")
    batch = val.batch(np.array([0]), [np.arange(4)])
    names = {val.vocabulary()["kinds"][kind] for kind in batch.kinds[0].tolist() if kind >= 0}
    assert "blue valve" in names and "void" not in names
    share = float(batch.void.float().mean())
    assert (
        0
        < share
        == pytest.approx(
            float(torch.isin(torch.stack(scene.truth.instance_ids), torch.tensor(scene.truth.void_ids)).float().mean()), abs=0.03
        )
    )


def test_a_stream_of_scene_folders_keeps_void_too(scene):
    record = record_from_scene(scene, scene.truth.labels.names, 144, 112)
    void = record.ids == len(scene.truth.objects)
    assert void.any() and (record.kinds[len(scene.truth.objects)] == 255).all()


def test_the_same_data_are_used_again_and_others_are_refused(made):
    base, data = made
    assert prepare(base / "dataset", base / "data", PLAN) == data
    with pytest.raises(ValueError, match="run: expected data with generated 3"):
        prepare(base / "dataset", base / "data", replace(PLAN, generated=3))


def test_data_of_labels_that_were_changed_since_are_refused(made):
    base, _ = made
    path = base / "dataset" / "bench" / "scene.json"
    before = path.read_text()
    path.write_text(before.replace('"instances/', '"instances/../instances/'))
    with pytest.raises(ValueError, match="run: expected data with labels "):
        prepare(base / "dataset", base / "data", PLAN)
    path.write_text(before)
    prepare(base / "dataset", base / "data", PLAN)


def test_data_sets_that_cannot_be_learnt_from_are_refused(scene, tmp_path):
    with pytest.raises(ValueError, match="DATASET: expected scene folders"):
        read_dataset(tmp_path)
    few = scene.of_cameras([view.camera for view in scene.views[:4]])
    write_scene(tmp_path / "a" / "few", few)
    with pytest.raises(ValueError, match="views: expected at least 8, half of them to be judged by, got 4"):
        read_dataset(tmp_path / "a")
    write_scene(tmp_path / "b" / "high", replace(scene, support_height_m=None))
    with pytest.raises(ValueError, match="support_height_m: expected the height"):
        read_dataset(tmp_path / "b")
    truth = replace(scene.truth, objects=tuple(replace(item, name="") for item in scene.truth.objects))
    write_scene(tmp_path / "c" / "dumb", replace(scene, truth=truth))
    with pytest.raises(ValueError, match="objects: expected a name of each"):
        read_dataset(tmp_path / "c")
    assert isinstance(read_scene(tmp_path / "c" / "dumb"), Scene) and isinstance(truth, SceneTruth)


def test_of_scenes_with_few_views_whole_ones_are_held_out(scene, tmp_path):
    cameras = [view.camera for view in scene.views]
    for number in range(4):
        write_scene(
            tmp_path / "picks" / f"pick_{number}", replace(scene.of_cameras(cameras[number : number + 4]), name=f"{number}")
        )
    data = prepare(tmp_path / "picks", tmp_path / "data", PLAN)
    assert data.samples_of == (1,) and len(ShardSet(tmp_path / "data" / "val")) == 1
    poses = [np.load(tmp_path / "data" / part / "own" / "cam_from_world.npy")[:, 0] for part in ("train", "val")]
    held = [number for number in range(4) if np.allclose(poses[1][0], scene.views[number].cam_from_world.numpy())]
    assert len(held) == 1 and not any(np.allclose(poses[1][0], learnt) for learnt in poses[0])


def test_a_scene_in_which_nothing_is_known_but_the_support_is_data_too(scene, tmp_path):
    void = SceneTruth(
        tuple(torch.ones_like(ids) for ids in scene.truth.instance_ids), scene.truth.depth, (SceneObject(1, "void"),)
    )
    write_scene(tmp_path / "dataset" / "bench", scene)
    write_scene(tmp_path / "dataset" / "failed", replace(scene, name="failed", truth=void))
    prepare(tmp_path / "dataset", tmp_path / "data", PLAN)
    batch = ShardSet(tmp_path / "data" / "val").batch(np.array([1]), [np.arange(4)])
    assert bool(batch.void.all()) and int((batch.kinds[0] >= 0).sum()) == 0


@pytest.mark.parametrize(("field", "value"), [("own_share", 1.0), ("held_out_share", 0.6), ("generated", 0)])
def test_plans_that_cannot_be_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        replace(PLAN, **{field: value})
