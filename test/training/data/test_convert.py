"""Scenes of data sets as training data: what is in a shard, what is void, and what is left out, by scene and field."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from published_scenes import matrix_text, put_text, write_replica, write_scannet
from raycast_scene import TABLE_SCENE, camera_ring, cast
from scannet_copies import copy_scene

from pan3d_core.views.scene_folder import Scene, write_scene
from pan3d_eval.datasets import ViewSelection, list_scenes, read_dataset_scene
from pan3d_eval.datasets.scenes import read_shard_scene
from training.data.arrays import ShardSet
from training.data.convert import SceneToConvert, convert, main, report
from training.data.scenes.recordings import SamplePlan, labelled_kinds
from training.data.sources.shard_source import require_sound

PLAN = SamplePlan(("chair", "lamp", "sofa"), views=3, interval=1, samples=2, width=72, height=56)


@pytest.fixture(scope="module")
def scannet(tmp_path_factory):
    """One scene of a table with a lamp, a chair, a couch (of class sofa) and a box."""
    return write_scannet(tmp_path_factory.mktemp("scannet"))


@pytest.fixture
def scans(scannet, tmp_path):
    """A folder of scenes of one's own, with the table of labels beside it."""
    put_text(tmp_path / "scannetv2-labels.combined.tsv", (scannet.parents[1] / "scannetv2-labels.combined.tsv").read_text())
    (tmp_path / "scans").mkdir()
    return lambda name: copy_scene(scannet, name, tmp_path / "scans")


def test_samples_hold_what_the_reader_gives_at_the_wanted_size(scannet, tmp_path):
    made, failures = convert(list_scenes([scannet.parent]), PLAN, tmp_path / "train")
    assert not failures and (made[0].name, made[0].samples) == ("scene0000_00", 2)
    shards = ShardSet(tmp_path / "train")
    assert len(shards) == 2 and shards.num_views == 3 and shards.image_hw == (56, 72)
    shards.refuse_held_out()
    assert tuple(shards.vocabulary()["kinds"]) == PLAN.kinds
    batch = shards.batch(np.arange(2), [np.arange(3)] * 2)
    require_sound(batch)
    assert bool(torch.isnan(batch.support_height).all())
    # Four frames have a pose: the first sample begins with the first, the second ends with the last.
    scene = read_dataset_scene(scannet, ViewSelection(0))
    torch.testing.assert_close(batch.cam_from_world[0], scene.cameras()[:3], atol=1e-6, rtol=0)
    torch.testing.assert_close(batch.cam_from_world[1], scene.cameras()[1:], atol=1e-6, rtol=0)
    shown = {PLAN.kinds[kind] for kind in batch.kinds[0].tolist() if kind >= 0}
    assert shown == {"chair", "lamp", "sofa"}  # the lamp by its own name, the couch by its class
    # The box is of none of the classes, so its pixels are void; floor and table are background.
    box = next(item.instance_id for item in scene.truth.objects if item.name == "box")
    share = float((scene.truth.instance_ids[0] == box).float().mean())
    assert float(batch.void[0, 0].float().mean()) == pytest.approx(share, rel=0.15) and share > 0.005
    depth = scene.truth.depth[0][scene.truth.depth[0] > 0]
    assert float(batch.depth[0, 0][batch.depth[0, 0] > 0].median()) == pytest.approx(float(depth.median()), rel=0.05)
    told = report(made, failures, (*PLAN.kinds, "mug"))
    assert told[0].startswith("2 samples of 1 scenes") and "chair 2" in told[1] and "never seen" in told[2] and "mug" in told[2]
    # The shard is a scene like any other, also for judging.
    assert {item.name for item in read_shard_scene(tmp_path / "train" / "scene0000_00", 0).truth.objects} == shown


