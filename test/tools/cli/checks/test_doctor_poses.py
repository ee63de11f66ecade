"""`pan3d doctor` of cameras files and scene folders: what it says of poses and of the support, and its exit code."""

import json

import pytest
import torch
from table_rig import rig

from pan3d_core.assembly.pose_checks.pose_hypotheses import OPTICAL_FROM_OPENGL
from pan3d_core.views.scene_folder import Scene, write_scene
from pan3d_tools.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("doctor") / "scene"
    write_scene(path, Scene("scene", tuple(rig()[:3]), support_height_m=0.0))
    return path


def report(capsys, *arguments):
    code = main(["doctor", *(str(item) for item in arguments)])
    return code, capsys.readouterr().out


def changed(folder, path, change, **more):
    """A cameras file with other poses; the pictures stay in the folder."""
    content = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    views = [
        {
            "image": view["image"],
            "intrinsics": view["intrinsics"],
            "cam_from_world": change(torch.tensor(view["cam_from_world"]).double()).tolist(),
        }
        for view in content["views"]
    ]
    path.write_text(json.dumps({"views": views, **more}), encoding="utf-8")
    return path


def test_right_poses_have_a_figure_per_camera(folder, capsys):
    code, text = report(capsys, folder)
    assert code == 0 and text.count("consistency 0.9") + text.count("consistency 1.0") == 3
    assert "seen at" in text and "places seen by two views" in text


def test_the_likely_fault_of_a_cameras_file_is_named(folder, tmp_path, capsys):
    path = changed(folder, tmp_path / "gl.json", lambda pose: torch.from_numpy(OPTICAL_FROM_OPENGL) @ pose)
    code, text = report(capsys, path, *sorted((folder / "images").iterdir()))
    assert code == 1 and "OpenGL axes" in text


def test_a_cameras_file_beside_its_pictures_needs_no_list_of_them(folder, capsys):
    code, text = report(capsys, changed(folder, folder / "cameras.json", lambda pose: pose))
    assert code == 0 and text.count("poses 0") == 3


def test_a_wrong_support_height_is_told_with_the_one_that_is_seen(folder, capsys):
    code, text = report(capsys, folder, "--support-height", "0.1")
    assert code == 1 and "workspace.support_height_m says 0.100" in text


def test_views_without_poses_have_no_figure(folder, tmp_path, capsys):
    path = tmp_path / "bare.json"
    content = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    path.write_text(json.dumps({"views": [{"image": view["image"]} for view in content["views"]]}), encoding="utf-8")
    code, text = report(capsys, path, *sorted((folder / "images").iterdir()))
    assert code == 0 and text.count("intrinsics or pose are not given") == 3


def test_options_of_one_kind_are_refused_with_another(folder, capsys):
    assert main(["doctor", str(folder), "--reference-frame", "map"]) == 2
    assert "together with a bag only" in capsys.readouterr().err
    assert main(["doctor", "--support-height", "0.1"]) == 2
    assert main(["doctor", str(folder.parent), "picture.png"]) == 2


def test_what_plain_pictures_do_not_show_is_told_as_not_checked(tmp_path, capsys):
    grey = torch.full((3, 480, 480), 0.6)
    write_scene(tmp_path / "plain", Scene("plain", tuple(rig(table=grey, top=grey)[:2]), support_height_m=0.0))
    code, text = report(capsys, tmp_path / "plain")
    assert code == 0 and text.count("not checked") == 4
    assert (
        "the poses of camera_0, camera_1 were not checked" in text and "workspace.support_height_m): it was not checked" in text
    )
