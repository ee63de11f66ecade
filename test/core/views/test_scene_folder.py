import json
import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.views import Scene, SceneObject, SceneTruth, read_depth, read_photographs, read_scene, write_depth, write_scene
from pan3d_core.views.image_files import read_image, write_16_bit, write_image


@pytest.fixture
def scene(cell) -> Scene:
    box = OrientedBox(torch.eye(4), torch.tensor([0.06, 0.08, 0.08]))
    objects = (SceneObject(1, "red box", 0, box), SceneObject(2, "blue box", 0), SceneObject(3, "green can", 1))
    truth = SceneTruth(tuple(cell.ids), tuple(v.depth for v in cell.views), objects, LabelSpace.things(("box", "can")))
    return Scene("desk", tuple(cell.views), truth, 0.0)


def test_a_scene_survives_the_disk(scene, tmp_path):
    write_scene(tmp_path / "desk", scene)
    back = read_scene(tmp_path / "desk")
    assert (back.name, back.support_height_m, len(back.views)) == ("desk", 0.0, 4)
    for view, other in zip(back.views, scene.views):
        assert float((view.image - other.image).abs().max()) <= 0.5 / 255 + 1e-6
        assert float((view.depth - other.depth).abs().max()) <= 0.5e-4 + 1e-6
        torch.testing.assert_close(view.intrinsics, other.intrinsics)
        torch.testing.assert_close(view.cam_from_world, other.cam_from_world)
        assert (view.camera, view.stamp_ns, view.frame_id) == (other.camera, other.stamp_ns, other.frame_id)
    assert all(torch.equal(a, b) for a, b in zip(back.truth.instance_ids, scene.truth.instance_ids))
    assert [item.name for item in back.truth.objects] == ["red box", "blue box", "green can"]
    assert back.truth.labels == scene.truth.labels and back.truth.objects[1].box is None
    torch.testing.assert_close(back.truth.objects[0].box.size_m, scene.truth.objects[0].box.size_m)


def test_colour_cameras_lose_their_depth_and_the_truth_keeps_it(scene):
    blind = scene.without_depth()
    assert all(view.depth is None for view in blind.views) and blind.truth.depth[0] is not None


def test_depth_that_does_not_fit_becomes_none(tmp_path):
    write_depth(tmp_path / "d.png", torch.tensor([[0.0, 1.23456, 7.0], [float("nan"), -1.0, 6.5535]]))
    torch.testing.assert_close(read_depth(tmp_path / "d.png"), torch.tensor([[0.0, 1.2346, 0.0], [0.0, 0.0, 6.5535]]))


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "note.png").write_text("this is text")
    with pytest.raises(ValueError, match=r"expected a picture .*note\.png"):
        read_image(tmp_path / "note.png")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_image(tmp_path / "missing.png")
    write_image(tmp_path / "whole.png", torch.rand(3, 64, 64))
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="cannot be decoded"):
        read_image(tmp_path / "half.png")
    with pytest.raises(ValueError, match="one 16-bit channel"):
        read_depth(tmp_path / "whole.png")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_scene_files_of_another_kind_are_refused(scene, tmp_path):
    path = write_scene(tmp_path, scene)
    edit(path, version=99)
    with pytest.raises(ValueError, match="version: expected 1, got 99"):
        read_scene(tmp_path)
    edit(path, version=1, format="colmap")
    with pytest.raises(ValueError, match="format: expected 'pan3d-scene', got 'colmap'"):
        read_scene(tmp_path)
    edit(path, format="pan3d-scene", views=[])
    with pytest.raises(ValueError, match="views: expected a list"):
        read_scene(tmp_path)
    path.write_text("{")
    with pytest.raises(ValueError, match="expected JSON"):
        read_scene(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"scene\.json"):
        read_scene(tmp_path)


def test_photographs_without_cameras_know_nothing_else(scene, tmp_path):
    write_scene(tmp_path, scene)
    photos = read_photographs(sorted((tmp_path / "images").glob("*.png")))
    assert photos.truth is None and photos.views[0].intrinsics is None and photos.views[0].cam_from_world is None
    assert photos.views[1].camera == "01_cam1"
    with pytest.raises(ValueError, match="at least one file"):
        read_photographs([])


