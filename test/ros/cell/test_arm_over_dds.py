"""The cell's node with an arm and the perception node, two processes: the arm is no object and no obstacle, in any camera."""

import contextlib
import os
import subprocess
import sys
import time

import pytest
import ros_support
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter

from pan3d_ros.messages.clouds import cloud_from_message
from pan3d_ros.perception_node import SUCCESS, PerceptionNode

pytest.importorskip("mujoco", reason="needs the extra [sim]")
CAMERAS = ("camera_0", "camera_1", "wrist")
LOWEST_ARM_M = 0.17  # over the table, wherever its path has it; objects of this seed are lower


@pytest.fixture
def cell(ros_context, tmp_path):
    values = {"arm": True, "wrist_camera": True, "num_cameras": 2, "num_objects": 3, "publish_depth": True, "rate_hz": 1.0}
    values |= {"seed": 3, "width": 320, "height": 240}
    command = [sys.executable, "-m", "pan3d_ros.sim_node", "--ros-args"]
    for name, value in values.items():
        command += ["-p", f"{name}:={str(value).lower()}"]
    with (tmp_path / "cell.log").open("w") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ})
    yield child, tmp_path / "cell.log"
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    child.wait()


@pytest.mark.slow
def test_an_arm_that_moves_is_neither_object_nor_obstacle(cell, spinner):
    child, log = cell
    values = {
        "cameras": list(CAMERAS),
        "model.name": "depth_clusters",
        "input.use_depth": True,
        "input.max_image_age_s": 0.0,
        "sync.slop_s": 0.5,
        "workspace.support_height_m": 0.0,
        "robot.description_topic": "robot_description",
        "robot.timeout_s": 2.0,
        "watchdog.period_s": 0.5,
    }
    node = spinner.add(PerceptionNode(parameter_overrides=[Parameter(name, value=value) for name, value in values.items()]))
    listener = spinner.add(ros_support.Listener(CAMERAS))
    assert node.trigger_configure() == SUCCESS, node.problem
    assert node.trigger_activate() == SUCCESS, node.problem

    def until(condition, what, timeout_s=200.0):
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert child.poll() is None, log.read_text()
            status = listener.status("robot")
            assert time.monotonic() < deadline, f"never happened: {what}; {status and status.message}\n{log.read_text()}"
            time.sleep(0.1)

    until(lambda: len(listener.received["instances"]) > 4, "results")
    until(lambda: listener.shows("robot", DiagnosticStatus.OK, "the robot's body is taken out"), "the robot is taken out")
    shares = [float(value.value) for value in listener.status("robot").values if value.key == "share"]
    assert shares[0] > 0.03
    for array, message in zip(listener.received["instances"], listener.received["obstacle_points"]):
        seen = [item for item in array.instances if item.state != item.LOST]
        assert all(item.pose.position.z < LOWEST_ARM_M for item in seen)
        points = cloud_from_message(message)
        over_table = (abs(points["x"]) < 0.3) & (abs(points["y"]) < 0.3) & (points["z"] > LOWEST_ARM_M)
        assert over_table.sum() < 0.002 * len(points)
