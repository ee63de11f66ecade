"""Labelled scenes as COCO's panoptic format and back: the same labels, and what does not fit is named."""

import json

import numpy as np
import pytest
import torch
from labelled_boxes import BLUE_GREEN, DOUBTFUL, PATCH, RED_LEFT, UNKNOWN, changed, labelled_dataset
from PIL import Image

from pan3d_core.labelling.layouts import read_coco_onto, write_coco
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels import labels_from_files
from pan3d_core.views.scene_folder import read_scene


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    base = tmp_path_factory.mktemp("coco")
    dataset = labelled_dataset(base / "data", "bench", "shelf")
    write_coco([dataset / "bench", dataset / "shelf"], base / "coco")
    return base


@pytest.fixture
def folders(copied):
    return [copied / "data" / "bench", copied / "data" / "shelf"]


@pytest.fixture
def written(copied):
    return copied / "coco" / "annotations" / "panoptic.json"


def test_labels_come_back_as_they_were(folders, written):
    for folder in folders:
        before, after = read_scene(folder).known_truth(), read_coco_onto(written, folder).known_truth()
        assert all(torch.equal(a, b) for a, b in zip(before.instance_ids, after.instance_ids, strict=True))
        assert [(item.instance_id, item.name) for item in after.objects] == [
            (item.instance_id, item.name) for item in sorted(before.objects, key=lambda item: (item.is_void, item.instance_id))
        ]
        assert after.labels == before.labels and after.void_ids == (DOUBTFUL, UNKNOWN)
        boxes = {item.instance_id: item.box for item in before.objects}
        assert all(item.box is None or torch.equal(item.box.size_m, boxes[item.instance_id].size_m) for item in after.objects)


def test_the_files_are_what_the_format_says(folders, written):
    content = json.loads(written.read_text())
    assert [(item["name"], item["isthing"]) for item in content["categories"]] == [("thing", 1), ("mug", 1), ("background", 0)]
    assert len(content["images"]) == len(content["annotations"]) == 8
    entry = next(item for item in content["annotations"] if item["file_name"].startswith("shelf__00_"))
    image = next(item for item in content["images"] if item["id"] == entry["image_id"])
    ids = np.array(Image.open(written.parent / "panoptic" / entry["file_name"])).astype(int) @ [1, 256, 65536]
    assert (written.parents[1] / "images" / image["file_name"]).exists() and ids.shape == (image["height"], image["width"])
    truth = read_scene(folders[1]).known_truth()
    assert ((ids == 0) == torch.isin(truth.instance_ids[0], torch.tensor(truth.void_ids)).numpy()).all()
    for info in entry["segments_info"]:
        rows, columns = np.nonzero(ids == info["id"])
        assert info["area"] == len(rows) and info["bbox"][:2] == [columns.min(), rows.min()]


def test_labels_that_were_changed_elsewhere_are_taken(folders, written):
    def renamed(content):
        content["categories"][1]["name"] = "cup"

    changed(written, renamed)
    picture = written.parent / "panoptic" / next((written.parent / "panoptic").glob("bench__00*")).name
    pixels = np.array(Image.open(picture))
    pixels[pixels[..., 0] == PATCH] = 0
    Image.fromarray(pixels).save(picture)
    after = read_coco_onto(written, folders[0]).known_truth()
    names = {item.instance_id: item.name for item in after.objects}
    assert names[BLUE_GREEN] == "cup" and names[RED_LEFT] == "thing" and set(after.labels.names) == {"thing", "mug", "cup"}
    assert not (after.instance_ids[0] == PATCH).any()
    box, old = ({item.instance_id: item.box for item in made.objects}[PATCH] for made in (after, read_scene(folders[0]).truth))
    assert not torch.equal(box.size_m, old.size_m)  # of fewer pixels


def test_a_file_of_one_scene_is_read_by_the_names_of_its_pictures_and_large_ids_become_small(folders, tmp_path, written):
    def plain(content):
        content["images"] = []
        content["annotations"] = [item for item in content["annotations"] if item["file_name"].startswith("bench__")]
        for item in content["annotations"]:
            old = written.parent / "panoptic" / item["file_name"]
            item["file_name"] = item["file_name"].removeprefix("bench__")
            pixels = np.array(Image.open(old))
            pixels[pixels[..., 0] == BLUE_GREEN] = (BLUE_GREEN, 0, 1)
            Image.fromarray(pixels).save(old.with_name(item["file_name"]))
            for info in item["segments_info"]:
                info["id"] += 65536 * (info["id"] == BLUE_GREEN)

    changed(written, plain)
    scene, before = read_coco_onto(written, folders[0]), read_scene(folders[0])
    (mug,) = [item for item in scene.truth.objects if item.name == "mug"]
    assert mug.instance_id < 10
    assert torch.equal(scene.truth.instance_ids[0] == mug.instance_id, before.truth.instance_ids[0] == BLUE_GREEN)
    assert labels_from_files(written, before.views).labels == LabelSpace(("thing", "mug", "background"), (True, True, False))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["annotations"].pop(0), "annotations: expected one for image bench__00_.* or 00_.*, got none"),
        (
            lambda c: c["annotations"][1]["segments_info"].pop(0),
            "bench__01_.*: segments_info: expected an entry for every id, got",
        ),
        (
            lambda c: c["annotations"][1]["segments_info"][1].update(category_id=2),
            "category_id: expected 'thing' for segment 2 as in other views of the scene, got 'mug'",
        ),
        (lambda c: c["annotations"][0]["segments_info"][0].update(category_id=9), "category_id: expected one of the file's"),
        (lambda c: c["annotations"][0].pop("segments_info"), "segments_info: expected list, got None"),
        (lambda c: c["annotations"][0].update(file_name="../x.png"), "file_name: expected a path inside the folder"),
    ],
)
def test_what_does_not_fit_is_named(folders, written, change, told):
    changed(written, change)
    with pytest.raises((ValueError, FileNotFoundError), match=told):
        read_coco_onto(written, folders[0])


def test_scenes_without_a_place_in_the_format_are_refused(folders, tmp_path):
    scene_file = folders[1] / "scene.json"
    original = scene_file.read_text()
    for change, told in (
        (lambda c: c["labels"][0].update(name="background"), "labels: expected classes but 'background'"),
        (lambda c: c["labels"][0].update(is_thing=False), "labels: is_thing: expected True of 'thing' as in scenes before"),
        (lambda c: c["objects"].pop(0), "objects: expected an entry for every id, got none for 1"),
        (lambda c: c["objects"][0].update(class_id=-1), "class_id: expected a class for every mask"),
    ):
        changed(scene_file, change)
        with pytest.raises(ValueError, match=told):
            write_coco(folders, tmp_path / "coco")
        scene_file.write_text(original)
