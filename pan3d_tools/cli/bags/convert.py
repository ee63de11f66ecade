"""Bags as a data set for learning, for `pan3d convert --to lerobot`."""

from __future__ import annotations

import argparse

from pan3d_ros.bags.excerpts.episodes import EpisodeRequest
from pan3d_ros.bags.excerpts.lerobot import LeRobotRequest, export_lerobot
from pan3d_tools.cli.options import pipeline_config


def to_lerobot(options: argparse.Namespace) -> None:
    """Bags to a data set with calibration and objects."""
    if options.task is None:
        raise ValueError("--task: expected what the robot does, as 'put the mug on the shelf', got none")
    episodes = EpisodeRequest(options.fps, tuple(options.params), options.depth, pipeline_config(options))
    request = LeRobotRequest(options.task, episodes, options.max_objects)
    written = export_lerobot(options.sources, options.out, request)
    print(f"{written.frames} frames in {written.episodes} episodes, {written.fps} a second: {options.out}")
    if written.without_result:
        print(f"objects of {written.without_result} frames are not known: they gave no result in metres")
    if written.left_out:
        print(f"{written.left_out} objects are in pan3d/objects.parquet alone: frames had more than --max-objects")
