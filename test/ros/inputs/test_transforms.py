"""Camera poses: interpolation, waiting, and that nothing is ever made up."""

import math
import threading
import time

import numpy as np
import pytest
import torch
from geometry_msgs.msg import PoseStamped

from pan3d_core.geometry.transforms import invert_rigid, transform_points
from pan3d_ros.inputs.pose_history import PoseHistory
from pan3d_ros.inputs.transforms import (
    FirstKnown,
    PoseTopicTransforms,
    StaticTransforms,
    TransformUnavailable,
    wait_for_transform,
)
from pan3d_ros.messages.parts import pose_message, stamp_from_ns
from pan3d_ros.messages.poses import box_corners, checked_pose, matrix_from_pose, pose_numbers

MS = 1_000_000
RIG = "reference_frame: base_link\ncameras:\n  front: {translation_m: [0, 0, 1], rotation_xyzw: [1, 0, 0, 0]}\n"


def stamped(xyz, xyzw, stamp_ns=0, frame_id="base_link"):
    message = PoseStamped()
    message.header.frame_id = frame_id
    message.header.stamp = stamp_from_ns(stamp_ns)
    p, q = message.pose.position, message.pose.orientation
    p.x, p.y, p.z = (float(v) for v in xyz)
    q.x, q.y, q.z, q.w = (float(v) for v in xyzw)
    return message


def about_z(angle_deg):
    half = math.radians(angle_deg) / 2
    return (0.0, 0.0, math.sin(half), math.cos(half))


def test_pose_messages_round_trip():
    parent_from_child = matrix_from_pose("pose", (0.1, -0.2, 0.3), (0.5, -0.5, 0.5, 0.5))
    restored = matrix_from_pose("pose", *pose_numbers(pose_message(parent_from_child)))
    torch.testing.assert_close(restored, parent_from_child)


def test_lookup_gives_cam_from_world():
    source = PoseTopicTransforms(["front"], "base_link")
    source.add("front", stamped((1.0, 0.0, 0.5), about_z(90)))
    cam_from_world = source.lookup("front", "", 5)
    # A point 2 m along the camera's x axis; that axis is the world's y axis.
    torch.testing.assert_close(transform_points(cam_from_world, torch.tensor([[1.0, 2.0, 0.5]])), torch.tensor([[2.0, 0.0, 0.0]]))


def test_moving_poses_are_interpolated_at_the_stamp():
    source = PoseTopicTransforms(["wrist"], "base_link")
    source.add("wrist", stamped((0, 0, 0), about_z(0), 1000 * MS))
    source.add("wrist", stamped((1, 0, 0), about_z(90), 1100 * MS))
    world_from_cam = invert_rigid(source.lookup("wrist", "", 1025 * MS))
    torch.testing.assert_close(world_from_cam, matrix_from_pose("pose", (0.25, 0, 0), about_z(22.5)))


@pytest.mark.parametrize(
    ("stamp_ms", "text"),
    [(1200, "newest pose is 100.0 ms older"), (900, "oldest pose is 100.0 ms newer")],
)
def test_poses_are_never_extrapolated(stamp_ms, text):
    source = PoseTopicTransforms(["wrist"], "base_link")
    source.add("wrist", stamped((0, 0, 0), about_z(0), 1000 * MS))
    source.add("wrist", stamped((1, 0, 0), about_z(90), 1100 * MS))
    with pytest.raises(TransformUnavailable, match=text):
        source.lookup("wrist", "", stamp_ms * MS)


def test_poses_too_far_apart_are_no_pose():
    history = PoseHistory()
    history.add(0 + 1, np.zeros(3), np.array([0, 0, 0, 1.0]))
    history.add(5_000 * MS, np.ones(3), np.array([0, 0, 0, 1.0]))
    with pytest.raises(LookupError, match="5000 ms apart"):
        history.at(2_000 * MS)


def test_time_going_back_starts_a_new_history():
    history = PoseHistory()
    for stamp in (10_000, 10_100):
        history.add(stamp * MS, np.ones(3), np.array([0, 0, 0, 1.0]))
    history.add(100 * MS, np.zeros(3), np.array([0, 0, 0, 1.0]))
    assert history.at(100 * MS)[0].tolist() == [0, 0, 0]
    with pytest.raises(LookupError):
        history.at(10_050 * MS)


@pytest.mark.parametrize(
    ("xyz", "xyzw", "frame_id", "text"),
    [
        ((math.nan, 0, 0), (0, 0, 0, 1), "base_link", "finite"),
        ((0, 0, 0), (0, 0, math.inf, 1), "base_link", "finite"),
        ((0, 0, 0), (0, 0, 0, 0), "base_link", "unit quaternion, got length 0"),
        ((0, 0, 0), (0, 0, 0, 1), "map", "expected frame base_link, got 'map'"),
    ],
)
def test_bad_poses_are_refused_and_the_reason_is_kept(xyz, xyzw, frame_id, text):
    source = PoseTopicTransforms(["front"], "base_link")
    with pytest.raises(ValueError, match=text):
        source.add("front", stamped(xyz, xyzw, 1, frame_id))
    with pytest.raises(TransformUnavailable, match=text):
        source.lookup("front", "", 1)


