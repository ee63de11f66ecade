"""The keyframes of a bag as a scene: `pan3d refine BAG`, `pan3d calibrate check BAG`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.structures import CameraView
from pan3d_core.views.scene_folder import Scene
from pan3d_ros.bags.excerpts.keyframes import KeyframeRequest, keyframe_scene, spread_scene
from pan3d_tools.cli.options import pipeline_config


def scene_of_bag(options: argparse.Namespace) -> Scene:
    """Return the views that the command's options ask for, chosen as the node chooses keyframes."""
    return keyframe_scene(options.scene, _request(options))


def few_views_of_bag(options: argparse.Namespace) -> Scene:
    """Return as few views as the command's options ask for, from places and in directions that differ most."""
    return spread_scene(options.scene, _request(options))


def _request(options: argparse.Namespace) -> KeyframeRequest:
    return KeyframeRequest(options.views, tuple(options.params), options.depth, pipeline_config(options))


def views_of_bag(path: Path, views: int) -> tuple[CameraView, ...]:
    """Return at most so many views of a bag from places that differ, by what the bag itself says."""
    return keyframe_scene(path, KeyframeRequest(views)).views
