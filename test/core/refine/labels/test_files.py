import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.coco import read_coco_panoptic, write_coco_panoptic
from pan3d_core.refine.labels.files import labels_from_files, write_label_folder
from pan3d_core.refine.labels.sources import SceneLabels, in_label_space, labels_of_maps
from pan3d_core.structures import CameraView

LABELS = LabelSpace(("mug", "box", "table", "floor"), (True, True, False, False))
NAMES = ["00_front", "01_side"]
VIEWS = [CameraView(torch.zeros(3, 6, 8), camera="front"), CameraView(torch.zeros(3, 6, 8), camera="side")]


def scene_labels() -> SceneLabels:
    """Two mugs, table, a box that is no object of its own, void; and a view without any label."""
    semantics = torch.tensor([[0, 0, 0, 2, 2, 1, 1, -1]] * 6)
    ids = torch.tensor([[1, 1, 2, 0, 0, 0, 0, 0]] * 6)
    first = labels_of_maps(VIEWS[0].image, semantics, ids, LABELS)
    keeps = first.class_id == 0  # `labels_of_maps` takes every thing with id 0 as none
    first = replace(first, masks=first.masks[keeps], class_id=first.class_id[keeps])
    void = labels_of_maps(VIEWS[1].image, torch.full((6, 8), -1), torch.zeros(6, 8).long(), LABELS)
    return SceneLabels(LABELS, (first, void))


def assert_same(found: SceneLabels, wanted: SceneLabels):
    assert found.labels == wanted.labels
    for mine, other in zip(found.views, wanted.views, strict=True):
        assert torch.equal(mine.semantics, other.semantics) and torch.equal(mine.masks, other.masks)
        assert torch.equal(mine.class_id, other.class_id) and torch.equal(mine.image, other.image)


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_folder_of_ids_reads_as_it_was_written(tmp_path):
    path = write_label_folder(tmp_path / "labels", scene_labels(), NAMES)
    assert_same(labels_from_files(path.parent, VIEWS), scene_labels())
    assert json.loads(path.read_text())["images"]["00_front"]["3"] == {"name": "box", "crowd": True}


def test_coco_panoptic_reads_as_it_was_written_in_the_classes_that_occur(tmp_path):
    path = write_coco_panoptic(tmp_path / "panoptic.json", scene_labels(), NAMES)
    found = labels_from_files(path, VIEWS)
    assert found.labels.names == ("mug", "box", "table")
    assert_same(in_label_space(found, LABELS), scene_labels())
    content = json.loads(path.read_text())
    infos = content["annotations"][0]["segments_info"]
    assert [(item["id"], item["category_id"], item["area"], item["bbox"], item["iscrowd"]) for item in infos] == [
        (1, 1, 12, [0, 0, 2, 6], 0),
        (2, 1, 6, [2, 0, 1, 6], 0),
        (3, 2, 12, [5, 0, 2, 6], 1),
        (4, 3, 12, [3, 0, 2, 6], 0),
    ]
    assert [item["isthing"] for item in content["categories"]] == [1, 1, 0, 0]


def test_coco_ids_are_colours_and_pictures_may_lie_beside_the_file_or_anywhere(tmp_path):
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[:, :4] = (1, 2, 3)
    (tmp_path / "png").mkdir()
    Image.fromarray(pixels).save(tmp_path / "png" / "other_name.png")
    content = {
        "images": [{"id": 7, "file_name": "front.jpg"}],
        "annotations": [
            {
                "image_id": 7,
                "file_name": "other_name.png",
                "segments_info": [{"id": 1 + 2 * 256 + 3 * 65536, "category_id": 44, "iscrowd": 0}],
            }
        ],
        "categories": [{"id": 2, "name": "sky", "isthing": 0}, {"id": 44, "name": "bottle", "isthing": 1}],
    }
    (tmp_path / "val.json").write_text(json.dumps(content))
    found = read_coco_panoptic(tmp_path / "val.json", VIEWS[:1], tmp_path / "png")
    assert found.labels.names == ("bottle",) and found.views[0].masks.shape == (1, 6, 8)
    assert found.views[0].masks[0, 0].tolist() == [True] * 4 + [False] * 4
    with pytest.raises(FileNotFoundError, match=r"labels: expected a file, got .*/other_name.png, which does not exist"):
        labels_from_files(tmp_path / "val.json", VIEWS[:1])


def test_ids_may_mean_the_same_in_all_images_and_be_8_bit_or_a_palette(tmp_path):
    pixels = np.full((6, 8), 5, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "front.png")
    picture = Image.fromarray(pixels).convert("P")
    picture.putdata(pixels.ravel().tolist())
    picture.putpalette([0] * 768)
    picture.save(tmp_path / "side.png")
    classes = [{"name": "table", "is_thing": False}, {"name": "mug", "is_thing": True}]
    (tmp_path / "labels.json").write_text(json.dumps({"classes": classes, "segments": {"5": "mug"}}))
    found = labels_from_files(tmp_path, VIEWS)
    assert found.labels.names == ("mug", "table")
    assert [view.class_id.tolist() for view in found.views] == [[0], [0]]


def test_a_mask_of_unknown_class_can_be_stored_by_ids_and_not_by_coco(tmp_path):
    scene = scene_labels()
    unknown = replace(scene.views[0], class_id=torch.tensor([0, -1]))
    scene = replace(scene, views=(unknown, scene.views[1]))
    found = labels_from_files(write_label_folder(tmp_path, scene, NAMES).parent, VIEWS)
    assert found.views[0].class_id.tolist() == [0, -1] and int(found.views[0].semantics[0, 2]) == -1
    with pytest.raises(ValueError, match="00_front: class_id: expected a class for every mask, got one of unknown class"):
        write_coco_panoptic(tmp_path / "panoptic.json", scene, NAMES)


