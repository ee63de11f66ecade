"""One bad camera of several is left out with its code and reason, and the others go on; what is wrong with a file refuses it."""

import json
import re
from dataclasses import replace

import pytest
import torch

from pan3d_core.config import PreprocessConfig
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import CameraView
from pan3d_core.views import Scene, SceneObject, SceneTruth, read_photographs, read_scene, write_scene
from pan3d_core.views.scene_folder import read_usable_photographs, read_usable_scene
from pan3d_core.views.usable_views import usable_scene

BAD, MOST_M = 1, 30.0


@pytest.fixture
def folder(cell, tmp_path):
    truth = SceneTruth(tuple(cell.ids), tuple(view.depth for view in cell.views), (SceneObject(1, "red box"),))
    write_scene(tmp_path / "desk", Scene("desk", tuple(cell.views), truth, 0.0))
    return tmp_path / "desk"


def changed(folder, change):
    """Change the second entry of the scene's file."""
    path = folder / "scene.json"
    content = json.loads(path.read_text())
    change(content["views"][BAD], folder)
    path.write_text(json.dumps(content))
    return folder


def entry(**values):
    return lambda view, _: view.update(values)


def cell_of(key, row, column, value):
    return lambda view, _: view[key][row].__setitem__(column, value)


def scaled(view, _):
    for row in range(3):
        view["cam_from_world"][row][3] *= 1000.0


def transposed(view, _):
    view["intrinsics"] = [list(row) for row in zip(*view["intrinsics"])]


def without(key):
    return lambda view, folder: (folder / view[key]).unlink()


def damaged(key, content=b"no picture"):
    return lambda view, folder: (folder / view[key]).write_bytes(content)


LENS = {"model": "plumb_bob", "coefficients": [0.1, 0, 0, 0, 0]}
FAULTS = [
    ("intrinsics", "NO_CAMERA_INFO", "expected a calibration, got the identity", entry(intrinsics=torch.eye(3).tolist())),
    ("intrinsics", "NO_CAMERA_INFO", "expected finite numbers", cell_of("intrinsics", 0, 0, float("nan"))),
    ("intrinsics", "NO_CAMERA_INFO", "positive focal lengths", cell_of("intrinsics", 0, 0, 0.0)),
    ("intrinsics", "NO_CAMERA_INFO", "principal point inside", cell_of("intrinsics", 0, 2, -3.0)),
    ("intrinsics", "NO_CAMERA_INFO", "the last row 0 0 1", cell_of("intrinsics", 2, 2, 0.0)),
    ("intrinsics", "NO_CAMERA_INFO", "transposed", transposed),
    ("intrinsics", "NO_CAMERA_INFO", "expected 3 rows of 3 numbers", entry(intrinsics=[615.0, 615.0, 320.0])),
    ("intrinsics", "NO_CAMERA_INFO", "expected 3 rows of 3 numbers", cell_of("intrinsics", 0, 0, "fx")),
    ("size", "NO_CAMERA_INFO", "image_hw: expected the picture's height and width", entry(image_hw=[10, 10])),
    ("size", "NO_CAMERA_INFO", "image_hw: expected height and width in pixels", entry(image_hw=[0, -1])),
    ("lens", "NO_CAMERA_INFO", "distortion", entry(distortion={"model": "no such lens", "coefficients": [0.1]})),
    ("lens", "NO_CAMERA_INFO", "expected a list of numbers", entry(distortion={**LENS, "coefficients": [float("nan")]})),
    ("lens", "NO_CAMERA_INFO", "got no coefficients", entry(distortion={"model": "plumb_bob"})),
    ("lens", "NO_CAMERA_INFO", "beside the distortion", entry(intrinsics=None, distortion=LENS)),
    ("pose", "TF_FAILURE", "expected finite numbers", cell_of("cam_from_world", 0, 3, float("nan"))),
    ("pose", "TF_FAILURE", "expected finite numbers", cell_of("cam_from_world", 0, 3, 1e39)),
    ("pose", "TF_FAILURE", "within 20000 m", cell_of("cam_from_world", 0, 3, 1e30)),
    ("pose", "TF_FAILURE", "expected a rotation and a translation", entry(cam_from_world=torch.zeros(4, 4).tolist())),
    ("pose", "TF_FAILURE", "expected a rotation and a translation", cell_of("cam_from_world", 3, 3, 2.0)),
    ("pose", "TF_FAILURE", "expected a rotation and a translation", entry(cam_from_world=torch.eye(4).flip(0).tolist())),
    ("pose", "TF_FAILURE", "expected 4 rows of 4 numbers", entry(cam_from_world=torch.eye(3).tolist())),
    ("pose", "TF_FAILURE", "are its poses in millimetres", scaled),
    ("picture", "NO_IMAGES", "expected a file", without("image")),
    ("picture", "NO_IMAGES", "cannot be decoded", damaged("image")),
    ("depth", "NO_IMAGES", "expected a file", without("depth")),
    ("depth", "NO_IMAGES", "cannot be decoded", damaged("depth")),
    ("truth", "NO_IMAGES", "expected a file", without("instances")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "said", "change"), [row[1:] for row in FAULTS], ids=[f"{row[0]}-{row[2]}" for row in FAULTS])
