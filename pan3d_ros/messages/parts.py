"""The small messages that are made: headers, stamps, poses, pictures, calibrations. Only what makes messages needs ROS."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from torch import Tensor

from pan3d_core.geometry.rotations import quat_xyzw_from_matrix
from pan3d_ros.messages.buffers import assign_bytes
from pan3d_ros.platform.stand_ins import CV_TYPES


def stamp_from_ns(stamp_ns: int) -> Time:
    """The ROS time of integer nanoseconds."""
    seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


def header(frame_id: str, stamp_ns: int) -> Header:
    """Make a Header with an exact integer stamp.

    Args:
        frame_id: Its frame.
        stamp_ns: Its stamp.

    Returns:
        The header.
    """
    return Header(frame_id=frame_id, stamp=stamp_from_ns(stamp_ns))


def point_message(vector: Tensor) -> Point:
    """Point of a (3,) vector."""
    x, y, z = (float(v) for v in vector)
    return Point(x=x, y=y, z=z)


def vector_message(vector: Tensor) -> Vector3:
    """Vector3 of a (3,) vector."""
    x, y, z = (float(v) for v in vector)
    return Vector3(x=x, y=y, z=z)


def pose_message(parent_from_child: Tensor) -> Pose:
    """Pose of a (4, 4) transform."""
    x, y, z, w = quat_xyzw_from_matrix(parent_from_child[:3, :3].double()).tolist()
    return Pose(position=point_message(parent_from_child[:3, 3]), orientation=Quaternion(x=x, y=y, z=z, w=w))


def image_message(pixels: np.ndarray, encoding: str, message_header: Header) -> Image:
    """Make an Image.

    Args:
        pixels: (H, W) or (H, W, C), of the type that `encoding` has.
        encoding: One of `CV_TYPES`.
        message_header: Of the message.

    Returns:
        The message, without padding of rows.

    Raises:
        ValueError: Type or channels are not those of the encoding.
    """
    kind, channels = CV_TYPES[encoding]
    expected = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.dtype(kind) or expected != channels:
        raise ValueError(f"pixels: expected {kind} with {channels} channels for {encoding}, got {pixels.dtype} of {pixels.shape}")
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=0)
    message.header = message_header
    message.step = pixels.shape[1] * channels * pixels.dtype.itemsize
    assign_bytes(message, pixels)
    return message


def info_message(intrinsics: Tensor, height: int, width: int, message_header: Header) -> CameraInfo:
    """Make the CameraInfo of an undistorted image.

    Args:
        intrinsics: (3, 3) pixels.
        height: Of the image, pixels.
        width: Of the image, pixels.
        message_header: Of the message.

    Returns:
        With K and P from the intrinsics, and coefficients of 0.
    """
    fx, skew, cx, _, fy, cy, *_ = (float(v) for v in intrinsics.flatten())
    info = CameraInfo(header=message_header, height=height, width=width, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [fx, skew, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [fx, skew, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info
