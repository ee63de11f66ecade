"""The simulated cell as messages: camera streams and truth."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from geometry_msgs.msg import PoseStamped, Quaternion, Transform, TransformStamped, Vector3
from pan3d_interfaces.srv import GetCellTruth
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pan3d_ros.messages.buffers import assign_bytes
from pan3d_ros.messages.parts import header, image_message, info_message, pose_message
from pan3d_sim.cameras.jpeg import JPEG_FORMAT, encode_jpeg
from pan3d_sim.cameras.rig import RigCamera
from pan3d_sim.cell.frame_tree import FrameLink, optical_frame_id
from pan3d_sim.cell.robot_cell import WORLD_FRAME_ID, RobotCell, TrueObject

# An object counts as graspable when its second smallest side fits between the jaws with a little room.
GRASPABLE_SHARE_OF_OPENING = 0.9
MIN_GRASPABLE_HEIGHT_M = 0.02


@dataclass(frozen=True)
class RenderedCamera:
    """What one camera of the cell sees while nothing moves."""

    camera: RigCamera
    rgb: np.ndarray  # (H, W, 3) uint8
    depth: np.ndarray  # (H, W) float32 z-depth in metres, 0 = none, exact
    sensor_depth: np.ndarray  # the same with the errors of a sensor
    instance_ids: np.ndarray  # (H, W) int32, 0 = none

    @property
    def frame_id(self) -> str:
        """Optical frame."""
        return optical_frame_id(self.camera.name)

    def info(self, stamp_ns: int) -> CameraInfo:
        """Calibration; the image has no distortion."""
        height, width = self.rgb.shape[:2]
        return info_message(torch.from_numpy(self.camera.intrinsics), height, width, header(self.frame_id, stamp_ns))

    def color(self, stamp_ns: int) -> Image:
        """rgb8."""
        return image_message(self.rgb, "rgb8", header(self.frame_id, stamp_ns))

    def jpeg(self, stamp_ns: int) -> CompressedImage:
        """The colours as a JPEG."""
        message = CompressedImage(header=header(self.frame_id, stamp_ns), format=JPEG_FORMAT)
        assign_bytes(message, encode_jpeg(self.rgb))
        return message

    def depth_message(self, stamp_ns: int, *, exact: bool) -> Image:
        """Make an image of z-depth.

        Args:
            stamp_ns: Of the header.
            exact: True depth instead of what a sensor would measure.

        Returns:
            32FC1 metres, 0 = none.
        """
        values = self.depth if exact else self.sensor_depth
        return image_message(np.ascontiguousarray(values, np.float32), "32FC1", header(self.frame_id, stamp_ns))

    def instances(self, stamp_ns: int) -> Image:
        """16UC1 true instance ids."""
        return image_message(self.instance_ids.astype(np.uint16), "16UC1", header(self.frame_id, stamp_ns))

    def pose(self, stamp_ns: int) -> PoseStamped:
        """Optical frame in the world; stamp 0 = it never moves."""
        world_from_cam = torch.from_numpy(self.camera.world_from_cam)
        return PoseStamped(header=header(WORLD_FRAME_ID, stamp_ns), pose=pose_message(world_from_cam))


def transform_message(link: FrameLink, stamp_ns: int) -> TransformStamped:
    """Make one edge of the TF tree.

    Args:
        link: With translation in metres.
        stamp_ns: Of the header.

    Returns:
        parent_from_child.
    """
    (x, y, z), (qx, qy, qz, qw) = link.position, link.orientation_xyzw
    transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    return TransformStamped(header=header(link.parent, stamp_ns), child_frame_id=link.child, transform=transform)


def is_graspable(obj: TrueObject, cell: RobotCell) -> bool:
    """Tell whether the hand could in principle close on an object, judged from its true size only.

    Args:
        obj: The object, with its box in the world.
        cell: Whose hand and support count.

    Returns:
        Whether its second longest side fits between the fingers and it is high enough.
    """
    sides = sorted(float(side) for side in obj.box.size_m)
    top = obj.box.world_from_box[2, 3] + 0.5 * (obj.box.world_from_box[2, :3].abs() * obj.box.size_m).sum()
    high_enough = float(top) - cell.config.support_height_m >= MIN_GRASPABLE_HEIGHT_M
    return sides[1] <= GRASPABLE_SHARE_OF_OPENING * cell.hand.widest_m and high_enough


def scene_json(cell: RobotCell) -> str:
    """The cell's truth: see GetCellTruth.srv. Lengths in metres, transforms row by row."""
    objects = [
        {
            "instance_id": obj.instance_id,
            "name": obj.name,
            "kind": obj.kind,
            "color": obj.color_name,
            "world_from_object": np.asarray(obj.world_from_object).tolist(),
            "world_from_box": obj.box.world_from_box.tolist(),
            "size_m": obj.box.size_m.tolist(),
            "visible_pixels": list(obj.visible_pixels),
            "graspable": is_graspable(obj, cell),
        }
        for obj in cell.truth()
    ]
    content = {
        "seed": cell.seed,
        "arrangement": cell.config.arrangement,
        "support_height_m": cell.config.support_height_m,
        "world_frame_id": WORLD_FRAME_ID,
        "objects": objects,
    }
    return json.dumps(content)


def truth_response(
    cell: RobotCell, cameras: list[RenderedCamera], response: GetCellTruth.Response, *, with_images: bool
) -> GetCellTruth.Response:
    """Fill a response with the cell's truth.

    Args:
        cell: At this moment.
        cameras: Its cameras, rendered.
        response: To be filled.
        with_images: Whether it has colour, exact depth and ids of every camera.

    Returns:
        `response`, stamps 0.
    """
    response.success = True
    response.scene_json = scene_json(cell)
    for rendered in cameras:
        response.cameras.append(rendered.camera.name)
        response.world_from_cam.append(rendered.pose(0))
        response.camera_infos.append(rendered.info(0))
        if with_images:
            response.images.append(rendered.color(0))
            response.depths.append(rendered.depth_message(0, exact=True))
            response.instance_images.append(rendered.instances(0))
    return response
