"""`pan3d calibrate check`: what it says of a knocked camera, the files that mend it, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_rig import rig

from pan3d_core.assembly.pose_checks.pose_fit import motion_size, small_motion
from pan3d_core.calibration import CalibrationCheck, CameraCheck, lines_of
from pan3d_core.views.camera_files import read_camera_file
from pan3d_core.views.scene_folder import Scene, read_scene, write_scene
from pan3d_ros.inputs.transforms import StaticTransforms
from pan3d_tools.cli import main

KNOCK = small_motion(np.array([0.0, 0.017, 0.0, 0.02, 0.0, 0.0]))  # a degree, and 2 cm to the side


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A scene with right poses, and the same with a knocked camera."""
    views, base = rig()[:3], tmp_path_factory.mktemp("calibrate")
    pose = torch.from_numpy(KNOCK @ views[2].cam_from_world.double().numpy()).float()
    for name, given in (("right", views), ("knocked", [*views[:2], replace(views[2], cam_from_world=pose)])):
        write_scene(base / name, Scene(name, tuple(given), support_height_m=0.0))
    return base


def check(*arguments):
    return main(["calibrate", "check", *(str(item) for item in arguments)])


def test_right_cameras_are_right(folders, capsys):
    assert check(folders / "right") == 0
    assert capsys.readouterr().out.count(": right (+-") == 3


def left(folders, cam_from_world):
    """Degrees and metres between a pose of the knocked camera and the right one."""
    right = read_scene(folders / "right").views[2].cam_from_world
    return motion_size(cam_from_world.double().numpy() @ np.linalg.inv(right.double().numpy()))


def test_a_knocked_camera_is_named_with_what_mends_it(folders, capsys):
    mended = folders / "knocked" / "mended.json"
    assert check(folders / "knocked", "-o", mended) == 1
    said = capsys.readouterr().out
    assert "camera_2: OFF by" in said and said.count(": right") == 2 and "  camera_2: xyz [" in said
    degrees, metres = left(folders, read_camera_file(mended).views[2].cam_from_world)
    assert degrees < 0.2 and metres < 0.004
    assert check(mended) == 0  # its pictures are found beside it


def test_fixed_cameras_become_a_file_that_the_node_reads(folders, tmp_path):
    assert check(folders / "knocked", "-o", tmp_path / "mended.yaml") == 1
    static = StaticTransforms(tmp_path / "mended.yaml", "world")
    degrees, metres = left(folders, static.lookup("camera_2", "camera_2", 0))
    assert degrees < 0.2 and metres < 0.004


def test_where_as_many_are_off_as_are_right_it_says_that_pictures_cannot_tell_which():
    cameras = [CameraCheck(name, made, 0.1, 0.001, 50, 0.5, 1.0, True) for name, made in (("a", KNOCK), ("b", np.eye(4)))]
    assert any("--trust names one" in line for line in lines_of(CalibrationCheck(tuple(cameras), 2, "")))
    assert not any("--trust" in line for line in lines_of(CalibrationCheck(tuple(cameras), 2, "b")))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["right", "-o", "mended.txt"], "--out: expected a .json or .yaml file, got mended.txt"),
        (["right", "right", "-o", "mended.json"], "--out: expected a .yaml file"),
        (["right", "-o", "mended.json"], "--out: expected a .json file in right, where the names of its pictures begin"),
        (["right", "--trust", "front"], "trusted: expected one of the cameras camera_0, camera_1, camera_2, got 'front'"),
    ],
)
def test_what_it_cannot_do_it_says(folders, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(folders)
    assert check(*arguments) == 2
    assert words in capsys.readouterr().err
