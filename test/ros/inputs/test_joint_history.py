"""Joints are where they were at the image's stamp: interpolated, never guessed; and the robot with them."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from robot_arms import TURNING_URDF, gantry_urdf

from pan3d_core.body import parse_urdf
from pan3d_ros.inputs.joint_history import JointHistory
from pan3d_ros.inputs.robot_places import RobotPlaces
from pan3d_ros.inputs.transforms import StaticTransforms, TransformUnavailable

MS = 1_000_000
START_MS = 1_000_000


def told(at_ms, **positions):
    sec, nanosec = divmod((START_MS + at_ms) * MS, 1000 * MS)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id="")
    return SimpleNamespace(header=header, name=list(positions), position=list(positions.values()))


def ns(at_ms):
    return int((START_MS + at_ms) * MS)


def history(*messages, max_gap_ms=200):
    made = JointHistory(max_gap_ms * MS)
    for message in messages:
        made.add(message)
    return made


def test_positions_are_interpolated_at_the_stamp():
    found = history(told(0, a=1.0, b=-2.0), told(100, a=2.0, b=-4.0))
    assert found.at(ns(25), ["a", "b"]) == pytest.approx({"a": 1.25, "b": -2.5})
    assert found.at(ns(100), ["b"]) == {"b": -4.0}
    assert found.at(ns(100.5), ["b"]) == {"b": -4.0}  # the same moment, told with another clock tick


def test_several_publishers_tell_of_different_joints():
    found = history(told(0, a=0.0), told(10, grip=0.0), told(100, a=1.0), told(110, grip=0.1))
    assert found.at(ns(50), ["a", "grip"]) == pytest.approx({"a": 0.5, "grip": 0.04})
    assert found.joints == ("a", "grip")


def test_a_joint_that_passes_a_full_turn_takes_the_short_way():
    found = history(told(0, a=math.pi - 0.1), told(100, a=-math.pi + 0.1))
    assert found.at(ns(50), ["a"])["a"] == pytest.approx(math.pi)


@pytest.mark.parametrize(
    ("messages", "at_ms", "words"),
    [
        ([], 0, "expected positions of a, got none of a but of none"),
        ([told(0, b=1.0)], 0, "expected positions of a, got none of a but of b"),
        ([told(0, a=1.0)], 40, "the newest position of a is 40.0 ms older than the image"),
        ([told(0, a=1.0)], -7, "the oldest position of a is 7.0 ms newer than the image"),
        ([told(0, a=1.0), told(500, a=1.0)], 250, "around the image are 500 ms apart, robot.max_gap_s is 0.2"),
        ([told(500, a=1.0), told(0, a=1.0)], 250, "the newest position of a is 250.0 ms older than the image"),  # clock back
    ],
)
def test_what_is_not_known_is_said(messages, at_ms, words):
    with pytest.raises(LookupError) as caught:
        history(*messages).at(ns(at_ms), ["a"])
    assert words in caught.value.args[0]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (told(-START_MS, a=1.0), "JointState.header.stamp: expected the time of the positions, got 0 ns"),
        (told(0, a=math.nan), "JointState.position: expected finite numbers, got another one for a"),
        (SimpleNamespace(**{**vars(told(0, a=1.0)), "position": []}), "expected one for each of 1 names, got 0"),
    ],
)
def test_bad_messages_are_refused_by_field(message, words):
    with pytest.raises(ValueError, match="JointState") as caught:
        history().add(message)
    assert words in str(caught.value)


def test_hours_of_joint_states_stay_few():
    found = JointHistory(200 * MS)
    for step in range(5000):
        found.add(told(10 * step, a=float(step)))
    assert found.count == 5000
    stamps, positions = found._told["a"]
    assert len(stamps) == len(positions) <= 1001
    found.clear()
    assert found.joints == ()


def test_links_are_in_the_reference_frame_wherever_it_is_in_the_robot():
    robot, joints = parse_urdf(TURNING_URDF), history(told(0, turn=0.5, left_slide=0.2), told(100, turn=0.5, left_slide=0.2))
    of_base = RobotPlaces(robot, joints, "base", None).links_at(ns(50))
    of_arm = RobotPlaces(robot, joints, "arm", None).links_at(ns(50))
    np.testing.assert_allclose(of_base[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(of_arm[1], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(of_base[1] @ of_arm[2], of_base[2], atol=1e-12)


def test_a_robot_that_nothing_ties_to_the_reference_frame_is_named(tmp_path):
    robot, joints = parse_urdf(gantry_urdf(root="pedestal")), history(told(0, slide=0.1))
    with pytest.raises(TransformUnavailable, match="expected a link of the robot.*or TF to its root pedestal") as caught:
        RobotPlaces(robot, joints, "map", None).links_at(ns(0))
    assert not caught.value.may_come
    path = tmp_path / "poses.yaml"
    pose = "{translation_m: [1.0, 0.0, 0.0], rotation_xyzw: [0.0, 0.0, 0.0, 1.0]}"
    path.write_text(f"reference_frame: map\ncameras:\n  pedestal: {pose}\n")
    links = RobotPlaces(robot, joints, "map", StaticTransforms(path, "map")).links_at(ns(0))
    torch.testing.assert_close(links[1, :3, 3], torch.tensor([1.1, 0.0, 0.0], dtype=torch.float64))
    path.write_text(f"reference_frame: map\ncameras:\n  front: {pose}\n")
    with pytest.raises(TransformUnavailable, match="the robot's root: pedestal: not in the file"):
        RobotPlaces(robot, joints, "map", StaticTransforms(path, "map")).links_at(ns(0))


def test_a_joint_that_nobody_tells_of_is_named():
    robot, joints = parse_urdf(TURNING_URDF), history(told(0, turn=0.5))
    with pytest.raises(
        TransformUnavailable, match="expected positions of turn, left_slide, got none of left_slide but of turn"
    ) as e:
        RobotPlaces(robot, joints, "base", None).links_at(ns(0))
    assert e.value.may_come
