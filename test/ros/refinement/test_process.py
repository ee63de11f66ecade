"""What a refinement makes of the views in a folder, and how another one goes on with what it has left; no node is needed."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from understood_views import BALL, BLOCK, understood_views

from pan3d_core.gaussians.files import read_scene_file
from pan3d_core.memory.place_map import map_of_scene
from pan3d_core.refine.schedule import EarlyStop
from pan3d_ros.refinement.folder import VIEWS_FILE, FolderInUse, FolderProblem, RefinementFolder, RefinementJob
from pan3d_ros.refinement.process import OPTIMISE, START, WRITE, main, refine
from pan3d_ros.refinement.runner import ProcessEnded, RefinementRunner

STEPS = 30


@pytest.fixture(scope="module")
def kept():
    return understood_views()


@pytest.fixture
def folder(kept, tmp_path):
    """With the views, as the node makes it."""
    made = RefinementFolder.made(str(tmp_path), "map")
    made.write_views(kept)
    return made


def job(**values) -> RefinementJob:
    return RefinementJob(**{"steps": STEPS, "minutes": 0.0, "checkpoint_every": 10, "niceness": 0, **values})


def ignored(_) -> None:
    """Reports that nobody reads."""


class Killed(Exception):
    """As if the process had been ended."""


def killed_at(step: int):
    def report(values) -> None:
        if values.get("step") == step and values["stage"] == OPTIMISE:
            raise Killed

    return report


@pytest.fixture(scope="module")
def ended(kept, tmp_path_factory):
    """Ended at step 25 of 30, so that 20 are kept."""
    folder = RefinementFolder.made(str(tmp_path_factory.mktemp("ended")), "map")
    folder.write_views(kept)
    with pytest.raises(Killed):
        refine(folder, job(), killed_at(25))
    assert not folder.scene_file.exists() and folder.can_go_on
    return folder


@pytest.fixture
def interrupted(ended, tmp_path):
    """The same, for one test alone."""
    shutil.copytree(ended.path, tmp_path / "map")
    return replace(ended, path=tmp_path / "map")


@pytest.mark.slow
def test_a_refinement_reports_every_step_and_finds_the_objects_where_they_are(folder, kept):
    # Ids as the tracker might have given them.
    folder.write_views([replace(view, instance_id=torch.tensor([0, 30, 8])[view.instance_id]) for view in kept])
    reports = []
    done = refine(folder, job(), reports.append)
    assert done["step"] == STEPS and done["stopped"] == ""
    assert done["done"] == {"8": "block", "30": "block"}
    assert [report["stage"] for report in reports] == [START, *[OPTIMISE] * STEPS, WRITE]
    assert reports[0]["views"] == len(kept)
    assert [report["step"] for report in reports[1:-1]] == list(range(1, STEPS + 1)) and reports[-2]["share"] == 1.0
    scene = read_scene_file(folder.scene_file)
    assert scene.world_frame_id == "base_link"
    for item in map_of_scene(scene).objects:
        true = torch.tensor((BALL if item.instance_id == 30 else BLOCK).center)
        assert (item.center_m - true).norm() < 0.02


@pytest.mark.slow
def test_the_table_is_in_the_map_and_is_none_of_its_objects(folder):
    refine(folder, job(), ignored)
    scene = read_scene_file(folder.scene_file)
    assert set(scene.names.values()) == {"block"} and len(map_of_scene(scene).objects) == 2
    flat = scene.gaussians.means[:, 2].abs() < 0.005
    assert flat.sum() > 500
    assert (scene.instance_id[flat] == 0).float().mean() > 0.95


def test_minutes_end_a_refinement_before_its_steps_and_stretch_one_without(folder):
    done = refine(folder, job(steps=100_000, minutes=0.02), ignored)
    assert done["stopped"] == "minutes" and 0 < done["step"] < 100_000
    reports = []
    done = refine(folder, job(steps=0, minutes=0.02), reports.append)
    assert done["stopped"] == "" and 1 <= done["seconds"] < 10
    shares = [report["share"] for report in reports if report["stage"] == OPTIMISE]
    assert shares == sorted(shares) and shares[-1] == 1.0


@pytest.mark.slow
def test_losses_that_no_longer_fall_end_a_refinement_before_its_steps(folder, monkeypatch):
    monkeypatch.setattr("pan3d_ros.refinement.process.EarlyStop", partial(EarlyStop, window=5))
    reports = []
    done = refine(folder, job(steps=40, stop_below=0.9), reports.append)  # a tenth of the loss before is never reached
    assert done["stopped"] == reports[-1]["stopped"] == "settled"
    assert 0.23 * 40 + 9 < done["step"] < 40  # two windows of steps in which all terms count


@pytest.mark.slow
def test_a_refinement_that_was_ended_goes_on_to_the_same_map(interrupted, kept, tmp_path):
    reports = []
    done = refine(interrupted, job(resume=True), reports.append)
    assert [report["step"] for report in reports if report["stage"] == OPTIMISE] == list(range(21, STEPS + 1))
    assert "after step 20" in reports[1]["status"] and reports[1]["step"] == 20 and done["step"] == STEPS
    whole = RefinementFolder.made(str(tmp_path), "whole")
    whole.write_views(kept)
    refine(whole, job(), ignored)
    first, second = (read_scene_file(path.scene_file) for path in (interrupted, whole))
    assert torch.equal(first.instance_id, second.instance_id) and first.names == second.names
    assert torch.equal(first.gaussians.means, second.gaussians.means)


def test_minutes_that_are_over_leave_a_checkpoint_of_the_last_step(folder):
    done = refine(folder, job(steps=100_000, minutes=0.02, checkpoint_every=100_000), ignored)
    reports = []
    refine(folder, job(resume=True, steps=done["step"] + 2), reports.append)
    assert [report["step"] for report in reports if report["stage"] == OPTIMISE] == [done["step"] + 1, done["step"] + 2]


@pytest.mark.parametrize("limits", [{"steps": 20}, {"steps": 0, "minutes": 1e-4}, {"steps": 40, "minutes": 1e-4}])
def test_a_budget_that_is_used_up_already_is_said_with_what_is_done(interrupted, limits):
    with pytest.raises(FolderProblem, match=r"expected more than the 20 steps in .* minutes that are done"):
        refine(interrupted, job(resume=True, **limits), ignored)


def test_views_that_are_not_those_of_the_checkpoint_are_refused_with_what_differs(interrupted, kept):
    again = job(resume=True)
    interrupted.write_views(kept[:4])
    with pytest.raises(FolderProblem, match="views: expected the 6 that the refinement began with, got 4"):
        refine(interrupted, again, ignored)
    interrupted.write_views([replace(view, labels=replace(view.labels, names=("cube", "ball"))) for view in kept])
    with pytest.raises(FolderProblem, match="expected views of the classes block, ball, .*, got cube, ball, .* not the views"):
        refine(interrupted, again, ignored)
    interrupted.write_views(kept)
    with pytest.raises(FolderProblem, match="reference_frame: expected views in 'map', got 'base_link'"):
        refine(interrupted, replace(again, world_frame_id="map"), ignored)
    (interrupted.path / VIEWS_FILE).write_bytes(b"no views")
    with pytest.raises(FolderProblem, match="views.pt: expected the views of a refinement"):
        refine(interrupted, again, ignored)


def test_there_is_something_to_go_on_from_only_after_a_checkpoint(folder, tmp_path):
    with pytest.raises(FolderProblem, match="expected what an earlier goal has left, got 'none': .* does not exist"):
        RefinementFolder.left(str(tmp_path), "none")
    with pytest.raises(FolderProblem, match="expected something to go on from, got .*map without checkpoint.pt"):
        RefinementFolder.left(str(tmp_path), "map")
    with pytest.raises(Killed):
        refine(folder, job(), killed_at(9))
    assert folder.give_up() == "nothing is kept" and not folder.path.exists()


def test_what_can_be_gone_on_from_is_kept_and_named(interrupted, tmp_path):
    assert f"{interrupted.path} keeps the last checkpoint" in interrupted.give_up() and interrupted.can_go_on
    with pytest.raises(FolderProblem, match="expected a new name, got 'map': .* exists; resume goes on with it"):
        RefinementFolder.made(str(tmp_path), "map")
    assert RefinementFolder.left(str(tmp_path), "map") == replace(interrupted, fresh=False)


def test_two_processes_do_not_refine_in_one_folder(folder):
    with (folder.path / VIEWS_FILE).open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FolderInUse, match="another process refines in .*map"), folder.claimed():
            pass
    with folder.claimed():
        pass


@pytest.mark.slow
def test_the_process_answers_in_lines_and_can_be_ended_in_the_middle_of_a_step(folder):
    folder.write_job(job(steps=100_000, niceness=1))
    runner = RefinementRunner(folder.path, threads=1)
    try:
        while (report := runner.next(100.0)).get("step", 0) < 3:
            assert report["stage"] in (START, OPTIMISE)
        assert os.getpriority(os.PRIO_PROCESS, runner.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 1)
    finally:
        runner.stop()
    with pytest.raises(ProcessEnded, match="ended by signal 15"):
        while True:
            runner.next(1.0)
    assert not folder.scene_file.exists()


def test_views_that_cannot_be_refined_are_a_report_and_no_traceback(folder, kept):
    folder.write_views([replace(view, depth=torch.zeros_like(view.depth)) for view in kept])
    folder.write_job(job(steps=1))
    command = [sys.executable, "-m", "pan3d_ros.refinement.process", str(folder.path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    last = json.loads(run.stdout.splitlines()[-1])
    assert last["failed"] == "rejected" and "expected depth in at least one" in last["message"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "job.json: expected JSON"),
        ('{"minutes": 1}', "job.json: RefinementJob: expected steps, .*, got no steps"),
        ('{"steps": "5", "minutes": 1}', "job.json: steps: expected int, got '5'"),
        ('{"steps": 5, "minutes": 1, "step": 3}', "job.json: step: expected one of .*did you mean steps"),
    ],
)
def test_a_job_of_another_content_is_an_error_with_file_and_field(tmp_path, content, message):
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(FolderProblem, match=message):
        RefinementFolder(tmp_path, fresh=False).read_job()


def test_a_disk_that_is_full_is_a_report_and_keeps_the_last_checkpoint(interrupted, monkeypatch, capsys):
    interrupted.write_job(job(resume=True, steps=21))
    before = interrupted.checkpoint.read_bytes()

    def full(content, stream):
        stream.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    assert main([str(interrupted.path)]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["failed"] == "disk" and "the disk is full" in last["message"] and "checkpoint.pt" in last["message"]
    assert interrupted.checkpoint.read_bytes() == before
    assert not [path for path in interrupted.path.iterdir() if path.name.startswith(".")]


def test_a_user_without_a_home_folder_is_told_which_parameter_needs_one(monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as it is for a user whom the system does not know
    with pytest.raises(FolderProblem, match=r"refine.folder: expected a path that can be resolved, got '~/maps'"):
        RefinementFolder.made("~/maps", "map")
