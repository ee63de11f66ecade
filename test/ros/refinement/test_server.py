"""What the node has seen is refined into a map by a process beside it, which a restarted node takes for its knowledge."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import ros_support
import torch
from action_msgs.msg import GoalStatus
from pan3d_interfaces.action import RefineScene
from pan3d_interfaces.msg import ErrorCode
from rclpy.action import ActionClient
from walking_rig import STEP_M, walk

from pan3d_core.gaussians.files import read_scene_file, write_scene_file
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.structures import Gaussians
from pan3d_ros.perception_node import SUCCESS


class RefineBench(ros_support.Bench):
    """The node with a camera that walks, and a client of its action."""

    def __init__(self, spinner, monkeypatch, folder: Path, **overrides) -> None:
        super().__init__(spinner, monkeypatch, refine__folder=str(folder), refine__niceness=1, **overrides)
        self.client = ActionClient(self.rig, RefineScene, "/pan3d/refine_scene")
        self.feedback: list[RefineScene.Feedback] = []

    def see(self, places=(-2, -1, 0, 1)) -> None:
        """Let perception see the table from these places."""
        for count, place in enumerate(places, start=1):
            walk(self.rig, place)
            self.until(lambda count=count: len(self.node.perception.seen.views()) >= count, f"{count} keyframes")

    def send(self, **goal):
        """The goal's handle."""
        self.until(self.client.server_is_ready, "the action is there")
        sent = self.client.send_goal_async(
            RefineScene.Goal(**goal), feedback_callback=lambda message: self.feedback.append(message.feedback)
        )
        self.until(sent.done, "the goal is taken")
        return sent.result()

    def result_of(self, handle, timeout_s: float = 400.0):
        """Status and result of a goal."""
        future = handle.get_result_async()
        self.until(future.done, "the refinement ends", timeout_s)
        return future.result().status, future.result().result

    def refine(self, **goal):
        return self.result_of(self.send(**goal))


@pytest.fixture
def bench(spinner, monkeypatch, tmp_path):
    return RefineBench(spinner, monkeypatch, tmp_path / "maps").start()


