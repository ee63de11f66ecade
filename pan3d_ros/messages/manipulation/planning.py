"""A planner's scene and grasps as moveit_msgs. Only where moveit_msgs is installed (`stand_ins.moveit_msgs`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from geometry_msgs.msg import Point, Pose, PoseStamped, Vector3, Vector3Stamped
from pan3d_interfaces.msg import GraspTarget
from shape_msgs.msg import Mesh, MeshTriangle, SolidPrimitive
from std_msgs.msg import ColorRGBA, Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from pan3d_core.body import HeldObject, MeasuredGripper
from pan3d_core.planning import Change, ChangeKind, CollisionBody
from pan3d_ros.messages.parts import header, pose_message
from pan3d_ros.messages.poses import matrix_from_pose, pose_numbers
from pan3d_ros.platform.stand_ins import moveit_msgs

SCENE = "pan3d"
HIDDEN_ALPHA = 0.4  # of the colour of what is not seen now


@dataclass(frozen=True)
class HandFrame:
    """What a planner's hand is to a grasp."""

    tip_from_grasp: np.ndarray  # (4, 4) metres: the grasp frame in that of the link that is planned for
    fingers: tuple[str, ...] = ()  # joints, each of which opens by an equal share; none = no postures
    jaws: MeasuredGripper | None = None  # whose own joints count instead

    def joints_at(self, opening_m: float) -> dict[str, float]:
        """Positions of the joints that open it, radians or metres, with the pads so far apart; empty = nobody knows."""
        if self.jaws is not None:
            return self.jaws.joints_at(opening_m)
        return {name: opening_m / len(self.fingers) for name in self.fingers}


def scene_name(problem: str = "") -> str:
    """Name of a planning scene: `SCENE`, and why nothing is known where that is so. There is no other field for it."""
    return f"{SCENE}: {problem}" if problem else SCENE


def planning_scene(changes: Sequence[Change], message_header: Header, touch_links: Sequence[str] = ()) -> Any:
    """Make a PlanningScene that tells of changes.

    Args:
        changes: In their order.
        message_header: Frame and stamp of all objects that stand somewhere.
        touch_links: Links that a held object may touch, besides the one that holds it.

    Returns:
        A moveit_msgs PlanningScene with `is_diff`.
    """
    scene = moveit_msgs.PlanningScene(name=scene_name(), is_diff=True)
    scene.robot_state.is_diff = True
    for change in changes:
        if change.held is not None:
            attaching = change.kind is ChangeKind.ATTACH
            attached = (
                _attached(change, change.held, message_header, touch_links) if attaching else _detached(change, change.held)
            )
            scene.robot_state.attached_collision_objects.append(attached)
            continue
        scene.world.collision_objects.append(_collision_object(change, message_header))
        if change.kind is ChangeKind.ADD and change.body is not None:
            scene.object_colors.append(_color(change.body))
    return scene


def moveit_grasp(target: GraspTarget, hand: HandFrame, rank: int) -> Any:
    """Make a Grasp.

    Args:
        target: Of pan3d.
        hand: Whose link and joints the planner knows.
        rank: 0 = the best.

    Returns:
        A moveit_msgs Grasp; its pose is that of the hand's link, its directions are in the reference frame. A suction cup has no
        postures: when its vacuum is switched on is the planner's business.
    """
    world_from_grasp = matrix_from_pose("target.grasp_pose", *pose_numbers(target.grasp_pose)).double().numpy()
    grasp = moveit_msgs.Grasp(id=f"{SCENE}/{target.instance_id}/{rank}", grasp_quality=target.quality)
    world_from_tip = torch.from_numpy(world_from_grasp @ np.linalg.inv(hand.tip_from_grasp))
    grasp.grasp_pose = PoseStamped(header=target.header, pose=pose_message(world_from_tip))
    if target.method != GraspTarget.METHOD_SUCTION:
        grasp.pre_grasp_posture = _posture(hand.joints_at(target.opening))
        grasp.grasp_posture = _posture(hand.joints_at(target.object_width))
    approach, back = target.approach_direction, target.approach_direction
    back = Vector3(x=-approach.x, y=-approach.y, z=-approach.z)
    least = target.approach_min_distance
    grasp.pre_grasp_approach = _translation(target.header, approach, target.approach_distance, least)
    retreat_m = target.retreat_distance
    grasp.post_grasp_retreat = _translation(target.header, target.retreat_direction, retreat_m, retreat_m)
    grasp.post_place_retreat = _translation(target.header, back, target.approach_distance, least)
    grasp.allowed_touch_objects = list(target.allowed_touch_objects)
    return grasp


