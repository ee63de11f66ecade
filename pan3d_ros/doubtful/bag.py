"""Kept view sets as bags, one for each: nothing may move within a recording, and between two sets anything may."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.runtime.files import written_whole
from pan3d_core.structures import CameraView, unit_range
from pan3d_core.views.scene_folder import read_scene
from pan3d_ros.bags.reading.reader import IMAGE, INFO, POSE
from pan3d_ros.doubtful.sets import KeptSet
from pan3d_ros.messages.parts import header, image_message, info_message, pose_message


def write_bags(folder: Path, sets: Sequence[KeptSet]) -> None:
    """Write every set as a bag with the topics that the node takes by default.

    Args:
        folder: Of the bags; appears whole or not at all.
        sets: At least one.

    Raises:
        OSError: The disk is full; nothing is left then.
        ValueError: A set is damaged; names its file.
    """
    typestore = get_typestore(Stores.ROS2_JAZZY)
    with written_whole(folder) as part:
        part.mkdir()
        for number, item in enumerate(sets):
            with Writer(part / f"set_{number:03d}", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
                connections: dict[str, Any] = {}
                for view in read_scene(item.folder).views:
                    for topic, kind, message in messages_of(view):
                        if topic not in connections:
                            connections[topic] = writer.add_connection(topic, kind, typestore=typestore)
                        writer.write(connections[topic], view.stamp_ns, serialize_message(message))


def messages_of(view: CameraView) -> Iterator[tuple[str, str, Any]]:
    """Topic, type and message of everything that is known of a view."""
    intrinsics, cam_from_world = view.calibration()
    own = header(view.frame_id, view.stamp_ns)
    pixels = (unit_range(view.image) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    pose = PoseStamped(header=header(view.world_frame_id, view.stamp_ns), pose=pose_message(invert_rigid(cam_from_world)))
    yield f"/{view.camera}/pose", POSE, pose
    yield f"/{view.camera}/camera_info", INFO, info_message(intrinsics, *view.hw, own)
    if view.depth is not None:
        yield f"/{view.camera}/depth", IMAGE, image_message(view.depth.float().numpy(), "32FC1", own)
    yield f"/{view.camera}/image_raw", IMAGE, image_message(pixels, "rgb8", own)
