"""What cameras send, paired to frames, and where they are; knows messages and parameters, and only `camera_inputs`, `gate`,
`live_transforms` and `serialized` know ROS."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.inputs.camera_frames import CameraFrame as CameraFrame
    from pan3d_ros.inputs.camera_frames import CameraTopics as CameraTopics
    from pan3d_ros.inputs.camera_frames import FramePairing as FramePairing
    from pan3d_ros.inputs.camera_inputs import CameraInput as CameraInput
    from pan3d_ros.inputs.live_transforms import LiveTransforms as LiveTransforms
    from pan3d_ros.inputs.transforms import TransformsSource as TransformsSource
    from pan3d_ros.inputs.transforms import TransformUnavailable as TransformUnavailable

# Loaded on first use, so that nobody needs ROS for a part that does not.
_NAMES = {
    "camera_frames": ("CameraFrame", "CameraTopics", "FramePairing"),
    "camera_inputs": ("CameraInput",),
    "live_transforms": ("LiveTransforms",),
    "transforms": ("TransformUnavailable", "TransformsSource"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