def _collision_object(change: Change, message_header: Header) -> Any:
    kinds = moveit_msgs.CollisionObject
    message = kinds(header=message_header, id=change.key, operation=kinds.REMOVE)
    if change.body is None:
        return message
    message.pose = pose_message(torch.from_numpy(change.body.world_from_body))
    message.operation = kinds.MOVE if change.kind is ChangeKind.MOVE else kinds.ADD
    if change.kind is not ChangeKind.MOVE:  # a move leaves the shapes as they are, and takes none
        _add_shapes(message, change.body)
    return message


def _add_shapes(message: Any, body: CollisionBody) -> None:
    message.type.key = body.name
    facts = {
        "seen_now": body.seen_now,
        "unseen_sides": len(body.unseen),
        "unseen_meshes": [index for index, part in enumerate(body.parts) if not part.seen],
        "padding_m": [round(float(value), 4) for value in body.padding_m],
    }
    message.type.db = json.dumps(facts)
    for part in body.parts:
        message.meshes.append(mesh_message(part.corners, part.triangles))
        message.mesh_poses.append(Pose())
    if not body.parts:
        box = SolidPrimitive(type=SolidPrimitive.BOX, dimensions=[float(side) for side in body.size_m])
        message.primitives.append(box)
        message.primitive_poses.append(Pose())
    for number, direction in enumerate(body.unseen):
        message.subframe_names.append(f"unseen_{number}")
        message.subframe_poses.append(pose_message(torch.from_numpy(_side(direction, body.size_m))))


def mesh_message(corners: np.ndarray, triangles: np.ndarray) -> Mesh:
    """Make a Mesh.

    Args:
        corners: (V, 3) metres.
        triangles: (T, 3) of corners.

    Returns:
        The message.
    """
    return Mesh(
        triangles=[MeshTriangle(vertex_indices=np.array(row, np.uint32)) for row in triangles],
        vertices=[Point(x=x, y=y, z=z) for x, y, z in corners.tolist()],
    )


def _side(direction: np.ndarray, size_m: np.ndarray) -> np.ndarray:
    """(4, 4) in the body's frame: where a level direction leaves the box; +x goes on in it, +z is up."""
    distances = size_m[:2] / 2 / np.maximum(np.abs(direction[:2]), 1e-9)
    up = np.array([0.0, 0.0, 1.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([direction, np.cross(up, direction), up], axis=1)
    pose[:3, 3] = direction * distances.min()
    return pose


def _color(body: CollisionBody) -> Any:
    red, green, blue = body.color_rgb
    alpha = 1.0 if body.seen_now else HIDDEN_ALPHA
    return moveit_msgs.ObjectColor(id=body.key, color=ColorRGBA(r=red, g=green, b=blue, a=alpha))


def _attached(change: Change, held: HeldObject, message_header: Header, touch_links: Sequence[str]) -> Any:
    """The shape is in the frame of the link that holds it."""
    kinds = moveit_msgs.CollisionObject
    own = Header(stamp=message_header.stamp, frame_id=held.shape.link)
    thing = kinds(header=own, id=change.key, operation=kinds.ADD)
    thing.meshes, thing.mesh_poses = [mesh_message(held.shape.vertices, held.shape.faces)], [Pose()]
    links = [held.shape.link, *touch_links]
    return moveit_msgs.AttachedCollisionObject(link_name=held.shape.link, object=thing, touch_links=links)


def _detached(change: Change, held: HeldObject) -> Any:
    kinds = moveit_msgs.CollisionObject
    thing = kinds(header=header(held.shape.link, 0), id=change.key, operation=kinds.REMOVE)
    return moveit_msgs.AttachedCollisionObject(link_name=held.shape.link, object=thing)


def _posture(joints: Mapping[str, float]) -> JointTrajectory:
    points = [JointTrajectoryPoint(positions=list(joints.values()))] if joints else []
    return JointTrajectory(joint_names=list(joints), points=points)


def _translation(message_header: Header, direction: Vector3, desired_m: float, least_m: float) -> Any:
    stamped = Vector3Stamped(header=message_header, vector=direction)
    return moveit_msgs.GripperTranslation(direction=stamped, desired_distance=desired_m, min_distance=least_m)