def test_bad_scenes_are_left_out_counted_and_named_with_their_field(scans, tmp_path):
    scans("scene0000_00")
    (scans("scene0001_00") / "depth" / "0.png").unlink()
    for path in (scans("scene0002_00") / "pose").glob("*.txt"):
        path.write_text(matrix_text(torch.full((4, 4), -math.inf)))
    aggregation = scans("scene0003_00") / "scene0003_00.aggregation.json"
    aggregation.write_text(aggregation.read_text().replace('"lamp"', '"lavalamp"'))
    folder = scans("scene0004_00")
    for path in (folder / "pose").glob("*.txt"):
        path.unlink()
    (folder / "pose").rmdir()
    (scans("scene0005_00") / "color" / "3.jpg").write_bytes(b"\xff\xd8 no picture")
    made, failures = convert(list_scenes([tmp_path / "scans"]), PLAN, tmp_path / "train")
    assert [scene.name for scene in made] == ["scene0000_00"] and len(failures) == 5
    messages = {item.name: item.message for item in failures}
    assert "scene scene0001_00: expected the depth of frame 0" in messages["scene0001_00"]
    assert "scene scene0002_00: views: expected at least 3 images with poses" in messages["scene0002_00"]
    assert "got 0" in messages["scene0002_00"]
    assert "label: expected a raw_category of scannetv2-labels.combined.tsv, got 'lavalamp'" in messages["scene0003_00"]
    assert "scene scene0004_00: expected the camera poses" in messages["scene0004_00"]
    assert messages["scene0005_00"].startswith("scene scene0005_00: ") and "3.jpg" in messages["scene0005_00"]
    assert sum(line.startswith("left out") for line in report(made, failures, PLAN.kinds)) == 5
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["scene0000_00"]  # nothing half made is left


def test_a_recording_that_is_cut_off_is_named(tmp_path):
    folder = write_scannet(tmp_path, sens=True)
    assert PLAN.read(list_scenes([folder])[0], 1)[0].images.shape == (3, 56, 72, 3)
    sens = folder / "scene0000_00.sens"
    whole = sens.read_bytes()
    for part, message in [
        (len(whole) // 2, "colour of frame|depth of frame|cut off"),
        (200, "a whole .sens file, got one that is cut off"),
    ]:
        sens.write_bytes(whole[:part])
        with pytest.raises(ValueError, match=f"scene scene0000_00: .*({message})"):
            PLAN.read(list_scenes([folder])[0], 1)


def test_scenes_without_depth_are_refused_and_without_labels_they_are_void(tmp_path):
    seen = cast(TABLE_SCENE, camera_ring(3))
    views = tuple(seen.views)
    record = PLAN.record(Scene("photographs", views), 0)
    assert record.kinds[record.ids.max()] == 255 and record.ids.min() == 1  # nobody has said what anything is
    with pytest.raises(ValueError, match="scene photographs: depth: expected it of every view, got none of .*"):
        PLAN.record(Scene("photographs", (*views[:2], replace(views[2], depth=None))), 0)
    for field in ("cam_from_world", "intrinsics"):
        lacking = (replace(views[0], **{field: None}), *views[1:])
        with pytest.raises(ValueError, match=f"scene photographs: {field}: expected it of every view"):
            PLAN.record(Scene("photographs", lacking), 0)
    write_scene(tmp_path / "folder", Scene("folder", views[:2]))
    with pytest.raises(ValueError, match="scene folder: views: expected at least 3, got 2"):
        PLAN.read(list_scenes([tmp_path / "folder"])[0], 0)
    with pytest.raises(ValueError, match="classes: expected names, since no scene that can be read has labels"):
        labelled_kinds(list_scenes([tmp_path / "folder"]))


def test_a_recording_that_nobody_has_annotated_is_void(scans, tmp_path):
    labelled, folder = scans("scene0000_00"), scans("scene0707_00")
    for end in ("aggregation.json", "vh_clean_2.0.010000.segs.json", "vh_clean_2.ply"):
        for path in folder.glob(f"*{end}"):
            path.unlink()
    put_text(folder / "scene0707_00.sens", "what makes this a scene of ScanNet; the exported pictures are read")
    (same, _), (unknown, scene) = (PLAN.read(list_scenes([path])[0], 0) for path in (labelled, folder))
    assert scene.truth is None and set(np.unique(unknown.ids)) == {1} and unknown.kinds[1] == 255
    for field in ("images", "depth", "cam_from_world", "intrinsics"):
        assert np.array_equal(getattr(unknown, field), getattr(same, field)), field
    made, failures = convert(list_scenes([tmp_path / "scans"]), PLAN, tmp_path / "train")
    assert [scene.annotated for scene in made] == [True, False] and not failures
    assert convert(list_scenes([tmp_path / "scans"]), PLAN, tmp_path / "train")[0] == made
    assert "not annotated, so only depth and cameras can be learnt of them: scene0707_00" in report(made, failures, PLAN.kinds)
    batch = ShardSet(tmp_path / "train").batch(np.array([2]), [np.arange(3)])
    assert bool(batch.void.all())


def test_classes_must_fit_the_labels(scans, tmp_path):
    scans("scene0000_00")
    references = list_scenes([tmp_path / "scans"])
    assert labelled_kinds(references)[:3] == ("cabinet", "bed", "chair") and "wall" not in labelled_kinds(references)
    with pytest.raises(ValueError, match="classes: expected names of objects or labels .*, got 'chiar'; did you mean chair"):
        convert(references, replace(PLAN, kinds=("chiar", "lamp")), tmp_path / "other")
    with pytest.raises(ValueError, match="classes: expected 1 to 254 names, none twice, got lamp, Lamp"):
        SamplePlan(("lamp", "Lamp"))
    with pytest.raises(ValueError, match="views: expected at least 1, got 0"):
        SamplePlan(("lamp",), views=0)


def test_shards_that_are_there_stay_and_others_are_not_mixed_with_them(scans, tmp_path):
    scans("scene0000_00")
    references, out = list_scenes([tmp_path / "scans"]), tmp_path / "train"
    first, _ = convert(references, PLAN, out)
    stamp = (out / "scene0000_00" / "images.npy").stat().st_mtime_ns
    again, _ = convert(references, PLAN, out)
    assert again == first and (out / "scene0000_00" / "images.npy").stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match=r"none of 1; the first: out: expected shards with kinds \['chair'\]"):
        convert(references, replace(PLAN, kinds=("chair",)), out)


