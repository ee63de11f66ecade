"""`pan3d teach label`, `train`, `deploy`: from a recording to weights of one's own that the node's parameters name."""

import errno
import json
import os
import signal

import pytest
import torch
from boxes_to_teach import CANDIDATES, cell_of
from places import ROOT
from safetensors.torch import load_file

from pan3d_core.labelling import LabelledScene
from pan3d_core.views.image_files import write_image
from pan3d_core.views.scene_folder import Scene, read_scene, write_scene
from pan3d_ros.parameters.values import read_parameter_files
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.data.scene_folders import cell_scene, render_scene_folder
from pan3d_tools import cli
from training.run.loop import Trainer

QUICK = ["--steps", "12", "--longest", "96", "--engine", "depth_clusters", "--depth"]


def scene_of(folder, num_views=4):
    write_scene(folder, Scene(folder.name, tuple(cell_of(CANDIDATES, num_views, 96, 72).views), None, 0.0))
    return folder


def run(capsys, *arguments):
    code = cli.main(["teach", *(str(item) for item in arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_recordings_are_labelled_and_those_that_cannot_be_are_named(tmp_path, capsys):
    table, lonely = scene_of(tmp_path / "table"), scene_of(tmp_path / "lonely", num_views=1)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for path in (table / "images").iterdir():
        path.rename(pictures / path.name)
    content = json.loads((table / "scene.json").read_text())
    for view in content["views"]:
        view["image"], view["depth"] = view["image"].removeprefix("images/"), f"../table/{view['depth']}"
    (pictures / "cameras.json").write_text(json.dumps(content).replace("../table/depth/", "depth/"))
    (table / "depth").rename(pictures / "depth")
    out = tmp_path / "data"
    code, told, _ = run(capsys, "label", pictures, lonely, "-o", out, *QUICK, "--objects", tmp_path / "none")
    assert code == 1 and "1 of 2 recordings are labelled" in told and "void: " in told and "doubtful objects" in told
    assert "left out: " in told and "views: expected at least 2 views with intrinsics and pose, got 1 of 1" in told
    (folder,) = out.iterdir()
    assert f"look at {folder / 'labels.jpg'}" in told and (folder / "labels.jpg").stat().st_size > 5000
    labelled = read_scene(folder)
    assert len(labelled.views) == 4 and labelled.truth.labels.names == ("thing",) and labelled.support_height_m == 0.0
    code, _, error = run(capsys, "label", lonely, "-o", out, *QUICK)
    assert code == 2 and "--out: expected a new or empty folder" in error


def test_what_is_no_recording_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    code, _, error = run(capsys, "label", tmp_path / "empty", "-o", tmp_path / "data", *QUICK)
    assert code == 2 and "SOURCE: expected a bag, scene.json or pictures with cameras.json" in error
    code, _, error = run(capsys, "label", tmp_path / "nowhere", "-o", tmp_path / "data", *QUICK)
    assert code == 2 and "does not exist" in error and not (tmp_path / "data").exists()


def test_a_full_disk_leaves_no_half_scene(tmp_path, capsys, monkeypatch):
    scene = scene_of(tmp_path / "table")
    found = LabelledScene(read_scene(scene), (), 0.0, ("nobody",))
    monkeypatch.setattr("pan3d_tools.cli.teaching.networks.label_scene", lambda *_: found)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pan3d_tools.cli.scenes.scene_output.write_scene", full)
    code, _, error = run(capsys, "label", scene, "-o", tmp_path / "data", *QUICK)
    assert code == 2 and "the disk is full" in error and not list((tmp_path / "data").iterdir())


def test_a_disk_that_fills_while_training_is_told_and_leaves_no_weights(tmp_path, capsys, monkeypatch):
    last = tmp_path / "own" / "last.pt"

    def full(*_):
        raise OSError(errno.ENOSPC, "could not be written, the disk is full; nothing of it is left", str(last))

    monkeypatch.setattr("training.teaching.run.prepare", lambda *_: None)
    monkeypatch.setattr("training.teaching.run.train_rank", full)
    code, _, error = run(capsys, "train", tmp_path, "-o", tmp_path / "own.safetensors")
    assert code == 2 and "the disk is full" in error and str(last) in error and "Traceback" not in error
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_is_too_dark_is_named_and_neither_labelled_nor_taught(tmp_path, capsys):
    night = scene_of(tmp_path / "night")
    for path in (night / "images").iterdir():
        write_image(path, torch.zeros(3, 72, 96))
    code, _, error = run(capsys, "label", night, "-o", tmp_path / "data", *QUICK)
    assert code == 2 and "scene night: images: expected at least 2 that are clear, got 0 of 4: view 0 (cam0): too dark" in error
    code, _, error = run(capsys, "show", night, "--name", "valve", "--objects", tmp_path / "objects", "--depth")
    assert code == 2 and "too dark" in error and not (tmp_path / "objects").exists()


def test_weights_are_deployed_as_parameters_that_the_node_takes(tmp_path, capsys):
    (tmp_path / "objects").mkdir()
    weights, params = ROOT / "pan3d_core" / "weights" / "pan3d-mini.safetensors", tmp_path / "node.yaml"
    code, told, _ = run(capsys, "deploy", weights, "--params", params, "--objects", tmp_path / "objects")
    assert code == 0 and "pan3d-mini that knows" in told and "mug" in told
    found = read_parameter_files([params])
    assert found["model.name"] == "pan3d-mini" and found["model.weights"] == str(weights)
    assert found["objects.folder"] == str(tmp_path / "objects")
    (tmp_path / "other.safetensors").write_bytes(b"no weights")
    code, _, error = run(capsys, "deploy", tmp_path / "other.safetensors")
    assert code == 2 and "other.safetensors" in error


def test_a_recorded_bag_is_labelled(tmp_path, capsys):
    bag_scene = pytest.importorskip("bag_scene", reason="needs rosbags (extra [bags])")
    bag = bag_scene.BlockBag(sets=1).write(tmp_path / "monday")
    code, told, _ = run(capsys, "label", bag, "-o", tmp_path / "data", *QUICK, "--objects", tmp_path / "none")
    assert code == 0 and "monday: 2 views, 2 objects (thing, thing) by depth_clusters" in told
    truth = read_scene(tmp_path / "data" / "monday").known_truth()
    places = sorted(float(item.box.world_from_box[0, 3]) for item in truth.objects if not item.is_void)
    expected = [bag_scene.center_m(region)[0] for region in (bag_scene.RED, bag_scene.BLUE)]
    assert places == pytest.approx(sorted(expected), abs=0.03)
    for region in (bag_scene.RED, bag_scene.BLUE):
        inner = truth.instance_ids[0][region][3:-3, 3:-3]
        assert len(inner.unique()) == 1 and int(inner[0, 0]) > 0


@pytest.mark.slow
def test_training_that_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path, capsys, monkeypatch):
    with RobotCell(3, num_cameras=8, width=144, height=112) as cell:
        write_scene(tmp_path / "data" / "bench", cell_scene(cell))
    plan = ("--steps", 3, "--generated", 2, "--kept", 1, "--device", "cpu")
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    assert run(capsys, "train", tmp_path / "data", *plan, "-o", whole)[0] == 0
    step = Trainer.train_step

    def interrupted(trainer):
        terms = step(trainer)
        os.kill(os.getpid(), signal.SIGINT)
        return terms

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    code, told, _ = run(capsys, "train", tmp_path / "data", *plan, "-o", parts)
    assert code == 1 and "stopped before its end; the same command goes on" in told
    monkeypatch.undo()
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts" / "data").rglob("*.npy")}
    code, told, _ = run(capsys, "train", tmp_path / "data", *plan, "-o", parts)
    assert code == 0 and "stopped" not in told.splitlines()[-1]
    assert made == {path: path.stat().st_mtime_ns for path in made}  # the data are not made anew
    first, second = load_file(whole), load_file(parts)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_from_a_recording_to_a_network_that_looks(tmp_path, capsys):
    recording = render_scene_folder(tmp_path / "cells", 5, num_cameras=8, width=144, height=112)
    data, weights = tmp_path / "data", tmp_path / "own.safetensors"
    code, told, _ = run(capsys, "label", recording, "-o", data, "--depth", "--steps", 20, "--objects", tmp_path / "none")
    assert code == 0 and "by pan3d-mini and depth_clusters" in told
    code, told, _ = run(capsys, "train", data, "--steps", 2, "--generated", 2, "--kept", 1, "-o", weights, "--device", "cpu")
    assert code == 0 and "1 of at least 3 scenes: too few to say" in told and "generated scenes: AP50" in told
    assert "Names in them" in weights.with_suffix(".md").read_text()
    assert run(capsys, "deploy", weights)[0] == 0
    assert read_parameter_files([weights.with_suffix(".yaml")])["model.weights"] == str(weights)
    out = tmp_path / "out"
    assert cli.main(["reconstruct", str(recording), "--weights", str(weights), "-o", str(out)]) == 0
    assert json.loads((out / "instances.json").read_text())["instances"]
