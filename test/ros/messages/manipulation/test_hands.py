"""Grasps as RViz shows them: hands in their real size, where they will be."""

import math

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, Quaternion
from pan3d_interfaces.msg import GraspTarget
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from pan3d_core.config import GripperConfig
from pan3d_ros.messages.manipulation.hands import MOST_HANDS, hand_markers

DOWN = Quaternion(x=1.0, w=0.0)  # half a turn about x: the approach (+z of the grasp) is straight down
GRIPPER = GripperConfig()


def target(**changes) -> GraspTarget:
    pose = Pose(position=Point(x=0.3, y=0.1, z=0.2), orientation=DOWN)
    fields = {"width": 0.05, "opening": 0.06, "object_width": 0.03, "approach_distance": 0.1, "quality": 0.9} | changes
    return GraspTarget(header=Header(frame_id="base_link"), grasp_pose=pose, **fields)


def of(markers, namespace):
    return [marker for marker in markers if marker.ns == namespace]


def ends(marker):
    """Ends of a line in the world: the marker's own turn about x, and its place."""
    place = marker.pose.position
    return np.array([[place.x + p.x, place.y - p.y, place.z - p.z] for p in marker.points])


def test_fingers_and_palm_have_the_size_of_the_gripper_and_stand_open():
    first, *markers = hand_markers([target()], GRIPPER).markers
    assert first.action == Marker.DELETEALL
    left, right, palm = of(markers, "grasps/hand")
    assert [marker.header.frame_id for marker in markers] == ["base_link"] * len(markers)
    for finger in (left, right):
        size = (finger.scale.x, finger.scale.y, finger.scale.z)
        assert size == (GRIPPER.finger_thickness_m, GRIPPER.finger_breadth_m, GRIPPER.finger_length_m)
        lowest = finger.pose.position.z - finger.scale.z / 2
        assert lowest == pytest.approx(0.2 - GRIPPER.tip_beyond_tcp_m, abs=1e-6)  # tips end below the grasp point
    assert right.pose.position.x - left.pose.position.x - GRIPPER.finger_thickness_m == pytest.approx(0.06, abs=1e-6)
    assert palm.scale.x == GRIPPER.palm_width_m
    top_of_fingers = left.pose.position.z + left.scale.z / 2
    assert palm.pose.position.z - palm.scale.z / 2 == pytest.approx(top_of_fingers, abs=1e-6)


def test_approach_leads_to_the_palm_and_width_is_that_of_the_object():
    markers = hand_markers([target()], GRIPPER).markers
    (approach,), (width,), (palm,) = of(markers, "grasps/approach"), of(markers, "grasps/width"), of(markers, "grasps/hand")[2:]
    begin, end = ends(approach)
    assert end[2] == pytest.approx(palm.pose.position.z + palm.scale.z / 2, abs=1e-6)
    assert begin[2] - end[2] == pytest.approx(0.1, abs=1e-6) and np.allclose(begin[:2], (0.3, 0.1), atol=1e-6)
    assert math.dist(*ends(width)) == pytest.approx(0.03, abs=1e-6)
    (label,) = of(markers, "grasps/label")
    assert label.text == "1: 0.90, 30 mm" and label.pose.position.z > begin[2]


def test_a_cup_and_what_carries_it_stand_on_the_surface_and_have_no_width():
    suction = target(method=GraspTarget.METHOD_SUCTION, width=0.0, opening=0.0, object_width=0.0)
    _, *markers = hand_markers([suction, suction], GRIPPER).markers
    cup, carrier, other, _ = of(markers, "grasps/hand")
    assert {marker.type for marker in (cup, carrier)} == {Marker.CYLINDER} and of(markers, "grasps/width") == []
    assert [marker.id for marker in of(markers, "grasps/hand")] == [0, 1, 3, 4]
    shape = GRIPPER.suction
    assert cup.scale.x == cup.scale.y == pytest.approx(2 * shape.radius_m)
    assert cup.scale.z + carrier.scale.z == pytest.approx(shape.body_length_m)
    assert cup.pose.position.z - cup.scale.z / 2 == pytest.approx(0.2)  # straight down: the lip is at the grasp
    assert carrier.pose.position.z - carrier.scale.z / 2 == pytest.approx(0.2 + cup.scale.z)
    approach = ends(of(markers, "grasps/approach")[0])
    assert approach[0, 2] - approach[1, 2] == pytest.approx(0.1) and approach[1, 2] == pytest.approx(0.2 + shape.body_length_m)
    assert of(markers, "grasps/label")[0].text == "1: 0.90" and cup.color.g > 0.8 > other.color.g


def test_the_best_is_told_from_the_others_and_not_all_are_drawn():
    markers = hand_markers([target(quality=1.0 - 0.01 * i) for i in range(MOST_HANDS + 3)], GRIPPER).markers
    hands = of(markers, "grasps/hand")
    assert len(hands) == 3 * MOST_HANDS and len({(m.ns, m.id) for m in markers[1:]}) == len(markers) - 1
    assert hands[0].color.g > hands[3].color.g and hands[0].color.a > hands[3].color.a
    assert all(marker.lifetime.sec > 0 for marker in markers[1:])
    assert len(hand_markers([], GRIPPER).markers) == 1
