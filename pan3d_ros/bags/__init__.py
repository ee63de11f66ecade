"""Recorded topics (rosbag2): inspected, evaluated and reduced to keyframes without ROS, and played over it; knows inputs,
messages, parameters and the processing of a view set, never a node."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.bags.evaluation import BagEvaluation, BagRequest, evaluate_bag
    from pan3d_ros.bags.inspection import Inspection, inspect_bag
    from pan3d_ros.bags.keyframes import KeyframeRequest, keyframe_scene
    from pan3d_ros.bags.player import PlayOptions, play
    from pan3d_ros.bags.reader import BagError, BagReader
    from pan3d_ros.bags.settings import replay_settings

__all__ = [
    "BagError", "BagEvaluation", "BagReader", "BagRequest", "Inspection", "KeyframeRequest", "PlayOptions", "evaluate_bag",
    "inspect_bag", "keyframe_scene", "play", "replay_settings",
]  # fmt: skip

# Loaded on first use, so that nobody needs ROS for a part that does not.
_HOMES = {
    "BagError": "reader", "BagEvaluation": "evaluation", "BagReader": "reader", "BagRequest": "evaluation",
    "Inspection": "inspection", "KeyframeRequest": "keyframes", "PlayOptions": "player", "evaluate_bag": "evaluation",
    "inspect_bag": "inspection", "keyframe_scene": "keyframes", "play": "player", "replay_settings": "settings",
}  # fmt: skip
__getattr__ = attributes(__name__, _HOMES)
