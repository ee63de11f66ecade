"""What is taken out of a bag: keyframes, episodes, views to teach from; knows the replay and its inspection, never a node."""

from pan3d_ros.bags.excerpts.episodes import EpisodeRequest
from pan3d_ros.bags.excerpts.keyframes import KeyframeRequest, keyframe_scene
from pan3d_ros.bags.excerpts.lerobot import LeRobotRequest, export_lerobot

__all__ = ["EpisodeRequest", "KeyframeRequest", "LeRobotRequest", "export_lerobot", "keyframe_scene"]
