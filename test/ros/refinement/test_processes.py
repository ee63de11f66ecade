"""A node as a process of its own refines its place, is ended, and the next one knows the objects again."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ros_support
from pan3d_interfaces.action import RefineScene
from pan3d_interfaces.msg import ErrorCode, Instance
from places import ROOT
from rclpy.action import ActionClient
from walking_rig import walk


class NodeProcess:
    """The perception node with measured depth, and the rig that it looks through."""

    def __init__(self, spinner, folder: Path, log: Path, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        values = ["cameras:=[front]", "model.name:=depth_clusters", "input.use_depth:=true", "input.max_image_age_s:=0.0"]
        values += ["workspace.support_height_m:=0.0", "autostart:=true", "refine.niceness:=0"]
        values += [f"refine.folder:={folder}", *arguments]
        command = [sys.executable, "-m", "pan3d_ros.perception_node", "--ros-args"]
        for value in values:
            command += ["-p", value]
        self.log = log
        with log.open("w") as file:
            self.child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        self.rig, self.listener = spinner.add(ros_support.Rig()), spinner.add(ros_support.Listener())

    def until(self, condition, what: str, timeout_s: float = 300.0):
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            assert self.child.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"never happened: {what}\n{self.log.read_text()}"
            self.rig.publish()
            time.sleep(0.1)
        return value

    def see(self, place: int) -> dict[str, int]:
        """Ids of the two blocks in a result from this place."""
        walk(self.rig, place)
        taken = self.rig.get_clock().now().nanoseconds

        def blocks():
            arrays = self.listener.received["instances"]
            if not arrays or arrays[-1].header.stamp.sec * 10**9 + arrays[-1].header.stamp.nanosec < taken:
                return None
            seen = [item for item in arrays[-1].instances if item.state != Instance.LOST]
            return seen if len(seen) == 2 else None

        return {
            ("red" if item.color_rgb[0] > item.color_rgb[2] else "blue"): item.id for item in self.until(blocks, "two blocks")
        }

    def goal(self, seen: list[int] | None = None, **values):
        """Handle of a refinement that has been started; `seen` gets the steps of its feedback."""
        client = ActionClient(self.rig, RefineScene, "/pan3d/refine_scene")
        self.until(client.server_is_ready, "the action")
        seen = [] if seen is None else seen
        sent = client.send_goal_async(RefineScene.Goal(**values), lambda message: seen.append(message.feedback.step))
        self.until(sent.done, "the goal is taken")
        return sent.result()

    def end(self) -> None:
        self.child.send_signal(signal.SIGINT)
        assert self.child.wait(60) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text()
        for topic in self.listener.received.values():
            topic.clear()


def refinements(folder: Path) -> list[int]:
    """Processes that refine a job in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = path.read_bytes()
            if b"pan3d_ros.refinement.process" in arguments and str(folder).encode() in arguments:
                found.append(int(path.parent.name))
    return found


@pytest.fixture
def start(spinner, ros_context, tmp_path):
    nodes = []

    def started(*arguments: str) -> NodeProcess:
        nodes.append(NodeProcess(spinner, tmp_path / "maps", tmp_path / f"node{len(nodes)}.log", *arguments))
        return nodes[-1]

    yield started
    for node in nodes:
        with contextlib.suppress(ProcessLookupError):
            node.child.kill()
        node.child.wait()


@pytest.mark.slow
@pytest.mark.timeout(1200)  # three starts of processes, on a busy machine too
def test_ids_are_the_same_after_a_restart_of_the_node(start, tmp_path):
    first = start("memory.remember_s:=1.0")
    first.see(0)
    first.rig.rgb[:], first.rig.depth[:] = 128, ros_support.CAMERA_HEIGHT_M  # both are taken away
    first.until(lambda: not first.listener.received["instances"][-1].instances, "both are gone")
    gone = time.monotonic()
    first.until(lambda: time.monotonic() > gone + 3.0, "both are forgotten")
    ids = [first.see(place) for place in (-2, -1, 0, 1)]
    assert all(found == ids[0] for found in ids)
    assert not set(ids[0].values()) & {1, 2}  # what a node without a map would give them
    answer = first.goal(output="cell", steps=12).get_result_async()
    count = len(first.listener.received["instances"])
    first.until(answer.done, "the refinement ends")
    result = answer.result().result
    assert result.success, result.message
    assert set(result.object_ids) == set(ids[0].values())
    assert len(first.listener.received["instances"]) > count
    first.end()
    second = start(f"refine.map_file:={tmp_path}/maps/cell/gaussians.safetensors")
    assert [second.see(place) for place in (-1, 0, 1)] == ids[:1] * 3
    second.goal(output="endless", steps=1_000_000)
    (child,) = second.until(lambda: refinements(tmp_path), "a refinement")
    second.end()  # and with it the process that it started
    assert not (Path("/proc") / str(child)).exists() and refinements(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_refinement_whose_process_is_killed_names_its_folder_and_a_second_goal_goes_on_from_there(start, tmp_path):
    node = start("refine.checkpoint_steps:=4")
    for place in (-1, 0, 1):
        node.see(place)
    steps: list[int] = []
    answer = node.goal(steps, output="cell", steps=1_000_000).get_result_async()
    node.until(lambda: steps and steps[-1] >= 6, "some steps")
    (child,) = refinements(tmp_path)
    os.kill(child, signal.SIGKILL)
    node.until(answer.done, "the goal ends")
    result = answer.result().result
    assert not result.success and result.error_code == ErrorCode.INFERENCE_ERROR
    assert "ended by signal 9" in result.message and f"{tmp_path}/maps/cell keeps the last checkpoint" in result.message
    steps.clear()
    answer = node.goal(steps, output="cell", steps=result.steps + 12, resume=True).get_result_async()
    node.until(answer.done, "the refinement ends")
    done = answer.result().result
    assert done.success and (done.views, done.steps) == (3, result.steps + 12), done.message
    assert steps[0] == 0 and 4 <= steps[1] <= result.steps and steps[-1] == done.steps  # the second report has the checkpoint
    node.end()
