"""The generated messages: fields that others rely on, and constants that must not move."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", exc_type=ImportError)
pytest.importorskip("pan3d_interfaces.msg", exc_type=ImportError)

from pan3d_interfaces.action import Segment  # noqa: E402
from pan3d_interfaces.msg import ErrorCode, GraspTarget, Instance, InstanceArray, PipelineStats  # noqa: E402
from pan3d_interfaces.srv import ExecuteGrasp, GetCellTruth, GetGraspTargets, GetInstances, SegmentObject, SetClasses  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402

# Part of the public interface: a recorded answer must mean the same for ever.
CODES = {
    "OK": 0, "NOT_ACTIVE": 1, "NO_IMAGES": 2, "STALE_IMAGES": 3, "NO_CAMERA_INFO": 4, "TF_FAILURE": 5, "NOT_FOUND": 6,
    "TIMEOUT": 7, "CANCELED": 8, "OUT_OF_MEMORY": 9, "INFERENCE_ERROR": 10, "INVALID_REQUEST": 11, "BUSY": 12, "NOT_METRIC": 13,
    "TOO_FEW_VIEWS": 14, "POSES_CONTRADICT": 15, "NOT_UNDERSTOOD": 16,
}  # fmt: skip


def test_error_codes_have_not_moved():
    assert {name: getattr(ErrorCode, name) for name in CODES} == CODES


def test_the_default_prompt_type_is_text_so_that_a_call_needs_only_words():
    assert SegmentObject.Request(prompt="the red mug").prompt_type == SegmentObject.Request.PROMPT_TEXT == 0


def test_service_and_action_ask_and_answer_the_same():
    assert SegmentObject.Request.get_fields_and_field_types() == Segment.Goal.get_fields_and_field_types()
    assert SegmentObject.Response.get_fields_and_field_types() == Segment.Result.get_fields_and_field_types()
    names = [name for name in dir(SegmentObject.Request) if name.startswith("PROMPT_")]
    assert {n: getattr(SegmentObject.Request, n) for n in names} == {n: getattr(Segment.Goal, n) for n in names}


@pytest.mark.parametrize("service", [SegmentObject, GetInstances, GetGraspTargets, SetClasses, ExecuteGrasp])
def test_every_answer_has_success_code_and_message(service):
    fields = service.Response.get_fields_and_field_types()
    assert (fields["success"], fields["error_code"], fields["message"]) == ("boolean", "uint16", "string")


def test_feedback_tells_the_stage():
    feedback = Segment.Feedback()
    assert [feedback.COLLECT, feedback.RECONSTRUCT, feedback.SEGMENT, feedback.MATCH, feedback.GRASP] == [0, 1, 2, 3, 4]


def test_messages_survive_the_wire():
    instance = Instance(id=7, class_name="mug", score=0.5, label=3)
    instance.color_rgb = [1.0, 0.0, 0.25]
    grasp = GraspTarget(instance_id=7, width=0.06, quality=0.75, method=GraspTarget.METHOD_TOP_DOWN)
    messages = [
        InstanceArray(cameras=["front"], metric=True, scale=1.5, instances=[instance]),
        PipelineStats(stages=["preprocess"], stage_seconds=[0.5], drop_reasons=["stale"], drop_counts=[3]),
        SegmentObject.Response(success=True, match_probabilities=[0.75], grasps=[grasp]),
    ]
    received = []
    for message in messages:
        wire = serialize_message(message)
        received.append(deserialize_message(wire, type(message)))
        # Not byte by byte: bytes that only align what follows are whatever was in memory.
        wire_again = serialize_message(received[-1])
        assert len(wire_again) == len(wire) and deserialize_message(wire_again, type(message)) == received[-1]
    array, stats, answer = received
    assert array.instances[0].class_name == "mug" and array.instances[0].color_rgb.tolist() == [1.0, 0.0, 0.25]
    assert stats.stages == ["preprocess"] and stats.drop_counts.tolist() == [3]
    assert answer.grasps[0].quality == 0.75


def test_truth_is_separate_from_what_perception_answers():
    assert "scene_json" in GetCellTruth.Response.get_fields_and_field_types()
    assert "scene_json" not in SegmentObject.Response.get_fields_and_field_types()