def test_cameras_file_goes_by_image_name_or_by_order(scene, tmp_path):
    path = write_scene(tmp_path, scene)
    images = sorted((tmp_path / "images").glob("*.png"))
    photos = read_photographs(images[::-1], path)
    torch.testing.assert_close(photos.views[0].cam_from_world, scene.views[3].cam_from_world)
    entries = [{"intrinsics": view.intrinsics.tolist()} for view in scene.views]
    plain = tmp_path / "cameras.json"
    plain.write_text(json.dumps({"views": entries}))
    assert read_photographs(images, plain).views[2].cam_from_world is None
    with pytest.raises(ValueError, match="views: expected 3 as there are images, got 4"):
        read_photographs(images[:3], plain)
    write_image(tmp_path / "other.png", scene.views[0].image)
    with pytest.raises(ValueError, match=r"expected one for every image, got none for other\.png"):
        read_photographs([images[0], tmp_path / "other.png"], path)


@pytest.mark.parametrize("name", ["a\nb", "a\0b", "a" * 121, "\x1b[2J"])
def test_a_name_of_a_camera_can_be_printed_and_be_that_of_a_file(scene, name, tmp_path):
    path = write_scene(tmp_path, scene)
    content = json.loads(path.read_text())
    content["views"][0]["camera"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="view 0: camera: expected at most 120 letters that can be printed"):
        read_scene(tmp_path)


def test_ids_are_of_the_picture_s_own_pixels(scene, tmp_path):
    path = write_scene(tmp_path, scene)
    name = json.loads(path.read_text())["views"][0]["instances"]
    write_16_bit(tmp_path / name, torch.zeros(24, 32))
    with pytest.raises(ValueError, match="instances: expected the picture's size, .*, got 32 x 24"):
        read_scene(tmp_path)


def test_one_picture_is_one_view(scene, tmp_path):
    path = write_scene(tmp_path, scene)
    images = sorted((tmp_path / "images").glob("*.png"))
    with pytest.raises(ValueError, match=f"images: expected different files, got {images[0]} twice"):
        read_photographs([images[0], images[0], images[1]], path)
    (tmp_path / "other").mkdir()
    write_image(tmp_path / "other" / images[0].name, scene.views[1].image)
    with pytest.raises(ValueError, match=f"got {images[0].name} of several folders"):
        read_photographs([images[0], tmp_path / "other" / images[0].name], path)


def test_cameras_that_cannot_be_are_named(scene, tmp_path):
    write_scene(tmp_path, scene)
    image = next((tmp_path / "images").glob("00*.png"))
    plain = tmp_path / "cameras.json"
    for entry, message in [
        ({"intrinsics": [[1.0, 0.0], [0.0, 1.0]]}, r"intrinsics: expected 3 rows of 3 numbers, got shape \(2, 2\)"),
        ({"intrinsics": [["a"]]}, "intrinsics: expected 3 rows of 3 numbers"),
        ({"intrinsics": [[60.0, False, 30], [0, 60, 20], [0, 0, True]]}, "intrinsics: expected 3 rows of 3 numbers"),
        ({"camera": ""}, "camera: expected a text, got an empty one"),
        ({"image_hw": [56, 73]}, "image_hw: expected the picture's height and width, 160 x 120, got 73 x 56"),
        ({"intrinsics": [[0.0] * 3] * 3}, "positive focal lengths"),
        ({"distortion": {"model": "plumb_bob", "coefficients": [0.1, 0, 0, 0, 0]}}, "beside the distortion"),
    ]:
        plain.write_text(json.dumps({"views": [entry]}))
        with pytest.raises(ValueError, match=message):
            read_photographs([image], plain)


