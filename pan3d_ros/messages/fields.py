"""The fields that are read of messages, as protocols: rclpy's messages have them and those of `rosbags`. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Stamp(Protocol):
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


class Heading(Protocol):
    """std_msgs/Header."""

    stamp: Stamp
    frame_id: str


class Vector(Protocol):
    """geometry_msgs/Vector3 or Point."""

    x: float
    y: float
    z: float


class Turn(Vector, Protocol):
    """geometry_msgs/Quaternion."""

    w: float


class PoseFields(Protocol):
    """geometry_msgs/Pose."""

    position: Vector
    orientation: Turn


class StampedPose(Protocol):
    """geometry_msgs/PoseStamped."""

    header: Heading
    pose: PoseFields


class TransformFields(Protocol):
    """geometry_msgs/Transform."""

    translation: Vector
    rotation: Turn


class Bytes(Protocol):
    """Anything with bytes."""

    data: Any  # an array.array of rclpy or an array of numpy, both of bytes


class ImageFields(Bytes, Protocol):
    """sensor_msgs/Image."""

    header: Heading
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int


class CompressedFields(Bytes, Protocol):
    """sensor_msgs/CompressedImage."""

    header: Heading
    format: str


class RegionFields(Protocol):
    """sensor_msgs/RegionOfInterest."""

    x_offset: int
    y_offset: int
    height: int
    width: int


class CameraInfoFields(Protocol):
    """What a calibration says: sensor_msgs/CameraInfo, or a file."""

    height: int
    width: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: RegionFields


class SentCameraInfo(CameraInfoFields, Protocol):
    """sensor_msgs/CameraInfo."""

    header: Heading
