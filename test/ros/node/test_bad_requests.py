"""Requests that cannot be answered: each gets the right code and words, and the node goes on."""

import math
from dataclasses import replace

import pytest
import ros_support
import torch
from geometry_msgs.msg import Point32
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import GetGraspTargets, GetInstances, SegmentObject, SetClasses
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

from pan3d_ros.perception_node import SUCCESS

WARN, ERROR = b"\x01", b"\x02"
ALL = SegmentObject.Request.PROMPT_ALL


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 10_000])
def test_bad_prompts(spinner, monkeypatch, prompt):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    answer = bench.call(SegmentObject, "segment_object", prompt=prompt)
    assert (answer.success, answer.error_code) == (False, ErrorCode.INVALID_REQUEST)
    assert answer.message.startswith("prompt: expected")
    assert bench.call(GetGraspTargets, "get_grasp_targets", prompt=prompt).error_code == ErrorCode.INVALID_REQUEST


def test_other_bad_requests(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    kinds = SegmentObject.Request
    wrong_frame = kinds().position
    wrong_frame.header.frame_id = "moon"
    for fields, text in [
        ({"prompt_type": 77}, "prompt_type"),
        ({"prompt_type": kinds.PROMPT_POINTS}, "points"),
        ({"prompt_type": kinds.PROMPT_POINTS, "points": [Point32(x=math.nan, z=1.0)]}, "points: expected finite"),
        ({"prompt_type": kinds.PROMPT_BOX}, "box"),
        ({"prompt_type": kinds.PROMPT_INSTANCE}, "instance_id"),
        (
            {"prompt_type": kinds.PROMPT_POSITION, "position": wrong_frame},
            "position.header.frame_id: expected base_link, got 'moon'",
        ),
        ({"prompt_type": ALL, "timeout": -1.0}, "timeout"),
        ({"prompt_type": ALL, "max_age": math.nan}, "max_age"),
        ({"prompt_type": ALL, "min_score": -0.5}, "min_score"),
    ]:
        answer = bench.call(SegmentObject, "segment_object", **fields)
        assert (answer.success, answer.error_code) == (False, ErrorCode.INVALID_REQUEST)
        assert answer.message.startswith(text)
    request = SetClasses.Request(classes=["x" * 10_000])
    assert bench.call(SetClasses, "set_classes", classes=request.classes).error_code == ErrorCode.INVALID_REQUEST


def test_services_while_inactive(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch)
    for kind, name in ((SegmentObject, "segment_object"), (GetInstances, "get_instances")):
        answer = bench.call(kind, name)
        assert (answer.success, answer.error_code) == (False, ErrorCode.NOT_ACTIVE)
    assert bench.node.trigger_configure() == SUCCESS
    for kind, name in ((GetGraspTargets, "get_grasp_targets"), (SetClasses, "set_classes")):
        assert bench.call(kind, name).error_code == ErrorCode.NOT_ACTIVE


def test_requests_beyond_the_limit_are_refused_at_once(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, service__max_waiting=1).start()
    client = bench.rig.create_client(SegmentObject, "/pan3d/segment_object")
    bench.until(client.service_is_ready, "the service", publish=False)
    waiting = client.call_async(SegmentObject.Request(prompt_type=ALL, timeout=100.0))
    bench.until(lambda: bench.node.answers.turns.waiting == 1, "the first waits", publish=False)
    second = client.call_async(SegmentObject.Request(prompt_type=ALL, timeout=100.0))
    answer = bench.until(lambda: second.done() and second.result(), "the second is refused", publish=False)
    assert answer.error_code == ErrorCode.BUSY
    assert bench.node.trigger_deactivate() == SUCCESS
    answer = bench.until(lambda: waiting.done() and waiting.result(), "the first does not hang", publish=False)
    assert answer.error_code == ErrorCode.NOT_ACTIVE


def test_many_callers_at_once_of_a_service_below_its_own_name_are_answered(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch)
    keeps_all = QoSProfile(depth=100)  # of answers: every client of a service hears all of them
    clients = [bench.rig.create_client(Trigger, "/pan3d/load_objects", qos_profile=keeps_all) for _ in range(2)]
    for client in clients:
        bench.until(client.service_is_ready, "the service", publish=False)
    calls = [client.call_async(Trigger.Request()) for client in clients for _ in range(25)]
    bench.until(lambda: all(call.done() for call in calls), "50 answers", publish=False)
    assert all(call.result().message and not call.result().success for call in calls)


def test_no_objects_is_not_could_not_look(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.rig.rgb[:] = 128
    bench.rig.depth[:] = ros_support.CAMERA_HEIGHT_M
    bench.until(bench.instances, "an empty result")
    assert not bench.instances()[-1].instances
    answer = bench.what_is_there(timeout=60.0)
    assert (answer.success, answer.error_code) == (False, ErrorCode.NOT_FOUND)
    assert len(answer.instances.cameras) == 1, "it did look"


class FlatTable(ros_support.ColorEngine):
    """The colours alone: a table at the height where it is."""

    facts = replace(ros_support.ColorEngine.facts, needs_depth=False)

    def __call__(self, views):
        return super().__call__(replace(views, depth=torch.full(views.images[:, 0].shape, ros_support.CAMERA_HEIGHT_M)))


def test_covered_lenses_are_could_not_look(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, input__use_depth=False)
    bench.engine = FlatTable()
    bench.start()
    bench.rig.rgb[:] = 3
    bench.until(bench.instances, "a result of covered lenses")
    answers = [
        bench.what_is_there(timeout=60.0),
        bench.call(GetInstances, "get_instances", publish=True),
        bench.call(GetGraspTargets, "get_grasp_targets", publish=True, prompt="the red thing"),
    ]
    for answer in answers:
        assert (answer.success, answer.error_code) == (False, ErrorCode.NO_IMAGES)
        assert "is the lens covered" in answer.message
