"""Grasps as markers: the hand in its real size, open as it approaches, with the way that it comes and the object's width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from geometry_msgs.msg import Point
from pan3d_interfaces.msg import GraspTarget
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from pan3d_core.config import GripperConfig, SuctionConfig
from pan3d_ros.messages.markers import lifetime
from pan3d_ros.messages.parts import point_message
from pan3d_ros.messages.poses import matrix_from_pose, pose_numbers

MOST_HANDS = 10
LIFETIME_S = 30.0  # then the object may long be elsewhere
_BEST, _OTHER = ColorRGBA(r=0.2, g=0.9, b=0.3, a=0.9), ColorRGBA(r=0.6, g=0.6, b=0.6, a=0.35)
_WIDTH = ColorRGBA(r=1.0, g=0.2, b=0.2, a=1.0)


def hand_markers(targets: Sequence[GraspTarget], gripper: GripperConfig) -> MarkerArray:
    """Draw grasps of two jaws or of a suction cup, the best one in green; what was drawn before goes.

    Args:
        targets: Best first; the first ten are drawn.
        gripper: Shape of the hand, and of the cup.

    Returns:
        For grasp number i: `grasps/hand` (3 i to 3 i + 2: two fingers, palm; of a cup 3 i and 3 i + 1: the cup, what carries it),
        `grasps/approach` (an arrow from the pre-grasp on), `grasps/width` (between the pads, as wide as the object; not of a
        cup) and `grasps/label`.
    """
    markers = [Marker(action=Marker.DELETEALL)]
    for number, target in enumerate(targets[:MOST_HANDS]):
        if target.method == GraspTarget.METHOD_SUCTION:
            markers += _cup(target, number, gripper.suction)
            continue
        markers += _hand(target, number, gripper)
        markers += _lines(target, number, gripper)
    return MarkerArray(markers=markers)


def _hand(target: GraspTarget, number: int, gripper: GripperConfig) -> list[Marker]:
    """Two fingers and the palm as boxes."""
    tip, front = gripper.tip_beyond_tcp_m, gripper.tip_beyond_tcp_m - gripper.finger_length_m
    side = (target.opening or target.width) / 2 + gripper.finger_thickness_m / 2
    finger = (gripper.finger_thickness_m, gripper.finger_breadth_m, gripper.finger_length_m)
    palm = (gripper.palm_width_m, gripper.palm_breadth_m, gripper.palm_length_m)
    parts = [
        ((-side, 0.0, (tip + front) / 2), finger),
        ((side, 0.0, (tip + front) / 2), finger),
        ((0.0, 0.0, front - gripper.palm_length_m / 2), palm),
    ]
    return [_part(target, 3 * number + index, Marker.CUBE, *part) for index, part in enumerate(parts)]


def _cup(target: GraspTarget, number: int, cup: SuctionConfig) -> list[Marker]:
    """Cup and what carries it as cylinders, approach and quality."""
    neck = min(2 * cup.radius_m, cup.body_length_m / 2)
    parts = [
        ((0.0, 0.0, -neck / 2), (2 * cup.radius_m, 2 * cup.radius_m, neck)),
        ((0.0, 0.0, -(neck + cup.body_length_m) / 2), (2 * cup.body_radius_m, 2 * cup.body_radius_m, cup.body_length_m - neck)),
    ]
    made = [_part(target, 3 * number + index, Marker.CYLINDER, *part) for index, part in enumerate(parts)]
    return [*made, *_way(target, number, -cup.body_length_m, f"{number + 1}: {target.quality:.2f}")]


def _part(
    target: GraspTarget, number: int, kind: int, center: tuple[float, float, float], size: tuple[float, float, float]
) -> Marker:
    """A part of a hand, in the frame of the grasp."""
    marker = _marker(target, "grasps/hand", number, kind)
    marker.color = _OTHER if number > 2 else _BEST
    marker.pose.position = _in_world(target, center)
    marker.scale.x, marker.scale.y, marker.scale.z = size
    return marker


def _lines(target: GraspTarget, number: int, gripper: GripperConfig) -> list[Marker]:
    """Approach, width and quality."""
    back = gripper.tip_beyond_tcp_m - gripper.finger_length_m - gripper.palm_length_m
    width = _marker(target, "grasps/width", number, Marker.LINE_LIST)
    width.points = [Point(x=-target.object_width / 2), Point(x=target.object_width / 2)]
    width.scale.x, width.color = 0.003, _WIDTH
    approach, label = _way(target, number, back, f"{number + 1}: {target.quality:.2f}, {1e3 * target.object_width:.0f} mm")
    return [approach, width, label]


def _way(target: GraspTarget, number: int, back: float, text: str) -> tuple[Marker, Marker]:
    """An arrow to the hand's back, and a text behind it."""
    approach = _marker(target, "grasps/approach", number, Marker.ARROW)
    approach.points = [Point(z=back - target.approach_distance), Point(z=back)]
    approach.scale.x, approach.scale.y = 0.006, 0.012
    approach.color = _OTHER if number else _BEST
    label = _marker(target, "grasps/label", number, Marker.TEXT_VIEW_FACING)
    label.pose.position = _in_world(target, (0.0, 0.0, back - target.approach_distance - 0.02))
    label.text = text
    label.scale.z, label.color = 0.015, ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    return approach, label


def _marker(target: GraspTarget, namespace: str, number: int, kind: int) -> Marker:
    marker = Marker(header=target.header, ns=namespace, id=number, type=kind, action=Marker.ADD, lifetime=lifetime(LIFETIME_S))
    place, turn = target.grasp_pose.position, target.grasp_pose.orientation
    marker.pose.position.x, marker.pose.position.y, marker.pose.position.z = place.x, place.y, place.z
    marker.pose.orientation.x, marker.pose.orientation.y = turn.x, turn.y
    marker.pose.orientation.z, marker.pose.orientation.w = turn.z, turn.w
    return marker


def _in_world(target: GraspTarget, point: tuple[float, float, float]) -> Point:
    """A point of the grasp frame."""
    world_from_grasp = matrix_from_pose("grasp.grasp_pose", *pose_numbers(target.grasp_pose))
    return point_message((world_from_grasp @ torch.tensor((*point, 1.0), dtype=world_from_grasp.dtype))[:3])