def write(tmp_path, text):
    path = tmp_path / "rig.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_static_file(tmp_path):
    path = write(tmp_path, RIG)
    source = StaticTransforms(path, "base_link")
    torch.testing.assert_close(
        transform_points(source.lookup("front", "", 0), torch.zeros(1, 3)), torch.tensor([[0.0, 0.0, 1.0]])
    )
    with pytest.raises(TransformUnavailable, match="wrist: not in the file"):
        source.lookup("wrist", "", 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cameras: {}\n", "expected reference_frame base_link"),
        ("- 1\n", "expected poses of cameras as names with values"),
        (
            "reference_frame: base_link\ncameras:\n  a: {translation: [0, 0, 0]}\n",
            "cameras.a: translation: .*did you mean translation_m",
        ),
        ("reference_frame: base_link\ncameras:\n  a: {translation_m: [0, 0]}\n", "cameras.a: expected 3 translation_m"),
        ("reference_frame: base_link\ncameras:\n  a: {translation_m: [0, 0, .nan], rotation_xyzw: [0, 0, 0, 1]}\n", "finite"),
    ],
)
def test_bad_static_files(tmp_path, text, reason):
    with pytest.raises(ValueError, match=reason):
        StaticTransforms(write(tmp_path, text), "base_link")


def test_one_bad_entry_of_a_static_file_takes_one_camera(tmp_path):
    wrist = "  wrist: {translation_m: [0, 0, 1.0e+9], rotation_xyzw: [0, 0, 0, 1]}\n"
    side = "  side: {translation_m: [0, 0], rotation_xyzw: [0, 0, 0, 1]}\n"
    source = StaticTransforms(write(tmp_path, RIG + wrist + side), "base_link")
    source.lookup("front", "", 0)
    for camera, said in (
        ("wrist", "cameras.wrist: expected a translation within"),
        ("side", "cameras.side: expected 3 translation"),
    ):
        with pytest.raises(TransformUnavailable, match=said) as caught:
            source.lookup(camera, "", 0)
        assert not caught.value.may_come
    with pytest.raises(ValueError, match=r"cameras\.wrist: roration_xyzw: .*did you mean rotation_xyzw"):
        StaticTransforms(write(tmp_path, RIG + wrist.replace("rotation", "roration")), "base_link")


def test_sources_are_asked_in_order_and_all_reasons_are_told(tmp_path):
    path = write(tmp_path, RIG)
    topics = PoseTopicTransforms(["front", "wrist"], "base_link")
    both = FirstKnown([StaticTransforms(path, "base_link"), topics])
    both.lookup("front", "", 0)
    with pytest.raises(TransformUnavailable, match="not in the file.*; wrist/pose: no pose has been received") as caught:
        both.lookup("wrist", "", 0)
    assert caught.value.may_come
    topics.add("wrist", stamped((0, 0, 0), (0, 0, 0, 1)))
    both.lookup("wrist", "", 0)


def test_waiting_for_a_pose_that_comes_late():
    source = PoseTopicTransforms(["front"], "base_link")
    timer = threading.Timer(0.05, lambda: source.add("front", stamped((0, 0, 0), (0, 0, 0, 1))))
    timer.start()
    wait_for_transform(source, "front", "", 1, 5.0, lambda: False)


def test_waiting_ends():
    source = PoseTopicTransforms(["front"], "base_link")
    started = time.monotonic()
    with pytest.raises(TransformUnavailable):
        wait_for_transform(source, "front", "", 1, 0.05, lambda: False)
    with pytest.raises(TransformUnavailable):
        wait_for_transform(source, "front", "", 1, 60.0, lambda: True)
    assert time.monotonic() - started < 30.0  # the second one was willing to wait for a minute


def test_checked_pose_returns_unit_quaternions():
    assert checked_pose("pose", (0, 0, 0), (0, 0, 0, 1.01)) == ([0, 0, 0], [0, 0, 0, 1.0])


def test_box_corners():
    from pan3d_core.geometry.boxes import OrientedBox

    corners = box_corners(OrientedBox(matrix_from_pose("box", (1, 2, 3), about_z(90)), torch.tensor([0.2, 0.4, 0.6])))
    torch.testing.assert_close(corners.amin(0), torch.tensor([0.8, 1.9, 2.7]))
    torch.testing.assert_close(corners.amax(0), torch.tensor([1.2, 2.1, 3.3]))


def test_a_pose_without_a_stamp_holds_until_one_with_a_stamp_comes():
    source = PoseTopicTransforms(["wrist"], "base_link")
    source.add("wrist", stamped((0, 0, 9), about_z(0), 0))
    assert source.lookup("wrist", "", 1000 * MS)[2, 3] == -9
    source.add("wrist", stamped((0, 0, 1), about_z(0), 1000 * MS))
    assert source.lookup("wrist", "", 1000 * MS)[2, 3] == -1
    with pytest.raises(TransformUnavailable, match="100.0 ms older than the image"):
        source.lookup("wrist", "", 1100 * MS)
    source.add("wrist", stamped((0, 0, 9), about_z(0), 0))
    assert source.lookup("wrist", "", 1000 * MS)[2, 3] == -1, "one lost stamp does not freeze a moving camera"
