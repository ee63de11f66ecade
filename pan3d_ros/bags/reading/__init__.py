"""A rosbag2 read with `rosbags` alone: messages, transforms, clocks, frames; knows messages and inputs, never ROS."""

from pan3d_ros.bags.reading.camera_topics import BagCamera, find_cameras
from pan3d_ros.bags.reading.contents import BagContents, read_contents
from pan3d_ros.bags.reading.reader import BagError, BagMessage, BagReader
from pan3d_ros.bags.reading.transforms import BagTransforms, transforms_of

__all__ = [
    "BagCamera",
    "BagContents",
    "BagError",
    "BagMessage",
    "BagReader",
    "BagTransforms",
    "find_cameras",
    "read_contents",
    "transforms_of",
]
