"""`pan3d refine` as a person meets it: what it makes, going on from where it was, and what it refuses."""

import json
from dataclasses import replace

import pytest
import torch
from published_scenes import write_scannet
from refine_scenes import LABELS, table_views

from pan3d_core.gaussians.files import read_scene_file
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.files import write_label_folder
from pan3d_core.refine.labels.sources import SceneLabels, labels_of_maps
from pan3d_core.structures import CameraView
from pan3d_core.views.scene_folder import Scene, read_scene, write_scene
from pan3d_tools import cli


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scene folder of three views with depth, and true labels beside it."""
    root = tmp_path_factory.mktemp("refine")
    views, _ = table_views(3)
    cameras = [
        CameraView(view.labels.image, view.intrinsics, view.cam_from_world, view.depth, camera=f"cam{index}")
        for index, view in enumerate(views)
    ]
    write_scene(root / "scene", Scene("table", tuple(cameras), support_height_m=0.0))
    labels = SceneLabels(LABELS, tuple(view.labels for view in views))
    write_label_folder(root / "labels", labels, [f"{index:02d}_cam{index}" for index in range(3)])
    return root


def command(folder, out, *more: str) -> list[str]:
    given = ["refine", str(folder / "scene"), "--depth", "--labels", str(folder / "labels"), "--voxel", "0.02"]
    return [*given, "-o", str(out), *more]


def test_it_makes_scene_pictures_and_report_and_goes_on(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(command(folder, out, "--steps", "20", "--pictures-every", "10")) == 0
    printed = capsys.readouterr().out
    assert "step 20, 100%" in printed and "3 views" in printed and str(out / "gaussians.ply") in printed
    scene = read_scene_file(out / "gaussians.safetensors")
    assert scene.is_metric and len(scene.cam_from_world) == 3 and set(scene.names.values()) <= {"ball", "box"}
    assert {path.name for path in (out / "pictures").iterdir()} == {"step_000010.png", "step_000020.png"}
    report = json.loads((out / "report.json").read_text())
    assert report["steps"] == 20 and report["gaussians"] == len(scene.gaussians) and report["psnr_db"] > 15
    assert report["losses"]["color"] > 0 and len(report["objects"]) == len(scene.ids())
    assert cli.main(command(folder, out, "--steps", "26", "--resume", "--pictures-every", "0")) == 0
    assert json.loads((out / "report.json").read_text())["steps"] == 26
    assert "step 26, 100%" in capsys.readouterr().out


def test_a_second_run_leaves_nothing_of_the_first(folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for steps, every in ((2, 1), (1, 1)):
        assert cli.main(command(folder, tmp_path, "--steps", str(steps), "--pictures-every", str(every))) == 0
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"step_000001.png"}
    assert json.loads((tmp_path / "report.json").read_text())["steps"] == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_scene_of_a_public_data_set_is_refined_where_it_lies(folder, tmp_path, capsys):
    scene, out, labels = write_scannet(tmp_path), tmp_path / "out", LabelSpace(("thing", "floor"), (True, False))
    ids = torch.zeros(56, 72, dtype=torch.int64)
    ids[20:40, 20:50] = 1
    made = labels_of_maps(torch.zeros(3, 56, 72), torch.where(ids > 0, 0, 1), ids, labels)
    write_label_folder(tmp_path / "labels", SceneLabels(labels, (made,) * 3), ["frame_0", "frame_3", "frame_4"])
    words = ["--depth", "--views", "3", "--voxel", "0.03", "--steps", "2", "--pictures-every", "0"]
    given = ["--size", "72x56", "--labels", str(tmp_path / "labels"), "-o", str(out)]
    assert cli.main(["refine", str(scene), *words, *given]) == 0
    refined = read_scene_file(out / "gaussians.safetensors")
    assert refined.image_hw == (56, 72) and len(refined.cam_from_world) == 3 and "3 views" in capsys.readouterr().out
    message = "--size: expected a scene of a public data set"
    assert message in refused(capsys, command(folder, out, "--size", "72x56"))


def test_a_run_goes_on_only_with_the_classes_that_it_began_with(folder, tmp_path, capsys):
    assert cli.main(command(folder, tmp_path, "--steps", "1", "--pictures-every", "0")) == 0
    other = ["refine", str(folder / "scene"), "--depth", "--resume", "--steps", "2", "-o", str(tmp_path)]
    assert "labels: expected the classes that the refinement began with, ball, box, table, got " in refused(capsys, other)


def refused(capsys, arguments: list[str]) -> str:
    assert cli.main(arguments) == 2
    return capsys.readouterr().err


def test_what_is_missing_or_wrong_is_named(folder, tmp_path, capsys):
    assert "a checkpoint of a refinement: expected a file" in refused(capsys, command(folder, tmp_path, "--resume"))
    assert "RefineSettings.steps" in refused(capsys, command(folder, tmp_path, "--steps", "0"))
    assert "RenderChoices.attention: expected one of local, global" in refused(
        capsys, command(folder, tmp_path, "--attention", "far")
    )
    bare = Scene("photographs", (CameraView(torch.zeros(3, 20, 20), camera="phone"),))
    write_scene(tmp_path / "bare", bare)
    message = refused(capsys, ["refine", str(tmp_path / "bare"), "-o", str(tmp_path / "out")])
    assert "phone: expected intrinsics and cam_from_world, got none" in message


@pytest.mark.slow
def test_queries_begin_at_the_objects_that_an_engine_finds_and_a_run_that_stopped_falling_ends(folder, tmp_path, capsys):
    more = ("--queries", "objects", "--steps", "300", "--stop-below", "0.99", "--pictures-every", "0", "--density", "none")
    assert cli.main(command(folder, tmp_path, *more)) == 0
    assert "the losses have stopped falling after 1" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["steps"] < 250


def test_an_engine_that_finds_no_object_cannot_say_where_queries_begin(folder, tmp_path, capsys):
    empty = tmp_path / "empty"
    views = read_scene(folder / "scene").views
    grey = tuple(replace(view, image=torch.full_like(view.image, 128)) for view in views)
    write_scene(empty, Scene("fog", grey, support_height_m=0.0))
    arguments = ["refine", str(empty), "--labels", str(folder / "labels"), "--depth", "--queries", "objects", "-o", str(tmp_path)]
    assert "--queries objects: expected that pan3d-mini finds objects, got none" in refused(capsys, arguments)


def test_a_density_that_is_not_known_is_refused(folder, tmp_path, capsys):
    message = refused(capsys, command(folder, tmp_path, "--density", "mcmc"))
    assert "DensitySettings.strategy: expected one of auto, gsplat, none, got 'mcmc'" in message
    assert "EarlyStop.below: expected 0 to less than 1, got 1" in refused(capsys, command(folder, tmp_path, "--stop-below", "1"))
