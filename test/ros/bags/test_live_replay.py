"""The real node, as a process of its own, fed by the player over DDS, gives what the replay in process gives."""

import contextlib
import math
import os
import subprocess
import sys
import threading
import time

import pytest
from places import ROOT
from ros_presence import require_ros

require_ros()

import rclpy  # noqa: E402
import yaml  # noqa: E402
from pan3d_interfaces.msg import InstanceArray  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402

from pan3d_core.config import ModelConfig, PipelineConfig  # noqa: E402
from pan3d_ros.bags.inspection import inspect_bag  # noqa: E402
from pan3d_ros.bags.judging.evaluation import OBJECTS, evaluate_bag  # noqa: E402
from pan3d_ros.bags.player import BagPlayer, PlayOptions  # noqa: E402
from pan3d_ros.bags.reading.reader import BagReader  # noqa: E402
from pan3d_ros.bags.settings import replay_settings  # noqa: E402
from pan3d_ros.messages.buffers import stamp_to_ns  # noqa: E402


def parameter_file(bag, folder, model):
    """What `pan3d doctor BAG` prints, for an engine that needs no network, and poses by whatever brings them."""
    parameters = inspect_bag(bag).parameters
    parameters["model"] = {"name": model, "device": "cpu"}
    parameters["input"] |= {"use_depth": True, "max_image_age_s": 0.0, "max_rate_hz": 0.0}
    parameters["transforms"] = {"source": "auto", "timeout_s": 1.0}
    parameters["sync"]["camera_timeout_s"] = 60.0  # of the host's time: a slow replay must not make cameras look dead
    path = folder / "bag.param.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    return path


@pytest.fixture
def ros(own_domain):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=own_domain)
    node = Node("replay_test", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown()
    thread.join(10)
    node.destroy_node()
    context.try_shutdown()


@contextlib.contextmanager
def live_node(params, log):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}"}
    environment["FASTDDS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config" / "fastdds_large.xml")
    command = [sys.executable, "-m", "pan3d_ros.perception_node", "--ros-args", "--params-file", str(params)]
    command += ["-p", "use_sim_time:=true", "-p", "autostart:=true"]
    with log.open("w") as file:
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def played_live(bag, node, params, log, expected):
    """Newest stamp -> InstanceArray, of a round in which nothing was dropped; slower rounds on slow machines."""
    received = []
    node.create_subscription(InstanceArray, "/pan3d/instances", received.append, 10)
    with live_node(params, log) as child, BagReader(bag) as reader:
        for rate in (1.0, 0.4, 0.1):
            received.clear()
            player = BagPlayer(reader, node, PlayOptions(rate=rate, wait_s=120.0))
            player.play(lambda: child.poll() is None)
            deadline = time.monotonic() + 20.0
            while len(received) < expected and time.monotonic() < deadline:
                time.sleep(0.1)
            if len(received) == expected:
                return {stamp_to_ns(message.newest_stamp): message for message in received}, player.played
    raise AssertionError(f"{len(received)} of {expected} results came\n{log.read_text()[-4000:]}")


def paired(seen, instances):
    """Nearest instance of each object, each taken once."""
    left = list(instances)
    for item in seen:
        near = min(left, key=lambda other: math.dist(item.center_m, position(other)))
        left.remove(near)
        yield item, near


def position(instance):
    place = instance.pose.position
    return place.x, place.y, place.z


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("model", ["depth_clusters", "pan3d-mini"])
def test_live_and_in_process_replay_see_the_same(cell_bag, ros, tmp_path, model):
    params = parameter_file(cell_bag, tmp_path, model)
    settings = replay_settings([params], base=PipelineConfig(model=ModelConfig(name=model)))
    expected = {max(item.stamps_ns): item for item in evaluate_bag(cell_bag, settings=settings).outcomes}
    assert len(expected) == 4
    assert all(item.answer == OBJECTS and item.is_metric for item in expected.values())
    live, played = played_live(cell_bag, ros, params, tmp_path / "node.log", len(expected))
    assert live.keys() == expected.keys()
    assert "/clock" not in played.counts
    live_id_of = {}
    for stamp, outcome in expected.items():
        message = live[stamp]
        visible = [item for item in message.instances if item.state != item.LOST]
        assert len(visible) == len(outcome.objects)
        assert message.metric
        for seen, instance in paired(outcome.objects, visible):
            assert math.dist(seen.center_m, position(instance)) < 1e-3
            size = (instance.size.x, instance.size.y, instance.size.z)
            assert max(abs(a - b) for a, b in zip(seen.size_m, size)) < 1e-3
            assert instance.class_id == seen.name
            assert instance.score == pytest.approx(seen.score, abs=1e-3)
            assert live_id_of.setdefault(seen.id, instance.id) == instance.id
    assert len(set(live_id_of.values())) == len(live_id_of)
