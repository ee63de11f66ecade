"""The node as a process of its own, over the middleware, with the shipped profile."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
import ros_support
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject
from places import ROOT


@pytest.fixture
def process(ros_context, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment["FASTDDS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config" / "fastdds_large.xml")
    arguments = ["cameras:=[front]", "model.name:=depth_clusters", "input.use_depth:=true", "input.max_image_age_s:=0.0"]
    arguments += ["workspace.support_height_m:=0.0", "global_services:=true", "autostart:=true", "service.timeout_s:=60.0"]
    command = [sys.executable, "-m", "pan3d_ros.perception_node", "--ros-args"]
    for argument in arguments:
        command += ["-p", argument]
    with (tmp_path / "node.log").open("w") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    yield child, tmp_path / "node.log"
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    child.wait()


def test_the_node_serves_other_processes_and_ends_when_asked(spinner, process):
    child, log = process
    rig, listener = spinner.add(ros_support.Rig()), spinner.add(ros_support.Listener())

    def until(condition, what, timeout_s=200.0):
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"never happened: {what}\n{log.read_text()}"
            rig.publish()
            time.sleep(0.1)
        return value

    until(lambda: listener.received["instances"] and listener.received["points"], "results")
    until(lambda: len(listener.received["instances"][-1].instances) == 2, "two blocks")
    client = rig.create_client(SegmentObject, "/segment_object")
    until(client.service_is_ready, "the service")
    future = client.call_async(SegmentObject.Request(prompt="the red thing", max_grasps=3, return_points=True))
    answer = until(lambda: future.done() and future.result(), "an answer")
    assert answer.success, answer.message
    red = answer.instances.instances[0]
    assert red.color_rgb[0] > 0.6 > red.color_rgb[2]
    assert answer.points.width > 50
    assert answer.grasps or answer.grasp_message
    change = rig.create_client(ChangeState, "/pan3d/change_state")
    until(change.service_is_ready, "the lifecycle")
    done = change.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE)))
    assert until(lambda: done.done() and done.result(), "deactivated").success
    future = client.call_async(SegmentObject.Request(prompt="the red thing"))
    assert until(lambda: future.done() and future.result(), "an answer").error_code == ErrorCode.NOT_ACTIVE
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
