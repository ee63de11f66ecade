"""Messages of the journey as plain arrays, for measuring and drawing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from pan3d_interfaces.msg import Instance
from pan3d_interfaces.srv import GetCellTruth, SegmentObject
from sensor_msgs.msg import Image

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_ros.messages.images import image_array
from pan3d_ros.messages.manipulation.grasps import box_from_message
from pan3d_ros.messages.poses import matrix_from_pose, pose_numbers
from pan3d_tools.demo.measure import SeenCamera, SeenInstance, TrueCamera, TrueInstance


def true_instances(response: GetCellTruth.Response) -> list[TrueInstance]:
    """All objects of the cell."""
    return [
        TrueInstance(
            instance_id=entry["instance_id"],
            name=entry["name"],
            color=entry["color"],
            box=OrientedBox(torch.tensor(entry["world_from_box"]), torch.tensor(entry["size_m"])),
            visible_pixels=tuple(entry["visible_pixels"]),
            graspable=entry["graspable"],
        )
        for entry in json.loads(response.scene_json)["objects"]
    ]


def true_cameras(response: GetCellTruth.Response) -> list[TrueCamera]:
    """All cameras of the cell with what they see."""
    return [
        TrueCamera(
            name=name,
            rgb=image_array(response.images[index]).copy(),
            depth=image_array(response.depths[index]).copy(),
            instance_ids=image_array(response.instance_images[index]).astype(np.int64),
            intrinsics=np.asarray(response.camera_infos[index].k).reshape(3, 3),
            world_from_cam=matrix_from_pose(name, *pose_numbers(response.world_from_cam[index].pose)).double().numpy(),
        )
        for index, name in enumerate(response.cameras)
    ]


def seen_instance(message: Instance) -> SeenInstance:
    """One reported object."""
    return SeenInstance(message.id, message.class_name, message.score, box_from_message("instance", message.pose, message.size))


def seen_cameras(response: SegmentObject.Response, outputs: dict[tuple[str, str], Any]) -> list[SeenCamera]:
    """Masks of an answer with the depth that was published for the same view set."""
    return [
        SeenCamera(
            name=name,
            depth=image_array(outputs[name, "depth"]).copy(),
            instance_ids=image_array(mask).astype(np.int64),
            intrinsics=np.asarray(outputs[name, "camera_info"].k).reshape(3, 3),
        )
        for name, mask in zip(response.instances.cameras, response.masks)
    ]


def pictures(phases: list[str], images: list[Image]) -> dict[str, np.ndarray]:
    """Phase -> (H, W, 3) uint8."""
    return {phase: image_array(image).copy() for phase, image in zip(phases, images)}
