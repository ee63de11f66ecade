"""Recorded topics (rosbag2): inspected, evaluated and reduced to keyframes without ROS, and played over it; knows inputs,
messages, parameters and the processing of a view set, never a node."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.bags.excerpts.keyframes import KeyframeRequest as KeyframeRequest
    from pan3d_ros.bags.excerpts.keyframes import keyframe_scene as keyframe_scene
    from pan3d_ros.bags.inspection import Inspection as Inspection
    from pan3d_ros.bags.inspection import inspect_bag as inspect_bag
    from pan3d_ros.bags.judging.evaluation import BagEvaluation as BagEvaluation
    from pan3d_ros.bags.judging.evaluation import BagRequest as BagRequest
    from pan3d_ros.bags.judging.evaluation import evaluate_bag as evaluate_bag
    from pan3d_ros.bags.player import PlayOptions as PlayOptions
    from pan3d_ros.bags.player import play as play
    from pan3d_ros.bags.reading.reader import BagError as BagError
    from pan3d_ros.bags.reading.reader import BagReader as BagReader
    from pan3d_ros.bags.settings import replay_settings as replay_settings

# Loaded on first use, so that nobody needs ROS for a part that does not.
_NAMES = {
    "reading.reader": ("BagError", "BagReader"),
    "judging.evaluation": ("BagEvaluation", "BagRequest", "evaluate_bag"),
    "inspection": ("Inspection", "inspect_bag"),
    "excerpts.keyframes": ("KeyframeRequest", "keyframe_scene"),
    "player": ("PlayOptions", "play"),
    "settings": ("replay_settings",),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
