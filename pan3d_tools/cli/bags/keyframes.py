"""`pan3d refine BAG`: the keyframes of a bag as a scene."""

from __future__ import annotations

import argparse

from pan3d_core.views.scene_folder import Scene
from pan3d_ros.bags.keyframes import KeyframeRequest, keyframe_scene
from pan3d_tools.cli.options import pipeline_config


def scene_of_bag(options: argparse.Namespace) -> Scene:
    """Return the views that the command's options ask for, chosen as the node chooses keyframes."""
    request = KeyframeRequest(options.views, tuple(options.params), options.depth, pipeline_config(options))
    return keyframe_scene(options.scene, request)
