"""Shard folders as one set of scenes."""

import contextlib
import json
import shutil

import numpy as np
import pytest
import torch

from pan3d_sim.data.scene_records import MAX_OBJECTS, SceneRecord, empty_columns
from training.data.arrays import Sampler, ShardSet, batch_of_records


def test_batch_has_units_ranges_and_the_chosen_views(data_folder):
    shards = ShardSet(data_folder / "train")
    assert len(shards) == 6 and shards.num_views == 4
    batch = shards.batch(np.array([5, 0]), [np.array([3, 1]), np.array([0, 2])])
    assert batch.images.shape == (2, 2, 3, 112, 144) and batch.images.min() >= 0 and batch.images.max() <= 1
    near = batch.depth[batch.ids > 0]
    assert near.min() > 0.3 and near.max() < 1.2
    assert batch.kinds.shape[1] == MAX_OBJECTS + 1  # although these shards have room for fewer
    assert batch.kinds[:, 0].eq(-1).all() and set(batch.kinds[:, 1:4].unique().tolist()) <= {0, 1}
    alone = shards.batch(np.array([5]), [np.array([1])])
    assert torch.equal(alone.images[0, 0], batch.images[0, 1])
    assert torch.equal(alone.cam_from_world[0, 0], batch.cam_from_world[0, 1])


def test_unfinished_shards_wait_until_they_are_complete(data_folder, tmp_path):
    shutil.copytree(data_folder / "train" / "part_000", tmp_path / "a")
    shutil.copytree(data_folder / "val" / "part_000", tmp_path / "b")
    (tmp_path / "b" / "vocabulary.json").unlink()
    shards = ShardSet(tmp_path)
    assert len(shards) == 6
    (tmp_path / "b" / "vocabulary.json").write_text(json.dumps({}))
    assert shards.refresh() == 8


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="data: expected shard folders"):
        ShardSet(tmp_path)


def test_ranks_share_each_permutation_without_overlap(data_folder):
    samplers = [Sampler(ShardSet(data_folder / "train"), seed=3, rank=r, world=2) for r in range(2)]
    seen = np.concatenate([s.next(3) for s in samplers])
    assert sorted(seen.tolist()) == list(range(6))
    again = np.concatenate([s.next(3) for s in samplers])
    assert sorted(again.tolist()) == list(range(6)) and again.tolist() != seen.tolist()


def test_a_restored_sampler_continues(data_folder):
    shards = ShardSet(data_folder / "train")
    sampler = Sampler(shards, seed=3, rank=0, world=1)
    sampler.next(8)
    state = sampler.state()
    expected = sampler.next(10)
    restored = Sampler(shards, seed=3, rank=0, world=1)
    restored.restore(state)
    assert np.array_equal(restored.next(10), expected)


def test_a_restored_sampler_continues_when_shards_were_added_in_front(data_folder, tmp_path):
    for name in ("b", "c"):
        shutil.copytree(data_folder / "train" / "part_000", tmp_path / name)
    shards = ShardSet(tmp_path)
    sampler = Sampler(shards, seed=3, rank=0, world=1)
    state = sampler.state()
    expected = sampler.next(12)
    shutil.copytree(data_folder / "val" / "part_000", tmp_path / "a")
    later = ShardSet(tmp_path)
    assert later.names() == ["a", "b", "c"]
    restored = Sampler(later, seed=3, rank=0, world=1)
    restored.restore(state)
    assert np.array_equal(restored.next(12), expected) and later.names() == ["b", "c", "a"]
    assert sorted(restored.next(14).tolist()) == list(range(14))
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(ValueError, match="got none named b"):
        Sampler(ShardSet(tmp_path), seed=3, rank=0, world=1).restore(state)


def test_held_out_shards_are_not_trained_on(data_folder, tmp_path):
    shutil.copytree(data_folder / "val" / "part_000", tmp_path / "a")
    words = json.loads((tmp_path / "a" / "vocabulary.json").read_text())
    known, unseen = {"kind_set": "known"}, {"kind_set": "held-out"}
    split = [{**known, "object_split": name} for name in ("train", "held-out")]
    rows = ((known, 999_998, False), (known, 999_999, True), (unseen, 5, True), (split[0], 5, False), (split[1], 5, True))
    for settings, first, refused in rows:
        facts = {"seed": first, "scenes": 2, "settings": settings}
        (tmp_path / "a" / "vocabulary.json").write_text(json.dumps(words | facts))
        with pytest.raises(ValueError, match="held-out") if refused else contextlib.nullcontext():
            Sampler(ShardSet(tmp_path), seed=0, rank=0, world=1)
    assert len(ShardSet(tmp_path)) == 2  # for measuring they may be read


def test_records_and_arrays_give_the_same_batch(data_folder):
    shards = ShardSet(data_folder / "train")
    folder = data_folder / "train" / "part_000"
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    extra = {name: value for name, value in empty_columns(4).items() if name not in arrays}
    records = [SceneRecord(seed=i, **{name: values[i] for name, values in arrays.items()}, **extra) for i in (4, 2)]
    views = [np.array([3, 1]), np.array([0, 2])]
    batch = batch_of_records(records, views)
    expected = vars(shards.batch(np.array([4, 2]), views))
    assert batch.teacher is None and expected.pop("teacher") is None
    for name, value in expected.items():
        assert torch.equal(getattr(batch, name), value), name


def test_older_shards_with_fewer_columns_stand_in_one_batch_with_new_ones(data_folder, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(data_folder / "train" / "part_000", tmp_path / name)
    kinds = np.load(tmp_path / "b" / "kinds.npy")
    np.save(tmp_path / "b" / "kinds.npy", np.pad(kinds, ((0, 0), (0, 16)), constant_values=255))
    batch = ShardSet(tmp_path).batch(np.array([0, 6]), [np.array([0])] * 2)
    width = kinds.shape[1]
    assert batch.kinds.shape == (2, width + 16) and batch.kinds[0, width:].eq(-1).all()
    assert torch.equal(batch.kinds[0], batch.kinds[1])


@pytest.mark.parametrize("damage", ["cut", "pickled", "other rows", "gone"])
def test_a_damaged_array_of_a_shard_is_an_error_with_its_name(data_folder, tmp_path, damage):
    shutil.copytree(data_folder / "val" / "part_000", tmp_path / "part_000")
    path = tmp_path / "part_000" / "depth.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "pickled":
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    elif damage == "other rows":
        np.save(path, np.load(path)[:1])
    else:
        path.unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=r"part_000/depth\.npy"):
        ShardSet(tmp_path)


def test_scenes_of_too_few_cameras_are_told_with_their_number(data_folder, tmp_path):
    few = tmp_path / "part_000"
    shutil.copytree(data_folder / "val" / "part_000", few)
    for name in ("images", "depth", "ids", "intrinsics", "cam_from_world"):
        np.save(few / f"{name}.npy", np.load(few / f"{name}.npy")[:, :3])
    shards = ShardSet(tmp_path)
    assert shards.num_views == 3
    shards.require_views(3)
    for ask in (lambda: shards.require_views(4), lambda: shards.batch(np.array([0]), [np.arange(4)])):
        with pytest.raises(ValueError, match=r"data: expected scenes of at least 4 cameras, got .*part_000 with 3"):
            ask()
