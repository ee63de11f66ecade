"""The node with real messages and services: what it does when all is well."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import ros_support
from geometry_msgs.msg import Point32, TransformStamped, Vector3
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from pan3d_interfaces.action import Segment
from pan3d_interfaces.msg import ErrorCode, Instance
from pan3d_interfaces.srv import GetGraspTargets, GetInstances, SegmentObject, SetClasses
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from visualization_msgs.msg import Marker

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.clouds import cloud_from_message, unpack_rgb
from pan3d_ros.messages.images import image_array
from pan3d_ros.messages.parts import pose_message
from pan3d_ros.perception_node import SUCCESS

RED_CENTER = ((18.5 - 35.5) / 60 * 0.55, (27.5 - 25.5) / 60 * 0.55)  # world x, y of the red block's top


@pytest.fixture
def bench(spinner, monkeypatch):
    return ros_support.Bench(spinner, monkeypatch, publish__depth=True, publish__instance_image=True).start()


def test_topics_agree_with_each_other_and_the_scene(bench):
    listener = bench.listener
    names = ("instances", "points", "obstacle_points", "markers", "stats", "label_info")
    names += tuple(f"front/{name}" for name in ("depth", "image", "instance_image"))
    bench.until(lambda: all(listener.received[name] for name in names), "everything is published")
    bench.until(lambda: len(bench.instances()[-1].instances) == 2, "two blocks")
    array = bench.instances()[-1]
    assert array.header.frame_id == "base_link"
    assert array.metric
    assert list(array.cameras) == ["front"]
    assert array.header.stamp == array.newest_stamp
    by_color = {("red" if i.color_rgb[0] > i.color_rgb[2] else "blue"): i for i in array.instances}
    red = by_color["red"]
    assert red.class_name == "block"
    assert red.label == 1
    assert (red.pose.position.x, red.pose.position.y) == pytest.approx(RED_CENTER, abs=0.01)
    assert red.centroid.z == pytest.approx(ros_support.BLOCK_HEIGHT_M, abs=0.01)
    points = cloud_from_message(listener.received["points"][-1])
    on_red = points[points["instance"] == red.id]
    obstacles = cloud_from_message(listener.received["obstacle_points"][-1])
    assert len(obstacles) == (points["instance"] == 0).sum() and not obstacles["instance"].any()
    assert len(on_red) > 60
    assert (on_red["label"] == 1).all()
    assert (unpack_rgb(on_red["rgb"])[:, 0] > 150).all()
    assert np.abs(on_red["z"] - ros_support.BLOCK_HEIGHT_M).max() < 0.02
    ids = image_array(listener.received["front/instance_image"][-1])
    assert set(np.unique(ids)) == {0, *(i.id for i in array.instances)}
    picture = listener.received["front/image"][-1]
    assert picture.encoding == "rgb8" and picture.header.frame_id == "front_optical_frame"
    assert np.array_equal(image_array(picture), bench.rig.rgb)
    depth = listener.received["front/depth"][-1]
    assert depth.header.frame_id == "front_optical_frame"
    assert image_array(depth).max() == pytest.approx(ros_support.CAMERA_HEIGHT_M, abs=1e-3)
    assert listener.received["label_info"][-1].names == ["block", "ball"]
    stats = listener.received["stats"][-1]
    assert {"convert", "preprocess", "engine", "merge", "publish"} <= set(stats.stages)
    assert stats.latency_seconds >= stats.process_seconds > 0
    bench.until(lambda: listener.shows("pipeline", b"\x00", "results are published"), "healthy diagnostics")
    assert listener.shows("camera front", b"\x00", "images arrive")


def test_ids_and_markers_stay_and_go_with_their_objects(bench):
    listener = bench.listener
    bench.until(lambda: len(bench.instances()) > 2, "results")
    first = {i.id for i in bench.instances()[-1].instances}
    drawn = bench.until(lambda: listener.received["markers"] and listener.received["markers"][-1].markers, "markers")
    counts = Counter(m.ns for m in drawn)
    assert counts == {"instances/box": 2, "instances/label": 2, "instances/axis": 1, "cameras/frustum": 1}
    bench.until(lambda: len(bench.instances()) > 6, "more results")
    newest = bench.instances()[-1].instances
    assert {i.id for i in newest} == first
    assert all(i.state == Instance.TRACKED for i in newest)
    blue = next(i.id for i in newest if i.color_rgb[2] > 0.5)
    bench.rig.rgb[ros_support.BLUE] = 128  # taken away
    bench.rig.depth[ros_support.BLUE] = ros_support.CAMERA_HEIGHT_M
    lost = bench.until(
        lambda: [i for i in bench.instances()[-1].instances if i.id == blue and i.state == Instance.LOST], "blue is lost"
    )
    assert stamp_to_ns(lost[0].last_seen) < stamp_to_ns(bench.instances()[-1].newest_stamp)
    deleted = bench.until(
        lambda: [m for a in listener.received["markers"] for m in a.markers if m.action == Marker.DELETE and m.id == blue],
        "its markers are deleted",
    )
    assert {m.ns for m in deleted} == {"instances/box", "instances/label"}


def test_segment_object_understands_every_kind_of_prompt(bench):
    bench.until(lambda: bench.instances() and len(bench.instances()[-1].instances) == 2, "results")

    def ask(**fields):
        return bench.call(SegmentObject, "segment_object", use_latest=True, **fields)

    kinds = SegmentObject.Request
    answer = ask(prompt="the red block", return_points=True, return_masks=True, max_grasps=2)
    assert answer.success and answer.error_code == ErrorCode.OK, answer.message
    red = answer.instances.instances[0].id
    assert answer.match_probabilities[0] > answer.none_probability
    assert set(cloud_from_message(answer.points)["instance"]) == {red}
    assert set(np.unique(image_array(answer.masks[0]))) == {0, red}
    assert answer.grasps or answer.grasp_message
    assert answer.latency > 0
    everything = ask(prompt_type=kinds.PROMPT_ALL)
    assert len(everything.instances.instances) == 2
    assert [i.score for i in everything.instances.instances] == sorted(
        (i.score for i in everything.instances.instances), reverse=True
    )
    assert len(ask(prompt_type=kinds.PROMPT_ALL, max_results=1).instances.instances) == 1
    assert ask(prompt_type=kinds.PROMPT_ALL, min_score=0.999).error_code == ErrorCode.NOT_FOUND
    on_red, on_blue = Point32(x=18.0, y=25.0, z=1.0), Point32(x=50.0, y=27.0, z=0.0)
    assert [i.id for i in ask(prompt_type=kinds.PROMPT_POINTS, points=[on_red, on_blue]).instances.instances] == [red]
    beside = ask(prompt_type=kinds.PROMPT_POINTS, points=[Point32(x=2.0, y=2.0, z=1.0)])
    assert (beside.success, beside.error_code) == (False, ErrorCode.NOT_FOUND)
    request = kinds(prompt_type=kinds.PROMPT_BOX)
    request.box.x_offset, request.box.y_offset, request.box.width, request.box.height = 10, 16, 20, 20
    assert [i.id for i in ask(prompt_type=kinds.PROMPT_BOX, box=request.box).instances.instances] == [red]
    request.position.point.x, request.position.point.y = RED_CENTER
    assert ask(prompt_type=kinds.PROMPT_POSITION, position=request.position).instances.instances[0].id == red
    assert ask(prompt_type=kinds.PROMPT_INSTANCE, instance_id=red).success
    assert ask(prompt_type=kinds.PROMPT_INSTANCE, instance_id=9999).error_code == ErrorCode.NOT_FOUND
    nothing = ask(prompt="the green block")
    assert (nothing.success, nothing.error_code) == (False, ErrorCode.NOT_FOUND)
    assert nothing.none_probability > 0.5


def test_a_fresh_view_set_can_be_asked_for(bench):
    bench.until(lambda: bench.instances(), "results")
    asked_ns = bench.node.now_ns()
    answer = bench.call(SegmentObject, "segment_object", publish=True, prompt_type=SegmentObject.Request.PROMPT_ALL)
    assert answer.success
    assert stamp_to_ns(answer.instances.header.stamp) >= asked_ns


def test_other_services(bench):
    bench.until(lambda: bench.instances() and len(bench.instances()[-1].instances) == 2, "results")
    answer = bench.call(GetInstances, "get_instances", return_points=True)
    assert answer.success and len(answer.instances.instances) == 2
    first = answer.instances.instances[0].id
    assert set(cloud_from_message(answer.points)["instance"]) == {i.id for i in answer.instances.instances}
    one = bench.call(GetInstances, "get_instances", instance_ids=[first, 777])
    assert (one.success, one.error_code, len(one.instances.instances)) == (False, ErrorCode.NOT_FOUND, 1)
    grasps = bench.call(GetGraspTargets, "get_grasp_targets", instance_id=first, max_grasps=3)
    assert grasps.success == bool(grasps.targets) and grasps.message
    assert len(grasps.poses.poses) == len(grasps.targets) <= 3
    for target in grasps.targets:
        assert target.instance_id == first
        assert target.header.frame_id == "base_link"
        assert 0 < target.width <= 0.08
    assert bench.call(GetGraspTargets, "get_grasp_targets", instance_id=777).error_code == ErrorCode.NOT_FOUND
    assert bench.call(GetGraspTargets, "get_grasp_targets").error_code == ErrorCode.INVALID_REQUEST
    assert bench.call(SetClasses, "set_classes", classes=[]).success
    assert bench.call(SetClasses, "set_classes", classes=[" "]).error_code == ErrorCode.INVALID_REQUEST


def test_action_gives_feedback_and_can_be_cancelled(bench):
    bench.until(lambda: bench.instances(), "results")
    client = ActionClient(bench.rig, Segment, "/pan3d/segment")
    bench.until(client.server_is_ready, "the action server")
    feedback = []
    goal = Segment.Goal(prompt_type=Segment.Goal.PROMPT_ALL)
    sent = client.send_goal_async(goal, feedback_callback=lambda m: feedback.append(m.feedback.stage))
    handle = bench.until(lambda: sent.done() and sent.result(), "accepted")
    done = handle.get_result_async()
    result = bench.until(lambda: done.done() and done.result().result, "finished")
    assert result.success and len(result.instances.instances) == 2
    bench.until(lambda: Segment.Feedback.MATCH in feedback, "feedback")
    # No pictures any more: it waits until it is cancelled.
    sent = client.send_goal_async(goal)
    handle = bench.until(lambda: sent.done() and sent.result(), "accepted again", publish=False)
    done = handle.get_result_async()
    handle.cancel_goal_async()
    result = bench.until(lambda: done.done() and done.result().result, "cancelled", publish=False)
    assert (result.success, result.error_code) == (False, ErrorCode.CANCELED)
    client.destroy()


def test_life_of_the_node(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, global_services=True)
    answer = bench.call(SegmentObject, "/segment_object", prompt="block")
    assert (answer.success, answer.error_code) == (False, ErrorCode.NOT_ACTIVE)
    impossible = bench.call(ChangeState, "change_state", transition=Transition(label="activate"))
    assert not impossible.success
    bench.start()
    bench.until(lambda: bench.instances(), "results")
    assert bench.node.trigger_deactivate() == SUCCESS
    answer = bench.call(SegmentObject, "segment_object", prompt="block")
    assert (answer.error_code, answer.message) == (ErrorCode.NOT_ACTIVE, "the node has been deactivated")
    bench.until(
        lambda: [m.action for m in bench.listener.received["markers"][-1].markers] == [Marker.DELETEALL], "no markers remain"
    )
    count, calls = len(bench.instances()), bench.engine.calls
    for _ in range(5):
        bench.rig.publish()
    assert bench.engine.calls == calls
    assert bench.node.models.model is not None, "deactivate keeps the weights"
    assert bench.node.trigger_activate() == SUCCESS
    bench.until(lambda: len(bench.instances()) > count, "results again")
    assert bench.node.trigger_deactivate() == SUCCESS
    assert bench.node.trigger_cleanup() == SUCCESS
    assert bench.node.models.model is None
    assert bench.node.trigger_shutdown() == SUCCESS


def test_live_parameters(bench):
    bench.until(lambda: bench.instances() and len(bench.instances()[-1].instances) == 2, "results")
    assert not bench.node.set_parameters([Parameter("model.name", value="segvggt")])[0].successful
    assert bench.node.set_parameters([Parameter("merge.min_points", value=100_000)])[0].successful
    count = len(bench.instances())
    bench.until(lambda: len(bench.instances()) > count + 2, "results with the new setting")
    assert not [i for i in bench.instances()[-1].instances if i.state != Instance.LOST]


def test_an_engine_that_finds_no_objects_is_not_taken_for_an_empty_table(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch)
    bench.engine.facts = replace(bench.engine.facts, finds_objects=False)
    bench.start()
    bench.until(lambda: bench.listener.shows("pipeline", b"\x01", "this model finds no objects: clouds"), "the diagnostic")
    bench.until(lambda: bench.listener.received["points"], "a cloud")
    for kind, name, fields in (
        (SegmentObject, "segment_object", {"prompt": "the red block"}),
        (GetInstances, "get_instances", {}),
        (GetGraspTargets, "get_grasp_targets", {"prompt": "the red block"}),
    ):
        answer = bench.call(kind, name, **fields)
        assert not answer.success and answer.error_code == ErrorCode.INVALID_REQUEST
        assert "colors gives geometry and finds no objects, so nothing is known of what stands there" in answer.message


def test_real_tf2_gives_the_poses(spinner, monkeypatch):
    tf2_ros = pytest.importorskip("tf2_ros")
    bench = ros_support.Bench(spinner, monkeypatch, transforms__source="tf")
    bench.rig.world_from_cam = None
    bench.start()
    bench.until(lambda: bench.listener.shows("transforms", b"\x02", "TF base_link <- front_optical_frame"), "the diagnostic")
    assert not bench.instances()
    pose = pose_message(ros_support.looking_down())
    place, rotation = pose.position, pose.orientation
    message = TransformStamped(child_frame_id="front_optical_frame")
    message.header.frame_id = "base_link"
    message.transform.translation = Vector3(x=place.x, y=place.y, z=place.z)
    message.transform.rotation = rotation
    tf2_ros.StaticTransformBroadcaster(bench.rig).sendTransform(message)
    bench.until(lambda: bench.instances() and len(bench.instances()[-1].instances) == 2, "results")
    centers = sorted(i.pose.position.x for i in bench.instances()[-1].instances)
    assert centers[0] == pytest.approx(RED_CENTER[0], abs=0.01)


def test_a_moving_camera_collects_keyframes(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, keyframe__enabled=True, keyframe__max_interval_s=1000.0).start()

    def waiting():
        status = bench.listener.status("pipeline")
        return status is not None and any(v.key == "waiting_for_keyframes" and int(v.value) > 2 for v in status.values)

    bench.until(waiting, "a standing camera brings nothing new")
    assert not bench.instances()
    assert bench.engine.calls == 1, "only the warm-up"
    bench.rig.world_from_cam[0, 3] = 0.1
    bench.until(bench.instances, "results after it moved")
    array = bench.instances()[0]
    assert list(array.cameras) == ["front"]
    assert stamp_to_ns(array.newest_stamp) > stamp_to_ns(array.header.stamp), "views of two moments"


def test_a_destroyed_node_leaves_no_services_that_nobody_answers(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch)

    def serves() -> bool:
        return "/pan3d/change_state" in dict(bench.rig.get_service_names_and_types())

    bench.until(serves, "the service is there")
    spinner.executor.remove_node(bench.node)
    spinner.nodes.remove(bench.node)
    bench.node.destroy_node()
    bench.until(lambda: not serves(), "the service is gone")
