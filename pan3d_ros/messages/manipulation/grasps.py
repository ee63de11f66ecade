"""Grasps as messages."""

from __future__ import annotations

import math

import torch
from geometry_msgs.msg import Pose, PoseArray, Vector3
from pan3d_interfaces.msg import GraspTarget as GraspTargetMessage
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import GraspTarget
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.parts import header, pose_message, vector_message
from pan3d_ros.messages.poses import matrix_from_pose, pose_numbers

_TOP_DOWN_COSINE = math.cos(math.radians(15.0))
RETREAT_M = 0.10  # straight up after closing
SUCTION = "suction"  # kind of gripper


def grasp_message(grasp: GraspTarget, labels: LabelSpace) -> GraspTargetMessage:
    """Make a GraspTarget; the retreat is straight up (+z of the reference frame).

    Args:
        grasp: In the reference frame, metres.
        labels: Classes that its `class_id` refers to.

    Returns:
        The message, with frame and stamp of the grasp.
    """
    approach = grasp.world_from_grasp[:3, 2]
    message = GraspTargetMessage(header=header(grasp.world_frame_id, grasp.stamp_ns), instance_id=grasp.instance_id)
    message.class_name = labels.name(grasp.class_id)
    message.grasp_pose = pose_message(grasp.world_from_grasp)
    message.pre_grasp_pose = pose_message(_shifted(grasp.world_from_grasp, -grasp.pregrasp_distance_m * approach))
    message.retreat_pose = pose_message(_shifted(grasp.world_from_grasp, RETREAT_M * torch.tensor([0.0, 0.0, 1.0])))
    message.approach_direction = vector_message(approach)
    message.approach_distance = message.approach_min_distance = float(grasp.pregrasp_distance_m)
    message.retreat_direction = Vector3(z=1.0)
    message.retreat_distance = RETREAT_M
    message.width, message.opening = float(grasp.width_m), float(grasp.opening_m or grasp.width_m)
    message.object_width, message.depth = float(grasp.object_width_m), float(grasp.depth_m)
    message.quality = float(grasp.score)
    top_down = -float(approach[2]) >= _TOP_DOWN_COSINE
    message.method = GraspTargetMessage.METHOD_TOP_DOWN if top_down else GraspTargetMessage.METHOD_ANTIPODAL
    if grasp.kind == SUCTION:
        message.method = GraspTargetMessage.METHOD_SUCTION
    message.object_pose = box_pose(grasp.box)
    message.object_size = vector_message(grasp.box.size_m)
    message.allowed_touch_objects = [f"pan3d/{grasp.instance_id}"]
    return message


def _shifted(pose: Tensor, by: Tensor) -> Tensor:
    """The pose (4, 4), moved by (3,) in its reference frame."""
    moved = pose.clone()
    moved[:3, 3] += by
    return moved


def box_pose(box: OrientedBox) -> Pose:
    """Pose of a box's centre and axes."""
    return pose_message(box.world_from_box)


def grasp_poses(targets: list[GraspTargetMessage]) -> PoseArray:
    """The poses alone, for viewers."""
    message = PoseArray(poses=[target.grasp_pose for target in targets])
    if targets:
        message.header = targets[0].header
    return message


def grasp_from_message(message: GraspTargetMessage) -> GraspTarget:
    """The grasp of a message, unnamed; `pre_grasp_pose` and `retreat_pose`, which follow from the rest, do not count. Raises
    `ValueError` for numbers that are not finite or out of range."""
    suction = message.method == GraspTargetMessage.METHOD_SUCTION
    if suction and message.width != 0.0:
        raise ValueError(f"grasp.width: expected 0 of a suction cup, got {message.width}")
    if not suction and not 0.0 < message.width <= 1.0:
        raise ValueError(f"grasp.width: expected 0 to 1 m, got {message.width}")
    if not 0.0 <= message.opening <= 1.0:
        raise ValueError(f"grasp.opening: expected 0 to 1 m, got {message.opening}")
    if not 0.0 <= message.approach_distance <= 1.0:
        raise ValueError(f"grasp.approach_distance: expected 0 to 1 m, got {message.approach_distance}")
    return GraspTarget(
        instance_id=message.instance_id,
        class_id=-1,
        score=message.quality,
        world_from_grasp=matrix_from_pose("grasp.grasp_pose", *pose_numbers(message.grasp_pose)),
        width_m=message.width,
        pregrasp_distance_m=message.approach_distance,
        box=box_from_message("grasp.object", message.object_pose, message.object_size),
        stamp_ns=stamp_to_ns(message.header.stamp),
        world_frame_id=message.header.frame_id,
        opening_m=message.opening,
        object_width_m=message.object_width,
        depth_m=message.depth,
        kind=SUCTION if suction else "parallel",
    )


def box_from_message(name: str, pose: Pose, size: Vector3) -> OrientedBox:
    """Read a box.

    Args:
        name: Of the field, for the error.
        pose: Centre and axes.
        size: Full sides along the axes, metres.

    Returns:
        The box in the frame of the pose.

    Raises:
        ValueError: The pose is not finite, or no pose.
    """
    return OrientedBox(matrix_from_pose(f"{name}.pose", *pose_numbers(pose)), torch.tensor([size.x, size.y, size.z]))
