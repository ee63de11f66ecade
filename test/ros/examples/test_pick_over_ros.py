"""The loop closed by messages alone: cell, perception node and a client are processes of their own."""

import contextlib
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from pan3d_interfaces.srv import GetCellTruth, GetInstances
from places import ROOT
from rclpy.node import Node

pytest.importorskip("mujoco", reason="needs the extra [sim]")
pytest.importorskip("ompl", reason="needs the extra [arm]")
CELL = {
    "seed": 3,
    "num_objects": 3,
    "num_cameras": 3,
    "width": 320,
    "height": 240,
    "rate_hz": 0.5,
    "arm": True,
    "arm_commands": True,
}
CELL |= {"publish_depth": True, "depth_noise": False}
NODE = {"cameras": "[camera_0, camera_1, camera_2]", "input.use_depth": True, "input.max_image_age_s": 0.0, "sync.slop_s": 0.5}
NODE |= {"workspace.support_height_m": 0.0, "robot.description_topic": "robot_description", "robot.timeout_s": 2.0}
NODE |= {"arm.tip_link": "tool0", "arm.reachable_only": True, "service.max_age_s": 60.0, "autostart": True}


@pytest.fixture
def processes(ros_context, tmp_path):
    """Cell and node, with their logs."""
    running = []
    for module, values in (("sim_node", CELL), ("perception_node", NODE)):
        command = [sys.executable, "-m", f"pan3d_ros.{module}", "--ros-args"]
        for name, value in values.items():
            command += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        with (tmp_path / f"{module}.log").open("w") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ}))
    yield running
    for child in running:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait()


def ask(client, kind, name, **fields):
    service = client.create_client(kind, name)
    try:
        assert service.wait_for_service(60.0), name
        answer = service.call_async(kind.Request(**fields))
        end = time.monotonic() + 60.0
        while not answer.done():
            assert time.monotonic() < end, name
            time.sleep(0.02)
        return answer.result()
    finally:
        client.destroy_client(service)


def places(client):
    """Name of each true object -> (3,) where it is."""
    truth = json.loads(ask(client, GetCellTruth, "/pan3d_cell/get_truth").scene_json)
    return {item["name"]: np.array(item["world_from_object"])[:3, 3] for item in truth["objects"]}


@pytest.mark.slow
def test_a_client_of_messages_alone_brings_an_object_to_another_place(processes, spinner):
    client, end = spinner.add(Node("judge")), time.monotonic() + 200.0
    while len(ask(client, GetInstances, "/pan3d/get_instances").instances.instances) < 3:
        assert time.monotonic() < end and all(child.poll() is None for child in processes)
        time.sleep(1.0)
    before = places(client)
    (mug,) = [name for name in before if "mug" in name]
    program = [sys.executable, str(ROOT / "examples" / "manipulation" / "pick_over_ros.py"), "the mug"]
    run = subprocess.run(program, env={**os.environ}, capture_output=True, text=True, timeout=400)
    assert run.returncode == 0 and run.stdout.startswith("a motion was found"), run.stdout + run.stderr
    after = places(client)
    moved = {name: float(np.linalg.norm(after[name] - before[name])) for name in before}
    assert moved.pop(mug) > 0.06 and abs(after[mug][2] - before[mug][2]) < 0.01, (before, after)
    assert max(moved.values()) < 0.02, moved