def test_a_bad_camera_is_left_out_and_named_and_the_others_go_on(folder, cell, code, said, change):
    scene = usable_scene(read_usable_scene(changed(folder, change)), PreprocessConfig(), MOST_M)
    assert [view.camera for view in scene.views] == ["cam0", "cam2", "cam3"]
    assert [torch.equal(ids, cell.ids[row]) for ids, row in zip(scene.truth.instance_ids, (0, 2, 3))] == [True] * 3
    (fault,) = scene.left_out
    assert (fault.camera, fault.code) == ("cam1", code) and said in fault.reason
    assert re.match(r"used 3 of 4 cameras: (01_cam1\.png|cam1) is left out because ", scene.used()) and said in scene.used()


@pytest.mark.parametrize(
    "change", [row[3] for row in FAULTS if row[0] in ("pose", "intrinsics", "lens") and row[3] is not scaled]
)
def test_who_needs_all_cameras_is_refused_and_so_is_a_rig_of_which_none_is_left(folder, change):
    with pytest.raises(ValueError, match="scene.json"):
        read_scene(changed(folder, change))
    content = json.loads((folder / "scene.json").read_text())
    images, alone = sorted((folder / "images").iterdir()), folder / "alone.json"
    with pytest.raises(ValueError, match="scene.json"):
        read_photographs(images, folder / "scene.json")
    assert len(read_usable_photographs(images, folder / "scene.json").left_out) == 1
    alone.write_text(json.dumps([content["views"][BAD]]))
    with pytest.raises(ValueError, match=r"alone\.json"):
        read_usable_photographs([images[BAD]], alone)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (entry(K=torch.eye(3).tolist()), r"view 1: K: .*did you mean intrinsics\?"),
        (entry(distortion={**LENS, "D": [0.1]}), r"view 1: distortion: D: .*did you mean coefficients\?"),
        (entry(camera=7), "view 1: camera: expected a text"),
        (entry(stamp_ns=0.5), "view 1: stamp_ns: expected whole nanoseconds"),
        (entry(camera="cam0", stamp_ns=0), "view 1: camera: expected another one in each view"),
        (entry(image="../a.png"), "image: expected a path inside the folder of the file"),
        (entry(image=None), "image: expected in every entry"),
    ],
)
def test_what_is_wrong_with_the_file_refuses_it(folder, change, said):
    changed(folder, change)
    content = json.loads((folder / "scene.json").read_text())
    content["views"][0]["stamp_ns"] = 0
    (folder / "scene.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"scene\.json: {said}"):
        read_usable_scene(folder)


@pytest.mark.parametrize("text", ["{", '{"views": []}', '{"version": 99, "views": [{}]}', '{"views": [3]}'])
def test_a_file_that_is_none_refuses_the_rig(folder, text):
    (folder / "scene.json").write_text(text)
    with pytest.raises(ValueError, match=r"scene\.json"):
        read_usable_scene(folder)


def test_two_bad_cameras_are_both_named_and_four_leave_nothing(folder):
    changed(folder, entry(intrinsics=torch.eye(3).tolist()))
    next((folder / "images").glob("03*.png")).unlink()
    scene = read_usable_scene(folder)
    assert [(item.camera, item.code) for item in scene.left_out] == [("cam1", "NO_CAMERA_INFO"), ("cam3", "NO_IMAGES")]
    assert scene.used().startswith("used 2 of 4 cameras: 01_cam1.png is left out because ") and "03_cam3.png" in scene.used()
    for picture in (folder / "images").iterdir():
        picture.unlink()
    with pytest.raises(ValueError, match=r"(?s)00_cam0\.png.*01_cam1\.png.*02_cam2\.png.*03_cam3\.png"):
        read_usable_scene(folder)


def test_photographs_without_a_file_are_left_out_alike(folder):
    images = sorted((folder / "images").iterdir())
    images[0].write_bytes(b"no picture")
    scene = read_usable_photographs([*images, folder / "gone.png"])
    assert [item.image for item in scene.left_out] == ["00_cam0.png", "gone.png"] and len(scene.views) == 3
    with pytest.raises(FileNotFoundError, match="gone"):
        read_usable_photographs([folder / "gone.png"])


def test_a_picture_that_a_pattern_of_names_does_not_find_is_missed(folder):
    images = sorted((folder / "images").iterdir())
    assert read_usable_photographs(images[1:], folder / "scene.json").left_out == (), "that not all are given is a choice"
    images[0].unlink()
    (fault,) = read_usable_photographs(images[1:], folder / "scene.json").left_out
    assert (fault.camera, fault.code, fault.image) == ("cam0", "NO_IMAGES", "00_cam0.png")


def placed(x, camera="wrist", stamp_ns=0):
    world_from_cam = torch.eye(4)
    world_from_cam[0, 3] = x
    return CameraView(torch.zeros(3, 48, 64), cam_from_world=invert_rigid(world_from_cam), camera=camera, stamp_ns=stamp_ns)


def test_of_a_camera_that_moves_only_the_bad_view_is_left_out():
    moving = [placed(0.1 * stamp, stamp_ns=stamp) for stamp in range(3)] + [placed(400.0, stamp_ns=3)]
    scene = usable_scene(Scene("arm", tuple(moving)), PreprocessConfig(), MOST_M)
    assert [view.stamp_ns for view in scene.views] == [0, 1, 2] and scene.left_out[0].code == "TF_FAILURE"


def test_what_only_the_network_cannot_take_leaves_out_the_camera_too():
    strip = replace(placed(0.0, "strip"), image=torch.zeros(3, 2, 6000))
    scene = usable_scene(Scene("two", (placed(0.0, "front"), strip)), PreprocessConfig(mode="width", multiple=14), MOST_M)
    assert [(item.camera, item.code) for item in scene.left_out] == [("strip", "NO_IMAGES")]
    with pytest.raises(ValueError, match="used 0 of 1 cameras: strip is left out because"):
        usable_scene(Scene("one", (strip,)), PreprocessConfig(mode="width", multiple=14), MOST_M)


def test_of_a_rig_whose_poses_are_all_in_millimetres_none_is_taken():
    rig = [placed(800.0 + 400.0 * index, f"cam{index}") for index in range(4)]
    with pytest.raises(ValueError, match="used 0 of 4 cameras: cam0 is left out because .* in millimetres"):
        usable_scene(Scene("rig", tuple(rig)), PreprocessConfig(), MOST_M)
