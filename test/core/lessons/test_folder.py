"""Picks are training scenes: the object, the support, void, and a grasp with its outcome; whole, within the quota."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from picked_boxes import AFTER, BEFORE, BOX, grasp, look_at_boxes

from pan3d_core.config import LessonConfig
from pan3d_core.lessons import PICK_FILE, LessonFolder, PickEvidence, Shown
from pan3d_core.views.scene_folder import read_scene


def evidence(blocks=AFTER, *, depth=False, stamp_ns=0, **changes):
    before, ids = look_at_boxes(BEFORE, depth=depth, stamp_ns=stamp_ns)
    pick = PickEvidence(before, look_at_boxes(blocks, depth=depth, seed=1)[0], BOX, grasp(), "placed", "it is there", "box")
    return replace(pick, **changes), ids


@pytest.mark.parametrize("depth", [False, True])
def test_a_pick_is_a_scene_of_one_object_and_the_support(tmp_path, depth):
    pick, ids = evidence(depth=depth, closed_m=0.052)
    lesson = LessonFolder(tmp_path, ("ball", "box")).learn(pick)
    scene = read_scene(lesson.folder)
    truth = scene.known_truth()
    picture = torch.stack(list(truth.instance_ids)).numpy()
    assert [item.name for item in truth.objects] == ["box", "void"] and truth.void_ids == (2,)
    assert truth.labels.names == ("ball", "box", "thing") and scene.support_height_m == 0.0
    assert (ids[picture == 1] == 1).mean() > 0.99 and (picture == 1).sum() > 0.6 * (ids == 1).sum()
    assert (ids[picture == 0] == 0).all() and (picture == 0).mean() > 0.5
    assert (picture[(ids > 1)] == 2).mean() > 0.99  # neighbours are not known
    known = torch.stack([item for item in truth.depth if item is not None])
    true = torch.stack([torch.from_numpy(item) for item in pick.before.surface_m])
    assert (known[torch.from_numpy(picture) == 0] - true[torch.from_numpy(picture) == 0]).abs().max() < 1e-3
    assert bool((known > 0).all()) is depth  # of colours alone, objects have no depth
    facts = json.loads((lesson.folder / PICK_FILE).read_text())
    assert facts["outcome"] == "placed" and facts["shown"] == "one_object" and facts["closed_m"] == 0.052
    assert np.allclose(facts["grasp"]["world_from_grasp"], grasp().world_from_grasp) and "box" not in facts["grasp"]
    assert truth.objects[0].box is None  # only its outlines are known


def test_a_failed_grasp_is_a_lesson_without_an_object(tmp_path):
    pick, _ = evidence(BEFORE, outcome="missed", message="the gripper closed on nothing", closed_m=0.0)
    lessons = LessonFolder(tmp_path)
    lesson = lessons.learn(pick)
    assert lesson.taken.shown is Shown.NO_CHANGE
    truth = read_scene(lesson.folder).known_truth()
    assert [item.name for item in truth.objects] == ["void"]
    assert {int(value) for item in truth.instance_ids for value in item.unique()} == {0, 1}
    facts = json.loads((lesson.folder / PICK_FILE).read_text())
    assert facts["outcome"] == "missed" and facts["shown"] == "no_change" and facts["closed_m"] == 0.0
    blind = lessons.learn(replace(pick, after=None))
    assert blind.taken.shown is Shown.COULD_NOT_LOOK and blind.folder != lesson.folder


def test_a_name_that_no_scene_has_is_a_thing(tmp_path):
    pick, _ = evidence(name="never heard of")
    truth = read_scene(LessonFolder(tmp_path, ("box",)).learn(pick).folder).known_truth()
    assert truth.objects[0].name == "thing" and truth.labels.names[truth.objects[0].class_id] == "thing"


def test_the_oldest_are_deleted_over_the_quota_and_nothing_else(tmp_path):
    (tmp_path / "pick_notes").mkdir()
    lessons = LessonFolder(tmp_path, config=LessonConfig(quota_mb=1))
    lessons.config = replace(lessons.config, quota_mb=1)
    pick, _ = evidence()
    first = lessons.learn(pick).folder
    size = sum(path.stat().st_size for path in first.rglob("*") if path.is_file())
    (first / "padding").write_bytes(b"0" * (1_000_000 - size))
    second = lessons.learn(replace(pick, before=look_at_boxes(BEFORE, stamp_ns=5)[0])).folder
    assert not first.exists() and second.exists() and (tmp_path / "pick_notes").exists()
    assert second.name == "pick_00000000000000000005"


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    pick, _ = evidence()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pan3d_core.lessons.folder.write_scene", full)
    with pytest.raises(OSError, match="disk is full"):
        LessonFolder(tmp_path).learn(pick)
    assert list(tmp_path.iterdir()) == []