def test_the_command_says_what_was_made(scans, tmp_path, monkeypatch, capsys):
    scans("scene0000_00")
    (scans("scene0001_00") / "depth" / "0.png").unlink()
    size = ["--size", "72x56", "--views", "3", "--interval", "1", "--samples", "1"]
    monkeypatch.setattr(sys, "argv", ["convert", str(tmp_path / "scans"), "-o", str(tmp_path / "train"), *size])
    main()
    told = capsys.readouterr().out
    assert "1 samples of 1 scenes" in told and "chair 1" in told and "left out (1 of 1): scene scene0001_00" in told
    monkeypatch.setattr(sys, "argv", ["convert", str(tmp_path / "scans"), "-o", str(tmp_path / "train"), "--size", "big"])
    with pytest.raises(SystemExit, match="error: --size: expected WIDTHxHEIGHT in pixels, got 'big'"):
        main()


def test_scenes_of_the_same_name_do_not_take_each_others_place(tmp_path):
    first, second = write_replica(tmp_path / "a"), write_replica(tmp_path / "b")
    assert first.name == second.name
    references = list_scenes([first, second])
    plan = replace(PLAN, kinds=labelled_kinds(references), samples=1)
    made, _ = convert(references, plan, tmp_path / "train")
    assert [scene.name for scene in made] == [f"{folder}_room_0_Sequence_1" for folder in "ab"]
    assert {path.name for path in (tmp_path / "train").iterdir()} == {scene.name for scene in made}
    (alone,) = SceneToConvert.each(references[:1])
    assert alone.name == "Sequence_1"


def test_other_layouts_are_read_the_same_way(tmp_path):
    scene = write_replica(tmp_path)
    kinds = labelled_kinds(list_scenes([scene]))
    record, _ = replace(PLAN, kinds=kinds, samples=1).read(list_scenes([scene])[0], 0)
    assert record.images.shape == (3, 56, 72, 3) and record.ids.max() > 0 and (record.depth > 0).mean() > 0.5


def test_stretches_of_neighbours():
    frames = range(21)
    assert ViewSelection(3, 2, (0, 3)).pick(frames) == [0, 2, 4]
    assert ViewSelection(3, 2, (1, 3)).pick(frames) == [8, 10, 12]
    assert ViewSelection(3, 2, (2, 3)).pick(frames) == [16, 18, 20]
    assert ViewSelection(3, 1, (0, 1)).pick(frames) == [9, 10, 11]
    with pytest.raises(ValueError, match="views: expected at least 12 images with poses, 2 images from one to the next, got 11"):
        ViewSelection(12, 2, (0, 1)).pick(frames)
    with pytest.raises(ValueError, match="views: expected stretch k of n"):
        ViewSelection(3, 1, (3, 3))


def test_a_scene_that_is_named_twice_is_one(scannet, tmp_path):
    references = list_scenes([scannet, scannet.parent])
    assert len(references) == 2
    made, failures = convert(references, PLAN, tmp_path / "train")
    assert [scene.samples for scene in made] == [2] and not failures


def test_a_fault_that_shows_late_names_the_scene(scans, tmp_path):
    scans("whole")
    bent = scans("bent")
    path = bent / "pose" / "1.txt"
    pose = np.loadtxt(path)
    pose[:3, :3] *= 2
    np.savetxt(path, pose)
    made, (fault,) = convert(list_scenes([tmp_path / "scans"]), PLAN, tmp_path / "train")
    assert [scene.name for scene in made] == ["whole"]
    assert fault.message.startswith("scene bent: CameraView.cam_from_world: expected a rotation and a translation for 'frame_1'")
