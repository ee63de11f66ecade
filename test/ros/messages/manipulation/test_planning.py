"""A planner's scene and grasps as messages, against the real definitions of moveit_msgs where they are at hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from builtin_interfaces.msg import Time
from closed_meshes import volume
from rclpy.serialization import deserialize_message, serialize_message
from robot_arms import four_bar_urdf

from pan3d_core.body import HeldObject, measure_gripper, parse_urdf
from pan3d_core.body.description import LinkShape
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.planning import Change, ChangeKind, CollisionBody, MeshPart
from pan3d_core.planning.meshes import prism
from pan3d_core.structures import GraspTarget
from pan3d_ros.messages.manipulation.grasps import grasp_message
from pan3d_ros.messages.parts import header
from pan3d_ros.messages.poses import matrix_from_pose, matrix_from_xyz_rpy, pose_numbers

moveit = pytest.importorskip("moveit_msgs.msg", reason="needs moveit_msgs, see docs/planning.md")
from pan3d_ros.messages.manipulation.planning import HandFrame, moveit_grasp, planning_scene  # noqa: E402

HEADER = header("base_link", 12_000_000_034)
CORNERS = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.05, 0.05) for z in (-0.02, 0.02)])
SEEN, DARK = (MeshPart(*prism(CORNERS * scale, np.zeros(3), -0.02), seen=scale == 1.0) for scale in (1.0, 1.5))
POSE = matrix_from_xyz_rpy((0.4, -0.1, 0.02, 0.0, 0.0, 0.5))
HELD = HeldObject(7, LinkShape("tool0", SEEN.corners, SEEN.triangles))


def body(instance_id=3, parts=(SEEN, DARK), seen_now=True, unseen=((0.0, -1.0, 0.0),)):
    unseen = np.array(unseen).reshape(-1, 3)
    size = np.array([0.3, 0.15, 0.04])
    return CollisionBody(instance_id, "mug", POSE, size, parts, unseen, np.full(3, 0.005), seen_now, (0.8, 0.1, 0.2))


def carried(message):
    """What is left of a message after it was sent: wrong types do not survive that."""
    return deserialize_message(serialize_message(message), type(message))


def scene(*changes, **options):
    return carried(planning_scene(changes, HEADER, **options))


def test_new_objects_come_as_meshes_with_the_unseen_side_marked():
    told = scene(Change(ChangeKind.ADD, 3, body()))
    assert told.is_diff and told.robot_state.is_diff and told.name == "pan3d"
    (item,) = told.world.collision_objects
    assert item.id == "pan3d/3" and item.operation == moveit.CollisionObject.ADD
    assert item.header.frame_id == "base_link" and item.header.stamp == Time(sec=12, nanosec=34)
    np.testing.assert_allclose(matrix_from_pose("pose", *pose_numbers(item.pose)).numpy(), POSE, atol=1e-6)
    volumes = []
    for mesh, pose in zip(item.meshes, item.mesh_poses, strict=True):
        corners = np.array([[point.x, point.y, point.z] for point in mesh.vertices])
        volumes.append(volume(corners, np.array([list(triangle.vertex_indices) for triangle in mesh.triangles])))
        assert pose.orientation.w == 1.0
    np.testing.assert_allclose(volumes, [volume(part.corners, part.triangles) for part in (SEEN, DARK)], rtol=1e-6)
    facts = json.loads(item.type.db)
    assert item.type.key == "mug" and facts["unseen_meshes"] == [1] and facts["unseen_sides"] == 1 and facts["seen_now"] is True
    assert item.subframe_names == ["unseen_0"]
    side = matrix_from_pose("side", *pose_numbers(item.subframe_poses[0])).numpy()
    np.testing.assert_allclose(side[:3, 0], [0, -1, 0], atol=1e-6)
    np.testing.assert_allclose(side[:3, 3], [0, -0.075, 0], atol=1e-6)
    (color,) = told.object_colors
    assert color.id == "pan3d/3" and color.color.a == 1.0 and color.color.r == pytest.approx(0.8)


def test_what_is_not_seen_now_is_paler_and_a_box_is_a_primitive():
    told = scene(Change(ChangeKind.ADD, 3, body(parts=(), seen_now=False, unseen=())))
    (item,) = told.world.collision_objects
    assert not item.meshes and item.primitives[0].type == item.primitives[0].BOX
    np.testing.assert_allclose(list(item.primitives[0].dimensions), [0.3, 0.15, 0.04])
    assert told.object_colors[0].color.a < 0.5 and not item.subframe_names


def test_a_move_has_a_pose_and_no_shape_and_a_removal_has_neither():
    told = scene(Change(ChangeKind.MOVE, 3, body()), Change(ChangeKind.REMOVE, 4))
    moved, removed = told.world.collision_objects
    assert moved.operation == moveit.CollisionObject.MOVE and not (moved.meshes or moved.primitives or moved.planes)
    assert moved.pose.position.x == pytest.approx(0.4)
    assert (
        removed.operation == moveit.CollisionObject.REMOVE and removed.id == "pan3d/4" and removed.header.frame_id == "base_link"
    )
    assert not told.object_colors


def test_what_is_held_is_attached_in_the_frame_of_its_link_and_detached_again():
    told = scene(Change(ChangeKind.ATTACH, 7, held=HELD), touch_links=["finger_left", "finger_right"])
    (attached,) = told.robot_state.attached_collision_objects
    assert not told.world.collision_objects and attached.link_name == "tool0" and attached.object.id == "pan3d/7"
    assert attached.object.header.frame_id == "tool0" and attached.object.operation == moveit.CollisionObject.ADD
    assert len(attached.object.meshes[0].vertices) == len(SEEN.corners)
    assert attached.touch_links == ["tool0", "finger_left", "finger_right"]
    told = scene(Change(ChangeKind.DETACH, 7, held=HELD))
    (detached,) = told.robot_state.attached_collision_objects
    assert detached.object.operation == moveit.CollisionObject.REMOVE and detached.object.id == "pan3d/7"
    assert detached.link_name == "tool0" and not detached.object.meshes


def test_a_grasp_is_the_pose_of_the_planned_link_with_postures_and_ways():
    grasp_pose = torch.eye(4)
    grasp_pose[:3, :3], grasp_pose[:3, 3] = torch.diag(torch.tensor([1.0, -1.0, -1.0])), torch.tensor([0.4, 0.1, 0.05])
    box = OrientedBox(torch.eye(4), torch.full((3,), 0.05))
    target = GraspTarget(
        5, 0, 0.7, grasp_pose, 0.06, 0.12, box, stamp_ns=3, world_frame_id="base_link", opening_m=0.07, object_width_m=0.04
    )
    hand = HandFrame(matrix_from_xyz_rpy((0.0, 0.0, 0.15, 0.0, 0.0, np.pi / 2)), ("left", "right"))
    made = carried(moveit_grasp(grasp_message(target, LabelSpace.things(("mug",))), hand, 2))
    assert made.id == "pan3d/5/2" and made.grasp_quality == pytest.approx(0.7)
    tip = matrix_from_pose("tip", *pose_numbers(made.grasp_pose.pose)).double().numpy()
    np.testing.assert_allclose(tip @ hand.tip_from_grasp, grasp_pose.numpy(), atol=1e-6)
    assert made.grasp_pose.pose.position.z == pytest.approx(0.20) and made.grasp_pose.header.frame_id == "base_link"
    assert made.pre_grasp_posture.joint_names == ["left", "right"]
    np.testing.assert_allclose(list(made.pre_grasp_posture.points[0].positions), [0.035, 0.035])
    np.testing.assert_allclose(list(made.grasp_posture.points[0].positions), [0.02, 0.02])
    approach, retreat, leave = made.pre_grasp_approach, made.post_grasp_retreat, made.post_place_retreat
    assert approach.direction.vector.z == pytest.approx(-1) and approach.desired_distance == pytest.approx(0.12)
    assert retreat.direction.vector.z == 1 and leave.direction.vector.z == pytest.approx(1)
    assert approach.direction.header.frame_id == "base_link" and made.allowed_touch_objects == ["pan3d/5"]
    turning = replace(hand, jaws=measure_gripper(parse_urdf(four_bar_urdf())))
    posture = carried(moveit_grasp(grasp_message(target, LabelSpace.things(("mug",))), turning, 2)).grasp_posture
    assert posture.joint_names == ["left_arm_joint"]  # which the others follow, and which turns
    np.testing.assert_allclose(list(posture.points[0].positions), [np.arcsin(0.02 / 0.06)], atol=1e-3)
    bare = moveit_grasp(grasp_message(target, LabelSpace.things(("mug",))), HandFrame(np.eye(4)), 0)
    assert not bare.grasp_posture.joint_names and bare.grasp_pose.pose.position.z == pytest.approx(0.05)
    cup = replace(target, width_m=0.0, opening_m=0.0, object_width_m=0.0, kind="suction")
    sealed = carried(moveit_grasp(grasp_message(cup, LabelSpace.things(("mug",))), hand, 0))  # vacuum is no joint's position
    assert not sealed.pre_grasp_posture.joint_names and not sealed.grasp_posture.joint_names
    assert sealed.grasp_pose == made.grasp_pose and sealed.pre_grasp_approach == made.pre_grasp_approach
