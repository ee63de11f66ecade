"""All conversions between ROS messages and the types of pan3d_core, one module per kind of message; knows no node, and what
only reads messages knows no ROS."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.messages.buffers import stamp_to_ns as stamp_to_ns
    from pan3d_ros.messages.cameras import to_camera_view as to_camera_view
    from pan3d_ros.messages.clouds import cloud_from_message as cloud_from_message
    from pan3d_ros.messages.clouds import cloud_message as cloud_message
    from pan3d_ros.messages.images import depth_to_metres as depth_to_metres
    from pan3d_ros.messages.images import image_array as image_array
    from pan3d_ros.messages.images import image_to_rgb as image_to_rgb
    from pan3d_ros.messages.instances import instance_array as instance_array
    from pan3d_ros.messages.manipulation.grasps import grasp_from_message as grasp_from_message
    from pan3d_ros.messages.manipulation.grasps import grasp_message as grasp_message
    from pan3d_ros.messages.parts import header as header
    from pan3d_ros.messages.parts import image_message as image_message
    from pan3d_ros.messages.parts import info_message as info_message
    from pan3d_ros.messages.parts import pose_message as pose_message
    from pan3d_ros.messages.parts import stamp_from_ns as stamp_from_ns

# Loaded on first use, so that nobody needs ROS for a part that does not.
_NAMES = {
    "clouds": ("cloud_from_message", "cloud_message"),
    "images": ("depth_to_metres", "image_array", "image_to_rgb"),
    "manipulation.grasps": ("grasp_from_message", "grasp_message"),
    "parts": ("header", "image_message", "info_message", "pose_message", "stamp_from_ns"),
    "instances": ("instance_array",),
    "buffers": ("stamp_to_ns",),
    "cameras": ("to_camera_view",),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
