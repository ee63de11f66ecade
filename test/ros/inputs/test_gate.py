"""Images that nobody can use stay in the middleware, and cost nothing."""

import threading
import time
from collections import Counter

import pytest
import rclpy
import ros_support
import torch
from rclpy.exceptions import InvalidHandle
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image

from pan3d_ros.inputs import gate
from pan3d_ros.inputs.serialized import Serialized
from pan3d_ros.messages.images import image_array
from pan3d_ros.messages.parts import header, image_message, info_message


def test_a_serialized_message_has_its_header_at_once_and_the_rest_on_demand():
    rgb, _ = ros_support.scene_pixels()
    message = image_message(rgb, "rgb8", header("front_optical_frame", 12_000_000_034))
    lazy = Serialized(Image, serialize_message(message))
    assert lazy.header == message.header and lazy._message is None
    assert (image_array(lazy) == rgb).all() and lazy._message == message
    info = info_message(torch.eye(3), 4, 6, header("", 5))
    assert Serialized(CameraInfo, serialize_message(info)).header == info.header


@pytest.mark.parametrize("data", [b"", b"\0\1\0\0", b"\0\1\0\0" + bytes(12), b"\0\1\0\0" + bytes(8) + b"\xff" * 4 + b"x" * 9])
def test_bytes_without_a_header_are_refused(data):
    with pytest.raises(ValueError, match="Image: expected a"):
        Serialized(Image, data)


def test_most_images_are_dropped_unseen_and_results_come_at_the_rate(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, input__max_rate_hz=5.0).start()
    bench.until(bench.instances, "a result")
    camera, published = bench.node.perception.inputs[0], 0
    before, results, began_s = Counter(camera.counts), len(bench.instances()), time.monotonic()
    while published < 200 or len(bench.instances()) - results < 5:
        assert time.monotonic() - began_s < 60.0
        bench.rig.publish()
        published += 1
        time.sleep(0.01)
    assert camera.counts["image"] - before["image"] < 0.6 * published
    assert len(bench.instances()) - results < 5.0 * (time.monotonic() - began_s) + 3
    assert camera.rate_hz(time.monotonic()) > 10.0, "the camera's own rate, not that of what was taken"


def test_what_waits_while_the_gate_is_closed_wakes_nobody(spinner, monkeypatch):
    monkeypatch.setattr(gate, "LONGEST_S", 30.0)
    rounds = Counter()

    def can_execute(self, entity):
        rounds["open" if self.is_open else "closed"] += getattr(entity, "msg_type", None) is Image
        return real(self, entity)

    real = gate.InputGate.can_execute
    monkeypatch.setattr(gate.InputGate, "can_execute", can_execute)
    bench = ros_support.Bench(spinner, monkeypatch, input__max_rate_hz=0.01, watchdog__period_s=10.0).start()
    bench.until(bench.instances, "a result")
    bench.until(lambda: not bench.node.data_group.is_open, "the gate closes", publish=False)
    bench.rig.publish()
    rounds.clear()
    time.sleep(1.0)
    assert not bench.node.data_group.is_open and rounds["closed"] < 100  # two subscriptions of images: two a round


def test_work_that_ends_while_the_gate_is_taken_down_leaves_its_timer_alone(spinner):
    """The worker is told to be idle in the very moment in which the timer has gone."""
    node = rclpy.create_node("gate_taken_down")
    group, faults, workers = gate.InputGate(), [], []
    intake = gate.Intake(node, group, lambda: None, lambda: 1.0, lambda: True)
    destroy = node.destroy_timer

    def idle():
        try:
            intake.idle()
        except InvalidHandle as fault:
            faults.append(fault)

    def destroyed(timer):
        done = destroy(timer)
        workers.append(threading.Thread(target=idle))
        workers[0].start()
        workers[0].join(0.3)
        return done

    node.destroy_timer = destroyed
    intake.took()
    assert not group.is_open
    intake.close()
    workers[0].join(5.0)
    assert group.is_open and faults == [] and not workers[0].is_alive()
    node.destroy_node()
