"""What cameras send, paired to frames, and where they are; knows messages and parameters, and only `camera_inputs` and
`live_transforms` know ROS."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.inputs.camera_frames import CameraFrame, CameraTopics, FramePairing
    from pan3d_ros.inputs.camera_inputs import CameraInput
    from pan3d_ros.inputs.live_transforms import LiveTransforms
    from pan3d_ros.inputs.transforms import TransformsSource, TransformUnavailable

__all__ = [
    "CameraFrame", "CameraInput", "CameraTopics", "FramePairing", "LiveTransforms", "TransformUnavailable",
    "TransformsSource",
]  # fmt: skip

# Loaded on first use, so that nobody needs ROS for a part that does not.
_HOMES = {
    "CameraFrame": "camera_frames", "CameraInput": "camera_inputs", "CameraTopics": "camera_frames",
    "FramePairing": "camera_frames", "LiveTransforms": "live_transforms", "TransformUnavailable": "transforms",
    "TransformsSource": "transforms",
}  # fmt: skip
__getattr__ = attributes(__name__, _HOMES)