def test_what_is_said_twice_is_refused(scene, tmp_path):
    path = write_scene(tmp_path, scene)
    images, text = sorted((tmp_path / "images").glob("*.png")), path.read_text()
    for wrong, said in [
        (
            text.replace('"intrinsics":', '"intrinsics": [], "intrinsics":', 1),
            "expected JSON, .*intrinsics: expected once in an object",
        ),
        (text.replace("01_cam1.png", "00_cam0.png"), "view 1: image: expected another one in each view"),
        (text.replace('"images/01_cam1.png', '"copies/00_cam0.png'), "image: expected another file name in each view"),
        (
            re.sub(r'"stamp_ns": \d+', '"stamp_ns": 7', text.replace('"cam1"', '"cam0"')),
            "view 1: camera: expected another one in each view, got 'cam0' of view 0 at the same stamp_ns",
        ),
    ]:
        path.write_text(wrong)
        with pytest.raises(ValueError, match=rf"scene\.json: {said}"):
            read_photographs(images, path)


def test_a_camera_that_moves_has_a_view_at_each_stamp(scene, tmp_path):
    moving = replace(scene, views=tuple(replace(view, camera="wrist", stamp_ns=k) for k, view in enumerate(scene.views)))
    write_scene(tmp_path, moving)
    assert [(view.camera, view.stamp_ns) for view in read_scene(tmp_path).views] == [
        ("wrist", k) for k in range(len(scene.views))
    ]


def test_files_of_one_name_are_different_cameras(tmp_path):
    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "0001.png", torch.rand(3, 16, 16))
    images = [tmp_path / folder / "0001.png" for folder in ("left", "right")]
    assert [view.camera for view in read_photographs(images).views] == ["left/0001", "right/0001"]
    with pytest.raises(ValueError, match=r"different files, got left/0001 twice"):
        read_photographs([images[0], images[0]])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe{\x00}\x00", "expected JSON in UTF-8"),
        (
            b'{"views": {' + b'"a": 1,' * 1 + b'"b": [' + b"1," * 9000 + b"1]}}",
            r"views: expected a list .*\.\.\. \(\d+ characters\)$",
        ),
    ],
)
def test_what_came_is_told_in_few_words(content, said, tmp_path):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(ValueError, match=said) as caught:
        read_photographs([tmp_path / "a.png"], tmp_path / "c.json")
    assert len(str(caught.value)) < 500


def test_a_file_may_begin_with_a_mark_and_a_folder_is_none(scene, tmp_path):
    path = write_scene(tmp_path, scene)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_scene(tmp_path).views) == 4
    with pytest.raises(ValueError, match=r"cameras: expected a file of JSON, got .*images, which is a folder"):
        read_photographs([tmp_path / "a.png"], tmp_path / "images")


def test_distorted_photographs_are_straightened(scene, tmp_path):
    write_scene(tmp_path, replace(scene, truth=None))
    image = next((tmp_path / "images").glob("00*.png"))
    distortion = {"model": "plumb_bob", "coefficients": [0.3, 0, 0, 0, 0]}
    entry = {"intrinsics": scene.views[0].intrinsics.tolist(), "distortion": distortion}
    plain = tmp_path / "cameras.json"
    plain.write_text(json.dumps({"views": [entry]}))
    assert float((read_photographs([image], plain).views[0].image - read_image(image)).abs().mean()) > 0.005


@pytest.mark.parametrize("orientation", range(1, 9))
def test_calibrated_pictures_are_taken_as_they_are_stored(scene, orientation, tmp_path):
    path, exif = write_scene(tmp_path, scene), Image.Exif()
    exif[0x0112] = orientation
    images = sorted((tmp_path / "images").glob("*.png"))
    for image in images:
        Image.open(image).save(image, exif=exif)
    for views in (read_scene(tmp_path).views, read_photographs(images, path).views):
        torch.testing.assert_close(views[1].image, scene.views[1].image, atol=0.6 / 255, rtol=0)
    height, width = scene.views[0].image.shape[1:]
    upright = (width, height) if orientation > 4 else (height, width)
    assert tuple(read_photographs(images).views[0].image.shape[1:]) == upright
    plain = tmp_path / "cameras.json"
    plain.write_text(json.dumps([{"image": image.name} for image in images]))
    assert tuple(read_photographs(images, plain).views[0].image.shape[1:]) == upright  # nothing is said about the pixels


