"""`pan3d label` and `pan3d teach label --teacher`: terms first, labels as files, what could not be looked at."""

import errno
import json
from dataclasses import replace

import pytest
import torch
from boxes_to_teach import CANDIDATES, cell_of
from teacher_files import boxes_picture, write_segmenter

from pan3d_core.labelling import LabelledScene
from pan3d_core.labelling.proposals import teacher_proposal
from pan3d_core.labelling.teachers import read_card
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.files import labels_from_files
from pan3d_core.views.image_files import write_image
from pan3d_core.views.scene_folder import Scene, SceneTruth, read_scene, write_scene
from pan3d_tools import cli

pytest.importorskip("onnxruntime")


@pytest.fixture
def onnx(tmp_path):
    """Options of a teacher that runs."""
    weights, config = write_segmenter(tmp_path / "boxes.onnx"), tmp_path / "boxes.yaml"
    config.write_text("{classes: [green box, red box], masks: masks, scores: scores, labels: labels, values: logits}")
    return ["--teacher", "onnx", "--teacher-weights", weights, "--teacher-config", config, "--teacher-licence", "CC0-1.0"]


def run(capsys, *arguments):
    code = cli.main([str(item) for item in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def pictures_in(folder):
    folder.mkdir()
    write_image(folder / "full.png", boxes_picture())
    write_image(folder / "empty.png", torch.zeros(3, 48, 64))
    return folder


def test_pictures_become_labels_after_the_terms_were_shown(tmp_path, capsys, onnx):
    pictures, out = pictures_in(tmp_path / "pictures"), tmp_path / "labels"
    code, told, _ = run(capsys, "label", pictures, "-o", out, *onnx)
    lines = told.splitlines()
    assert (
        code == 0 and lines[0].startswith("ONNX model (a file of yours)") and "weights CC0-1.0, commercial use: ask" in lines[0]
    )
    assert "2 of 2 pictures looked at, 2 objects" in lines[1] and "nothing found in 1: empty" in lines[2]
    assert read_card(out / "pictures").terms[0].weights == "CC0-1.0"
    content = json.loads((out / "pictures" / "labels.json").read_text())
    assert content["images"] == {"empty": {}, "full": {"1": "red box", "2": "green box"}}
    assert "are in" in run(capsys, "label", pictures, "-o", out, *onnx)[1]
    (pictures / "torn.png").write_bytes((pictures / "full.png").read_bytes()[:60])
    code, told, _ = run(capsys, "label", pictures, "-o", tmp_path / "again", *onnx)
    assert code == 1 and "2 of 3 pictures looked at" in told and "could not look at torn: image: expected a picture" in told
    (pictures / "full.jpg").write_bytes(b"")
    code, _, error = run(capsys, "label", pictures, "-o", tmp_path / "third", *onnx)
    assert code == 2 and "expected pictures of different names, got 'full' twice" in error


def test_a_full_disk_leaves_nothing_that_reads_as_labels(tmp_path, capsys, onnx, monkeypatch):
    pictures, out = pictures_in(tmp_path / "pictures"), tmp_path / "labels"
    written = []

    def full_after_two(_):
        written.append(1)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full_after_two)
    code, _, error = run(capsys, "label", pictures, "-o", out, *onnx)
    assert code == 2 and "the disk is full" in error and str(out) in error and len(written) == 3
    assert not list(out.rglob("labels.json")) and not [path for path in out.rglob(".*") if path.is_file()]
    monkeypatch.undo()
    code, told, _ = run(capsys, "label", pictures, "-o", out, *onnx)
    assert code == 0 and "2 of 2 pictures looked at" in told


def test_labels_of_a_scene_are_those_that_refining_reads(tmp_path, capsys, onnx):
    views = cell_of(CANDIDATES, 2, 96, 72).views
    scene = tmp_path / "table"
    write_scene(scene, Scene("table", tuple(views), None, 0.0))
    code, told, _ = run(capsys, "label", scene, "-o", tmp_path / "labels", *onnx)
    assert code == 0 and "2 of 2 pictures looked at" in told
    read = labels_from_files(tmp_path / "labels" / "table", read_scene(scene).views)
    assert len(read.views) == 2 and read.labels.names == ("green box", "red box")


def test_a_broken_picture_of_a_scene_is_named_and_the_others_keep_their_names(tmp_path, capsys, onnx):
    scene = tmp_path / "table"
    write_scene(scene, Scene("table", tuple(cell_of(CANDIDATES, 3, 96, 72).views), None, 0.0))
    broken, *others = sorted((scene / "images").iterdir())
    broken.write_bytes(broken.read_bytes()[:60])
    code, told, _ = run(capsys, "label", scene, "-o", tmp_path / "labels", *onnx)
    assert code == 1 and "2 of 3 pictures looked at" in told and f"could not look at {broken.stem}: " in told
    content = json.loads((tmp_path / "labels" / "table" / "labels.json").read_text())
    assert sorted(content["images"]) == [path.stem for path in others]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "SOURCE: expected pictures, a scene or a bag, got"),
        (["hollow"], "SOURCE: expected pictures, a scene, a bag or training data, got"),
        (["pictures", "pictures"], "SOURCE: expected names that differ, got 'pictures' twice"),
        (["pictures", "--features", "lseg.ckpt"], "--features: expected training data, got other sources"),
        (["pictures", "--teacher", "onyx"], "expected one of sam2, sam3, grounded-sam2, lseg, onnx, got 'onyx'; did you mean"),
        (["pictures", "--teacher", "sam2", "--teacher-licence", "", "--teacher-config", ""], "sam2"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(tmp_path, capsys, onnx, monkeypatch, arguments, words):
    pictures_in(tmp_path / "pictures")
    (tmp_path / "hollow").mkdir()
    monkeypatch.chdir(tmp_path)
    code, _, error = run(capsys, "label", *onnx, "-o", "out", *arguments)
    assert code == 2 and words in error and not (tmp_path / "out").exists()


def recorded(folder):
    write_scene(folder, Scene(folder.name, tuple(cell_of(CANDIDATES, 4, 96, 72).views), None, 0.0))
    return folder


QUICK = ["--steps", "12", "--longest", "96", "--engine", "depth_clusters", "--depth"]


@pytest.mark.slow
def test_a_teacher_proposes_objects_of_recordings(tmp_path, capsys, onnx):
    code, told, error = run(capsys, "teach", "label", recorded(tmp_path / "table"), "-o", tmp_path / "data", *QUICK, *onnx)
    assert code == 0, error
    assert told.startswith("ONNX model") and "by onnx and depth_clusters" in told


def test_the_card_of_a_teacher_lies_beside_what_it_labelled(tmp_path, capsys, onnx, monkeypatch):
    scene, asked = recorded(tmp_path / "table"), []

    def labelled(scene, pipeline, settings, teacher):
        asked.append(teacher_proposal(teacher, scene.views))
        empty = tuple(torch.zeros(view.hw) for view in scene.views)
        truth = SceneTruth(tuple(item.long() for item in empty), empty, (), LabelSpace.things([]))
        return LabelledScene(replace(scene, truth=truth), (), 0.0, (teacher.name,))

    monkeypatch.setattr("pan3d_tools.cli.teaching.networks.label_scene", labelled)
    code, told, _ = run(capsys, "teach", "label", scene, "-o", tmp_path / "data", *QUICK, *onnx)
    assert code == 0 and told.startswith("ONNX model") and read_card(tmp_path / "data" / "table").teacher == "onnx"
    (proposal,) = asked
    assert proposal.name == "onnx" and proposal.ids.shape == (4, 72, 96) and bool((proposal.ids > 0).any())
    assert {name for classes in proposal.classes for name in classes.values()} <= {"red box", "green box"}


def test_a_teacher_whose_masks_may_be_of_anything_proposes_no_objects(tmp_path, capsys, onnx):
    scene = recorded(tmp_path / "table")
    code, told, error = run(capsys, "teach", "label", scene, "-o", tmp_path / "other", *QUICK, "--teacher", "sam2")
    assert code == 2 and "--teacher: expected one whose masks are of whole objects, sam3, grounded-sam2, onnx, got sam2" in error
    assert told.startswith("SAM 2 (github.com/facebookresearch/sam2): code Apache-2.0")


def test_keyframes_of_a_bag_are_written_beside_their_labels(tmp_path, capsys, onnx):
    bag_scene = pytest.importorskip("bag_scene", reason="needs rosbags (extra [bags])")
    bag = bag_scene.BlockBag(sets=1).write(tmp_path / "monday")
    code, told, _ = run(capsys, "label", bag, "-o", tmp_path / "labels", *onnx)
    assert code == 0 and "2 keyframes of the bag" in told and "2 of 2 pictures looked at" in told
    labels = labels_from_files(tmp_path / "labels" / "monday", read_scene(tmp_path / "labels" / "monday" / "scene").views)
    red = labels.views[0].masks[0]
    assert labels.labels.name(int(labels.views[0].class_id[0])) == "red box" and bool(red[bag_scene.RED][3:-3, 3:-3].all())
