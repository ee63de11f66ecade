"""Labelled scenes in BOP's layout and back: the same labels; published scenes without what we add; what is wrong is named."""

import json
from dataclasses import replace

import pytest
import torch
from labelled_boxes import BLUE_GREEN, PATCH, RED_LEFT, changed, labelled_dataset, labelled_scene

from pan3d_core.labelling.layouts import write_bop
from pan3d_core.views.scene_folder import read_scene, write_scene
from pan3d_eval.datasets import ViewSelection, dataset_of, list_scenes, read_dataset_scene

ALL = ViewSelection(0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    base = tmp_path_factory.mktemp("bop")
    write_bop([labelled_dataset(base / "data") / "bench"], base / "bop")
    return base


@pytest.fixture
def folder(copied):
    return copied / "data" / "bench"


@pytest.fixture
def written(copied):
    return copied / "bop" / "train" / "000000"


def published(scene):
    """As others publish it: without anything that is ours."""
    (scene / "scene_pan3d.json").unlink()

    def bare(content):
        for entries in content.values():
            for entry in entries:
                for key in ("instance_id", "name", "size"):
                    entry.pop(key)

    changed(scene / "scene_gt.json", bare)
    return scene


def test_labels_come_back_as_they_were(folder, written):
    before, after = read_scene(folder), read_dataset_scene(written, ALL)
    assert (after.name, after.support_height_m) == (before.name, before.support_height_m)
    for old, new in zip(before.views, after.views, strict=True):
        assert torch.equal(old.image, new.image) and torch.equal(old.intrinsics, new.intrinsics)
        assert torch.allclose(old.cam_from_world, new.cam_from_world, atol=1e-6) and torch.allclose(
            old.depth, new.depth, atol=1e-6
        )
        assert (old.camera, old.frame_id, old.stamp_ns, old.world_frame_id) == (
            new.camera, new.frame_id, new.stamp_ns, new.world_frame_id
        )  # fmt: skip
    old, new = before.known_truth(), after.known_truth()
    assert all(torch.equal(a, b) for a, b in zip(old.instance_ids, new.instance_ids, strict=True))
    assert old.labels == new.labels and old.void_ids == new.void_ids
    for item, again in zip(sorted(old.objects, key=lambda o: (o.is_void, o.instance_id)), new.objects, strict=True):
        assert (item.instance_id, item.name, item.class_id) == (again.instance_id, again.name, again.class_id)
        assert item.box is None or torch.allclose(item.box.world_from_box, again.box.world_from_box, atol=1e-6)
        assert item.box is None or torch.allclose(item.box.size_m, again.box.size_m, atol=1e-6)


def test_the_layout_is_recognised_and_its_files_are_in_millimetres(written):
    assert dataset_of(written) == "bop" and [item.path for item in list_scenes([written.parent])] == [written]
    models = json.loads((written.parents[1] / "models" / "models_info.json").read_text())
    assert models["1"]["size_x"] == pytest.approx(50.0) and models["1"]["min_x"] == pytest.approx(-25.0)
    assert {item["name"] for item in models.values()} == {"thing", "mug"}
    camera = json.loads((written / "scene_camera.json").read_text())["0"]
    assert camera["depth_scale"] == pytest.approx(0.1) and max(map(abs, camera["cam_t_w2c"])) > 100
    entries, infos = (json.loads((written / name).read_text())["0"] for name in ("scene_gt.json", "scene_gt_info.json"))
    (info,) = [info for info, entry in zip(infos, entries) if entry["instance_id"] == BLUE_GREEN]
    mask = read_dataset_scene(written, ALL).truth.instance_ids[0] == BLUE_GREEN
    assert info["px_count_visib"] == int(mask.sum()) and info["bbox_visib"][1] == int(mask.nonzero()[:, 0].min())


def test_of_published_scenes_objects_are_the_same_where_they_stand_at_one_place(folder, written):
    scene = labelled_scene()

    def at_own_place(item):
        pose = torch.eye(4)
        pose[0, 3] = 0.1 * item.instance_id
        return item if item.box is None else replace(item, box=replace(item.box, world_from_box=pose))

    objects = tuple(at_own_place(item) for item in scene.truth.objects)
    write_scene(folder, replace(scene, truth=replace(scene.truth, objects=objects)))
    found = published(write_bop([folder], written.parents[1] / "again") / "000000")
    # In the second image they stand in another order.
    changed(found / "scene_gt.json", lambda content: content["1"].reverse())
    masks = found / "mask_visib"
    for row in range(4):
        (masks / f"000001_{row:06d}.png").rename(masks / f"{3 - row}.png")
    for row in range(4):
        (masks / f"{row}.png").rename(masks / f"000001_{row:06d}.png")
    truth = read_dataset_scene(found, ALL).truth
    assert len(truth.objects) == 4 and {item.name for item in truth.objects} == {"thing", "mug"}
    for number in (RED_LEFT, 2, BLUE_GREEN, PATCH):
        (mine,) = truth.instance_ids[0][scene.truth.instance_ids[0] == number].unique().tolist()
        assert torch.equal(truth.instance_ids[1] == mine, scene.truth.instance_ids[1] == number)


def test_published_scenes_without_poses_of_cameras_have_objects_in_their_order(written):
    def unposed(content):
        for entry in content.values():
            del entry["cam_R_w2c"], entry["cam_t_w2c"]

    scene = published(written)
    changed(scene / "scene_camera.json", unposed)
    (scene.parents[1] / "models" / "models_info.json").unlink()
    found = read_dataset_scene(scene, ViewSelection(2))
    assert len(found.views) == 2 and all(view.cam_from_world is None for view in found.views)
    assert {item.name for item in found.truth.objects} == {"obj_000001", "obj_000002"} and len(found.truth.objects) == 4
    assert all(item.box is None for item in found.truth.objects) and found.truth.void_ids == ()


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        (
            "scene_camera.json",
            lambda c: c["1"].pop("cam_K"),
            "scene_camera.json: image 1: cam_K: expected 9 finite numbers, got None",
        ),
        ("scene_camera.json", lambda c: c["1"].update(cam_t_w2c=[1, 2]), "image 1: cam_t_w2c: expected 3 finite numbers"),
        ("scene_camera.json", lambda c: c["1"].update(depth_scale=0), "image 1: depth_scale: expected a number above 0, got 0"),
        ("scene_camera.json", lambda c: c.update(first=c.pop("0")), "scene_camera.json: .*first"),
        ("scene_gt.json", lambda c: c["0"][1].pop("obj_id"), "scene_gt.json: expected 'obj_id'"),
        ("scene_gt.json", lambda c: c["0"][1].pop("cam_R_m2c"), "image 0: cam_R_m2c: expected 9 finite numbers, got None"),
        ("scene_gt.json", lambda c: c.update({"0": 3}), "scene_gt.json: expected objects"),
        ("scene_gt.json", lambda c: c["0"][1].update(size=[1]), "size: expected 3 finite numbers"),
        ("scene_pan3d.json", lambda c: c["views"].pop(), "scene_pan3d.json: expected names of views"),
        ("scene_pan3d.json", lambda c: c["void"][0].update(instance_id="x"), r"scene_pan3d.json: objects\[0\]: instance_id"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_field(written, file, change, told):
    changed(written / file, change)
    with pytest.raises(ValueError, match=told):
        read_dataset_scene(written, ALL)


def test_files_that_are_missing_are_named(written):
    (written / "mask_visib" / "000002_000001.png").unlink()
    with pytest.raises(FileNotFoundError, match="000002_000001.png"):
        read_dataset_scene(written, ALL)
    (written / "rgb" / "000000.png").unlink()
    with pytest.raises(FileNotFoundError, match="expected image 0 at .*rgb/000000.png"):
        read_dataset_scene(written, ALL)


def test_scenes_without_a_place_in_the_layout_are_refused(folder, tmp_path):
    scene_file = folder / "scene.json"
    original = scene_file.read_text()

    def without_depth_and_box(content):
        content["objects"][0].pop("box")
        for view in content["views"]:
            view.pop("depth")

    for change, told in (
        (lambda c: c["views"][0].pop("cam_from_world"), "cam_from_world: expected it for every view, got none for camera"),
        (lambda c: c["objects"][0].update(class_id=-1), "class_id: expected a class of things for object 1 'thing', got none"),
        (lambda c: c["labels"][1].update(is_thing=False), "class_id: expected a class of things for object 3 'mug', got mug"),
        (without_depth_and_box, "box: expected one for object 1 'thing', or depth to make it of, got neither"),
    ):
        changed(scene_file, change)
        with pytest.raises(ValueError, match=told):
            write_bop([folder], tmp_path / "bop")
        scene_file.write_text(original)