@pytest.mark.parametrize(
    ("wrong", "instead_of", "said"),
    [
        ("K", "intrinsics", r"view 0: K: .*did you mean intrinsics\?"),
        ("world_from_cam", "cam_from_world", r"view 0: world_from_cam: .*did you mean cam_from_world, which is the inverse"),
        ("intrinsic", "intrinsics", r"view 0: intrinsic: .*did you mean intrinsics\?"),
        ("depht", "depth", r"view 0: depht: .*did you mean depth\?"),
        ("file_name", "image", r"view 0: file_name: .*did you mean image\?"),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_a_key_that_nobody_reads_is_refused(scene, wrong, instead_of, said, alone, tmp_path):
    path = write_scene(tmp_path, scene)
    content = json.loads(path.read_text())
    for view in content["views"]:
        view[wrong] = view.pop(instead_of)
    path.write_text(json.dumps(content["views"] if alone else content))
    images = sorted((tmp_path / "images").glob("*.png"))
    with pytest.raises(ValueError, match=rf"scene\.json: {said}"):
        read_photographs(images, path)


def test_unknown_keys_beside_the_views_are_refused(scene, tmp_path):
    path = write_scene(tmp_path, scene)
    for key, said in (("support_hight_m", "support_height_m"), ("world_frame", "world_frame_id"), ("lables", "labels")):
        edit(path, **{key: 0})
        with pytest.raises(ValueError, match=rf"scene\.json: {key}: .*did you mean {said}\?"):
            read_scene(tmp_path)
        content = json.loads(path.read_text())
        del content[key]
        path.write_text(json.dumps(content))
    edit(path, labels=[{"name": "box", "isthing": True}])
    with pytest.raises(ValueError, match=r"labels\[0\]: isthing: .*did you mean is_thing"):
        read_scene(tmp_path)


@pytest.mark.parametrize("key", ["image", "depth", "instances"])
@pytest.mark.parametrize("path", ["../other/a.png", "/etc/passwd"])
def test_paths_in_a_scene_file_stay_in_its_folder(scene, key, path, tmp_path):
    file = write_scene(tmp_path, scene)
    content = json.loads(file.read_text())
    content["views"][0][key] = path
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"scene\.json: {key}: expected a path inside the folder of the file"):
        read_scene(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objects": 3}, "got something else"),
        ({"objects": [{"name": "mug"}]}, "instance_id: expected"),
        ({"objects": [{"instance_id": "1"}]}, "instance_id: expected"),
        ({"objects": [{"instance_id": 1, "box": {"size_m": [1, 1, 1]}}]}, "world_from_box: expected"),
        ({"objects": [{"instance_id": 1, "box": {"size_m": [1], "world_from_box": [[1]]}}]}, "expected 4x4 finite numbers"),
        ({"objects": [{"instance_id": 1}, {"instance_id": 1}]}, r"objects\[1\]: expected an instance_id of its own"),
        ({"objects": [{"instance_id": 1, "class_id": 99}]}, r"the place of a label, got instance_id 1 and class_id 99"),
        ({"labels": [3]}, r"labels\[0\]: expected name, is_thing"),
        ({"labels": [{"name": "mug", "is_thing": 1}]}, "is_thing: expected"),
    ],
)
def test_truth_of_another_kind_is_one_error_with_the_file(scene, changes, said, tmp_path):
    edit(write_scene(tmp_path, scene), **changes)
    with pytest.raises(ValueError, match=rf"scene\.json: .*{said}"):
        read_scene(tmp_path)


def test_a_scene_without_a_name_has_that_of_its_folder(scene, tmp_path):
    write_scene(tmp_path / "kitchen", scene)
    file = tmp_path / "kitchen" / "scene.json"
    facts = json.loads(file.read_text())
    assert facts.pop("name") == "desk"
    file.write_text(json.dumps(facts))
    assert read_scene(tmp_path / "kitchen").name == "kitchen"
