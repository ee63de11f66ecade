"""The fields that are read of messages, as protocols: rclpy's messages have them and those of `rosbags`. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Stamp(Protocol):
    """builtin_interfaces/Time."""

    @property
    def sec(self) -> int: ...
    @property
    def nanosec(self) -> int: ...


class Heading(Protocol):
    """std_msgs/Header."""

    @property
    def stamp(self) -> Stamp: ...
    @property
    def frame_id(self) -> str: ...


class Vector(Protocol):
    """geometry_msgs/Vector3 or Point."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...
    @property
    def z(self) -> float: ...


class Turn(Vector, Protocol):
    """geometry_msgs/Quaternion."""

    @property
    def w(self) -> float: ...


class PoseFields(Protocol):
    """geometry_msgs/Pose."""

    @property
    def position(self) -> Vector: ...
    @property
    def orientation(self) -> Turn: ...


class StampedPose(Protocol):
    """geometry_msgs/PoseStamped."""

    @property
    def header(self) -> Heading: ...
    @property
    def pose(self) -> PoseFields: ...


class TransformFields(Protocol):
    """geometry_msgs/Transform."""

    @property
    def translation(self) -> Vector: ...
    @property
    def rotation(self) -> Turn: ...


class Bytes(Protocol):
    """Anything with bytes."""

    @property
    def data(self) -> Any: ...  # an array.array of rclpy or an array of numpy, both of bytes


class ImageFields(Bytes, Protocol):
    """sensor_msgs/Image."""

    @property
    def header(self) -> Heading: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def encoding(self) -> str: ...
    @property
    def is_bigendian(self) -> int: ...
    @property
    def step(self) -> int: ...


class CompressedFields(Bytes, Protocol):
    """sensor_msgs/CompressedImage."""

    @property
    def header(self) -> Heading: ...
    @property
    def format(self) -> str: ...


class RegionFields(Protocol):
    """sensor_msgs/RegionOfInterest."""

    @property
    def x_offset(self) -> int: ...
    @property
    def y_offset(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...


class CameraInfoFields(Protocol):
    """sensor_msgs/CameraInfo."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def distortion_model(self) -> str: ...
    @property
    def d(self) -> Sequence[float]: ...
    @property
    def k(self) -> Sequence[float]: ...
    @property
    def p(self) -> Sequence[float]: ...
    @property
    def binning_x(self) -> int: ...
    @property
    def binning_y(self) -> int: ...
    @property
    def roi(self) -> RegionFields: ...