def test_a_part_of_the_views_is_found_by_the_names_that_are_given(tmp_path):
    folder = write_label_folder(tmp_path / "ids", scene_labels(), NAMES).parent
    coco = write_coco_panoptic(tmp_path / "panoptic.json", scene_labels(), NAMES)
    for path in (folder, coco):
        assert len(labels_from_files(path, VIEWS[1:], NAMES[1:]).views[0].masks) == 0
        with pytest.raises(FileNotFoundError, match="NAME being 00_side or side, got none"):
            labels_from_files(path, VIEWS[1:])
        with pytest.raises(ValueError, match="names: expected 1, one per view, got 2"):
            labels_from_files(path, VIEWS[1:], NAMES)


def test_views_of_one_camera_are_never_given_the_same_labels(tmp_path):
    folder = write_label_folder(tmp_path, scene_labels(), ["front", "other"]).parent
    same = [replace(view, camera="front") for view in VIEWS]
    with pytest.raises(FileNotFoundError, match="NAME being 00_front, got none"):
        labels_from_files(folder, same)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c["images"].pop("01_side"), "images: expected an entry '01_side' or segments for all images, got neither"),
        (lambda c: c["images"]["00_front"].pop("2"), r"00_front.png: expected an entry for every id, got none for 2"),
        (lambda c: c["images"]["00_front"].update({"2": "cup"}), "id 2: expected one of mug, box, table, floor, got 'cup'"),
        (
            lambda c: c["images"]["00_front"].update({"2": 4}),
            "00_front: 2: expected the name of a class, null, or name and crowd",
        ),
        (lambda c: c["images"]["00_front"].update({"x": "mug"}), "00_front: expected ids above 0 as keys, got 'x'"),
        (lambda c: c.update(version=2), "format, version: expected 'pan3d-labels' 1, got 'pan3d-labels' 2"),
        (lambda c: c.update(classes=[{"name": "mug"}]), "classes: is_thing: expected bool, got None"),
        (lambda c: c.update(classes=c["classes"] * 2), "LabelSpace.names: expected unique names, got duplicates"),
        (lambda c: c.update(images=[]), r"images: expected dict, got \[\]"),
        (lambda c: c.update(segmnts={}), r"labels.json: segmnts: .*did you mean segments\?"),
        (lambda c: c["classes"][0].update(isthing=True), r"classes: isthing: .*did you mean is_thing\?"),
        (lambda c: c["images"]["00_front"].update({"2": {"name": "mug", "iscrowd": 1}}), r"2: iscrowd: .*did you mean crowd\?"),
    ],
)
def test_what_is_wrong_in_a_folder_is_named(tmp_path, change, message):
    path = write_label_folder(tmp_path, scene_labels(), NAMES)
    edit(path, change)
    with pytest.raises(ValueError, match=message):
        labels_from_files(tmp_path, VIEWS)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c["annotations"][0]["segments_info"].pop(), r"00_front.png: expected an entry for every id, got none for 4"),
        (
            lambda c: c["annotations"][0]["segments_info"][0].update(category_id=9),
            "00_front: category_id: expected one of the file's categories, got 9 for segment 1",
        ),
        (lambda c: c["categories"][0].pop("isthing"), "categories: isthing: expected int or bool, got None"),
        (lambda c: c.pop("annotations"), "annotations: expected list, got None"),
    ],
)
def test_what_is_wrong_in_a_coco_file_is_named(tmp_path, change, message):
    path = write_coco_panoptic(tmp_path / "panoptic.json", scene_labels(), NAMES)
    edit(path, change)
    with pytest.raises(ValueError, match=message):
        labels_from_files(path, VIEWS)


def test_missing_unreadable_and_wrongly_sized_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder with labels.json or a COCO panoptic file, got .*nothing"):
        labels_from_files(tmp_path / "nothing", VIEWS)
    with pytest.raises(FileNotFoundError, match=r"labels: expected a file .*labels.json, which does not exist"):
        labels_from_files(tmp_path, VIEWS)
    write_label_folder(tmp_path, scene_labels(), NAMES)
    larger = [replace(view, image=torch.zeros(3, 12, 16)) for view in VIEWS]
    with pytest.raises(ValueError, match="00_front.png: expected 16x12 pixels as the view's image, got 8x6"):
        labels_from_files(tmp_path, larger)
    picture = tmp_path / "00_front.png"
    Image.new("RGB", (8, 6)).save(picture)
    with pytest.raises(ValueError, match="expected one channel of whole numbers in .*, got an image of mode RGB"):
        labels_from_files(tmp_path, VIEWS)
    picture.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="expected a PNG file, got .*, which cannot be decoded"):
        labels_from_files(tmp_path, VIEWS)
    picture.unlink()
    with pytest.raises(FileNotFoundError, match="NAME.png, NAME being 00_front or front, got none"):
        labels_from_files(tmp_path, VIEWS)
    coco = write_coco_panoptic(tmp_path / "panoptic.json", scene_labels(), NAMES)
    Image.new("L", (8, 6)).save(tmp_path / "panoptic" / "00_front.png")
    with pytest.raises(ValueError, match="expected 8-bit RGB in .*, as COCO stores ids, got an image of mode L"):
        labels_from_files(coco, VIEWS)
    coco.write_text("[]")
    with pytest.raises(ValueError, match="panoptic.json: expected names with values, got a list"):
        labels_from_files(coco, VIEWS)
    with pytest.raises(ValueError, match="names: expected 2 different ones, one per view, got"):
        write_label_folder(tmp_path, scene_labels(), ["a", "a"])