def process_ids() -> set[int]:
    """Refinement processes of this test run."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
            parent = int((path.parent / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"pan3d_ros.refinement.process" in arguments:
            found.add(int(path.parent.name))
    return found


@pytest.mark.slow
def test_keyframes_become_a_scene_whose_objects_have_the_ids_under_which_they_were_seen(bench, tmp_path):
    bench.see()
    before = {("red" if i.color_rgb[0] > i.color_rgb[2] else "blue"): i.id for i in bench.instances()[-1].instances}
    results_before = len(bench.instances())
    status, result = bench.refine(output="bench-1", steps=30, load=True)
    assert (status, result.error_code) == (GoalStatus.STATUS_SUCCEEDED, ErrorCode.OK), result.message
    assert result.success and result.loaded and not result.stopped_early
    assert (result.views, result.steps) == (4, 30)
    assert Path(result.path) == tmp_path / "maps" / "bench-1" / "gaussians.safetensors"
    kept = {path.name for path in Path(result.path).parent.iterdir()}
    assert kept == {"gaussians.safetensors", "checkpoint.pt", "views.pt", "job.json"}
    assert set(result.object_ids) == set(before.values())
    assert list(result.object_names) == ["block", "block"]
    scene = read_scene_file(result.path)
    assert scene.is_metric and scene.world_frame_id == "base_link"
    assert list(scene.ids()) == list(result.object_ids)
    table = scene.gaussians.means[:, 2].abs() < 0.005
    assert (scene.instance_id[table] == 0).float().mean() > 0.9  # what the node knows of the table is no object
    for color, channel in (("red", 0), ("blue", 2)):
        mine = scene.instance_id == before[color]
        assert scene.gaussians.colors[mine].mean(0).argmax() == channel
    steps = [item.step for item in bench.feedback if item.stage == RefineScene.Feedback.OPTIMISE]
    assert steps == list(range(1, 31))
    shares = [item.progress for item in bench.feedback]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert {item.stage for item in bench.feedback} == {0, 1, 2}
    assert all(item.loss > 0 for item in bench.feedback if item.stage == RefineScene.Feedback.OPTIMISE)
    assert len(bench.instances()) > results_before  # perception went on
    assert not process_ids()
    bench.until(lambda: len(bench.instances()) > results_before + 5, "results with the map")
    assert {i.id for i in bench.instances()[-1].instances} == set(before.values())  # the map's ids are those of before


@pytest.mark.slow
def test_perception_goes_on_while_a_second_goal_is_refused_and_the_first_one_is_cancelled(spinner, monkeypatch, tmp_path):
    bench = RefineBench(spinner, monkeypatch, tmp_path / "maps", refine__checkpoint_steps=1_000_000).start()
    bench.see()
    first = bench.send(output="long", steps=1_000_000)
    bench.until(lambda: any(item.step >= 1 for item in bench.feedback), "the first step", 400.0)
    (child,) = process_ids()
    assert os.getpriority(os.PRIO_PROCESS, child) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 1)
    count, step = len(bench.instances()), bench.feedback[-1].step
    bench.until(lambda: len(bench.instances()) > count + 5 and bench.feedback[-1].step > step, "results and steps", 400.0)
    assert process_ids() == {child}
    status, second = bench.refine(output="other", steps=1)
    assert (status, second.error_code) == (GoalStatus.STATUS_ABORTED, ErrorCode.BUSY)
    assert "another refinement is at step" in second.message
    assert not (tmp_path / "maps" / "other").exists()
    step = bench.feedback[-1].step
    asked = time.monotonic()
    cancel = first.cancel_goal_async()
    bench.until(cancel.done, "the cancel is taken")
    status, result = bench.result_of(first)
    assert (status, result.error_code, result.success) == (GoalStatus.STATUS_CANCELED, ErrorCode.CANCELED, False)
    assert time.monotonic() - asked < 60.0  # a million steps take hours, on a busy machine too
    assert result.steps >= step and result.path == "" and result.message.endswith("steps; nothing is kept")
    assert not process_ids() and list((tmp_path / "maps").iterdir()) == []
    bench.until(lambda: len(bench.instances()) > count + 5, "perception goes on")


@pytest.mark.slow
@pytest.mark.timeout(900)  # two refinements, on a busy machine too
def test_a_cancelled_goal_is_gone_on_with_whatever_the_cameras_show_then(spinner, monkeypatch, tmp_path):
    bench = RefineBench(spinner, monkeypatch, tmp_path / "maps", refine__checkpoint_steps=5).start()
    bench.see()
    first = bench.send(output="long", steps=1_000_000)
    bench.until(lambda: any(item.step >= 12 for item in bench.feedback), "steps", 400.0)
    cancel = first.cancel_goal_async()
    bench.until(cancel.done, "the cancel is taken")
    status, result = bench.result_of(first)
    assert (status, result.error_code, result.path) == (GoalStatus.STATUS_CANCELED, ErrorCode.CANCELED, "")
    folder = tmp_path / "maps" / "long"
    assert f"steps; {folder} keeps the last checkpoint, from which a goal of the same output with resume" in result.message
    status, again = bench.refine(output="long", steps=1)
    assert again.error_code == ErrorCode.INVALID_REQUEST and "exists; resume goes on with it" in again.message
    status, again = bench.refine(output="long", steps=5, resume=True)
    assert (status, again.error_code) == (GoalStatus.STATUS_ABORTED, ErrorCode.INVALID_REQUEST)
    assert "expected more than the" in again.message and "that are done" in again.message
    bench.node.perception.seen.clear()
    bench.feedback.clear()
    status, done = bench.refine(output="long", steps=result.steps + 20, resume=True)
    assert (status, done.error_code) == (GoalStatus.STATUS_SUCCEEDED, ErrorCode.OK), done.message
    assert (done.views, done.steps, done.stopped_early) == (4, result.steps + 20, False)
    steps = [item.step for item in bench.feedback if item.stage == RefineScene.Feedback.OPTIMISE]
    assert steps == list(range(steps[0], done.steps + 1)) and 11 <= steps[0] <= result.steps + 1
    assert len(done.object_ids) == 2 and Path(done.path).is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "limits"),
    [
        ("as the minutes were over before the steps", {"steps": 1_000_000, "minutes": 0.03}),
        ("as the losses had stopped falling (refine.stop_below)", {"steps": 300}),
    ],
)
def test_a_refinement_that_stops_early_says_which_stop_it_was(spinner, monkeypatch, tmp_path, words, limits):
    bench = RefineBench(spinner, monkeypatch, tmp_path / "maps", refine__stop_below=0.9).start()
    bench.see()
    _, result = bench.refine(output="map", **limits)
    assert result.path and result.stopped_early and 0 < result.steps < limits["steps"]
    assert f"after {result.steps} steps, {words}" in result.message
    last = bench.feedback[-1]
    assert last.stage == RefineScene.Feedback.WRITE and last.stopped_early and last.status.startswith(words)
    assert not any(item.stopped_early for item in bench.feedback[:-1])


@pytest.mark.slow
@pytest.mark.timeout(900)  # two refinements, on a busy machine too
def test_a_node_that_is_not_configured_goes_on_with_a_map_and_cannot_load_it(spinner, monkeypatch, tmp_path):
    bench = RefineBench(spinner, monkeypatch, tmp_path / "maps").start()
    bench.see()
    assert bench.refine(output="map", steps=25)[1].path
    assert bench.node.trigger_deactivate() == SUCCESS and bench.node.trigger_cleanup() == SUCCESS
    _, result = bench.refine(output="map", steps=30, resume=True, load=True)
    assert result.error_code == ErrorCode.NOT_ACTIVE and result.message.startswith("load: ")
    _, result = bench.refine(output="map", steps=30, resume=True)
    assert result.success and (result.views, result.steps) == (4, 30), result.message


def test_what_is_missing_for_a_refinement_is_said_in_different_words(bench, tmp_path):
    def refused(**goal):
        status, result = bench.refine(**{"output": "map", "steps": 1, **goal})
        assert (status, result.success, result.path) == (GoalStatus.STATUS_ABORTED, False, "")
        return result.error_code, result.message

    bench.rig.silent = {"front"}
    code, message = refused()
    assert code == ErrorCode.NO_IMAGES and "there is no result yet" in message
    bench.rig.silent = set()
    bench.see((0, 1))
    code, message = refused()
    assert code == ErrorCode.TOO_FEW_VIEWS and "refine.min_views = 3 places, got 2" in message
    for output in ("", "../map", "a/b", ".hidden", "x" * 101):
        assert refused(output=output)[0] == ErrorCode.INVALID_REQUEST
    assert "minutes: expected a number of at least 0, got -1.0" in refused(minutes=-1.0)[1]
    code, message = refused(resume=True)
    assert code == ErrorCode.INVALID_REQUEST and "expected what an earlier goal has left, got 'map'" in message
    bench.see((0, 1, 2))
    (tmp_path / "maps" / "map").mkdir(parents=True)
    code, message = refused(resume=True)
    assert code == ErrorCode.INVALID_REQUEST and message.endswith("maps/map without views.pt and checkpoint.pt")
    code, message = refused()
    assert code == ErrorCode.INVALID_REQUEST and "expected a new name, got 'map'" in message
    assert bench.node.trigger_deactivate() == SUCCESS
    code, message = refused()
    assert code == ErrorCode.NOT_ACTIVE and "deactivated" in message


def test_a_scene_without_objects_is_not_found(bench):
    bench.rig.rgb[:] = 128
    bench.rig.depth[:] = ros_support.CAMERA_HEIGHT_M
    for place in range(3):
        bench.rig.world_from_cam = ros_support.looking_down()
        bench.rig.world_from_cam[0, 3] = place * STEP_M
        bench.until(lambda place=place: len(bench.node.perception.seen.views()) > place, "a keyframe")
    status, result = bench.refine(output="map", steps=1)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, ErrorCode.NOT_FOUND)
    assert result.message == "none of the 3 views shows an object"


class PoseFinder(ros_support.ColorEngine):
    """Knows where the cameras stand, as networks do, in a world of its own."""

    def __call__(self, views):
        return super().__call__(replace(views, cam_from_world=torch.eye(4).expand(views.num_views, 4, 4)))


def test_cameras_without_poses_cannot_be_refined_and_the_answer_says_so(spinner, monkeypatch, tmp_path):
    bench = RefineBench(spinner, monkeypatch, tmp_path, transforms__source="none")
    bench.engine = PoseFinder()
    bench.start()
    bench.until(lambda: bench.node.perception.seen.refused, "results without poses")
    status, result = bench.refine(output="map", steps=1)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, ErrorCode.TF_FAILURE), result.message
    assert result.message == "no camera's pose in the reference frame is known"


def known_blocks(path: Path) -> None:
    """A map of the two blocks, by hand: 41 is the blue one and 7 the red one, and what is called a ball."""
    grid = torch.cartesian_prod(*[torch.linspace(-0.5, 0.5, 9)] * 2)
    parts, ids = [], []
    for value, (rows, columns) in ((7, ros_support.RED), (41, ros_support.BLUE)):
        middle = torch.tensor([(columns.start + columns.stop - 1) / 2 - 35.5, 27.5 - (rows.start + rows.stop - 1) / 2])
        size = torch.tensor([columns.stop - columns.start, rows.stop - rows.start])
        flat = (middle + grid * size) / 60 * (ros_support.CAMERA_HEIGHT_M - ros_support.BLOCK_HEIGHT_M)
        parts.append(torch.cat([flat, torch.full((len(flat), 1), ros_support.BLOCK_HEIGHT_M)], 1))
        ids += [value] * len(flat)
    means, count = torch.cat(parts), len(ids)
    colors = torch.tensor([[0.86, 0.08, 0.08] if value == 7 else [0.08, 0.08, 0.86] for value in ids])
    turns = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4)
    gaussians = Gaussians(means, torch.full((count, 3), 0.003), turns, torch.full((count,), 0.9), colors)
    cameras, intrinsics = torch.zeros(0, 4, 4), torch.zeros(0, 3, 3)
    names = {7: "ball", 41: "block"}
    frame = "base_link"
    write_scene_file(path, GaussianScene(gaussians, torch.tensor(ids), names, cameras, intrinsics, (56, 72), True, frame))


def test_a_map_that_is_known_beforehand_gives_its_ids_and_names_whenever_the_node_is_configured(spinner, monkeypatch, tmp_path):
    known_blocks(tmp_path / "map.safetensors")
    bench = ros_support.Bench(spinner, monkeypatch, refine__map_file=str(tmp_path / "map.safetensors"))
    for _ in range(2):
        bench.start()
        bench.until(lambda: bench.instances() and len(bench.instances()[-1].instances) == 2, "two blocks")
        red, blue = sorted(bench.instances()[-1].instances, key=lambda item: item.color_rgb[2])
        assert (red.id, red.class_name, red.class_score) == (7, "ball", 1.0)
        assert (blue.id, blue.class_name) == (41, "block")
        assert bench.node.trigger_deactivate() == SUCCESS
        assert bench.node.trigger_cleanup() == SUCCESS
        bench.instances().clear()


def test_a_map_that_cannot_be_used_fails_configure_with_the_reason(spinner, monkeypatch, tmp_path):
    missing = ros_support.Bench(spinner, monkeypatch, refine__map_file=str(tmp_path / "none.safetensors"))
    assert missing.node.trigger_configure() != SUCCESS
    assert "none.safetensors, which does not exist" in missing.node.problem
