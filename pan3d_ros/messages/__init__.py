"""All conversions between ROS messages and the types of pan3d_core, one module per kind of message; knows no node, and what
only reads messages knows no ROS."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.messages.buffers import stamp_to_ns
    from pan3d_ros.messages.cameras import to_camera_view
    from pan3d_ros.messages.clouds import cloud_from_message, cloud_message
    from pan3d_ros.messages.grasps import grasp_from_message, grasp_message
    from pan3d_ros.messages.images import depth_to_metres, image_array, image_to_rgb
    from pan3d_ros.messages.instances import instance_array
    from pan3d_ros.messages.parts import header, image_message, info_message, pose_message, stamp_from_ns

__all__ = [
    "cloud_from_message", "cloud_message", "depth_to_metres", "grasp_from_message", "grasp_message", "header", "image_array",
    "image_message", "image_to_rgb", "info_message", "instance_array", "pose_message", "stamp_from_ns", "stamp_to_ns",
    "to_camera_view",
]  # fmt: skip

# Loaded on first use, so that nobody needs ROS for a part that does not.
_HOMES = {
    "cloud_from_message": "clouds", "cloud_message": "clouds", "depth_to_metres": "images", "grasp_from_message": "grasps",
    "grasp_message": "grasps", "header": "parts", "image_array": "images", "image_message": "parts", "image_to_rgb": "images",
    "info_message": "parts", "instance_array": "instances", "pose_message": "parts", "stamp_from_ns": "parts",
    "stamp_to_ns": "buffers", "to_camera_view": "cameras",
}  # fmt: skip
__getattr__ = attributes(__name__, _HOMES)
