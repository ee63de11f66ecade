"""What a bag of the cell holds, as serialized ROS 2 messages made with rosbags: no ROS is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.typesys import Stores, get_typestore

from pan3d_sim.cameras.jpeg import JPEG_FORMAT, encode_jpeg
from pan3d_sim.cameras.rig import RigCamera
from pan3d_sim.cell.frame_tree import FrameLink, optical_frame_id

IMAGE, COMPRESSED_IMAGE, CAMERA_INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
TRANSFORMS, TEXT = "tf2_msgs/msg/TFMessage", "std_msgs/msg/String"


def reliable(depth: int, *, latched: bool = False) -> Qos:
    """Reliable, keep last `depth`; `latched` = transient local."""
    forever = QosTime(9223372036, 854775807)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    liveliness = QosLiveliness.AUTOMATIC
    return Qos(
        QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, forever, forever, liveliness, forever, False
    )  # fmt: skip


class MessageMaker:
    """Serialized messages of the Jazzy definitions."""

    def __init__(self) -> None:
        self.typestore = get_typestore(Stores.ROS2_JAZZY)
        self._types = self.typestore.types

    def image(self, camera: str, stamp_ns: int, pixels: np.ndarray, encoding: str) -> bytes:
        """Image of (H, W) or (H, W, C) pixels."""
        content = np.ascontiguousarray(pixels)
        height, width = content.shape[:2]
        data = content.reshape(height, -1).view(np.uint8)
        step, flat = data.shape[1], data.reshape(-1)
        header = self._header(optical_frame_id(camera), stamp_ns)
        return self._serialize(IMAGE, header, height, width, encoding, 0, step, flat)

    def jpeg(self, camera: str, stamp_ns: int, rgb: np.ndarray) -> bytes:
        """CompressedImage of (H, W, 3) uint8 RGB, with the format text of image_transport."""
        header = self._header(optical_frame_id(camera), stamp_ns)
        return self._serialize(COMPRESSED_IMAGE, header, JPEG_FORMAT, encode_jpeg(rgb))

    def camera_info(self, camera: RigCamera, stamp_ns: int) -> bytes:
        """CameraInfo without distortion."""
        header = self._header(optical_frame_id(camera.name), stamp_ns)
        k = np.asarray(camera.intrinsics, np.float64)
        p = np.concatenate([k, np.zeros((3, 1))], axis=1)
        region = self._types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        size = camera.height, camera.width
        flat = np.zeros(5), k.reshape(-1), np.eye(3).reshape(-1), p.reshape(-1)
        return self._serialize(CAMERA_INFO, header, *size, "plumb_bob", *flat, 0, 0, region)

    def transforms(self, links: Sequence[FrameLink], stamp_ns: int) -> bytes:
        """TFMessage."""
        make = {
            name: self._types[f"geometry_msgs/msg/{name}"] for name in ("TransformStamped", "Transform", "Vector3", "Quaternion")
        }
        messages = []
        for link in links:
            transform = make["Transform"](make["Vector3"](*link.position), make["Quaternion"](*link.orientation_xyzw))
            messages.append(make["TransformStamped"](self._header(link.parent, stamp_ns), link.child, transform))
        return self._serialize(TRANSFORMS, messages)

    def text(self, content: str) -> bytes:
        """String."""
        return self._serialize(TEXT, content)

    def _header(self, frame_id: str, stamp_ns: int) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        stamp = self._types["builtin_interfaces/msg/Time"](seconds, nanoseconds)
        return self._types["std_msgs/msg/Header"](stamp, frame_id)

    def _serialize(self, kind: str, *fields: Any) -> bytes:
        return bytes(self.typestore.serialize_cdr(self._types[kind](*fields), kind))
