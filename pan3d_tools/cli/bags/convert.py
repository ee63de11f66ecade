"""`pan3d convert`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_ros.bags.episodes import EpisodeRequest
from pan3d_ros.bags.lerobot import LeRobotRequest, export_lerobot
from pan3d_tools.cli.options import add_model_options, pipeline_config


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_convert)
    parser.add_argument("bags", nargs="+", type=Path, metavar="BAG", help="rosbag2 folders, .mcap or .db3 files")
    parser.add_argument("--to", choices=("lerobot",), default="lerobot", help="lerobot: LeRobot's format v3.0 (default)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder, which must not be there yet")
    parser.add_argument("--task", required=True, metavar="WORDS", help="what the robot does: 'put the mug on the shelf'")
    parser.add_argument("--fps", type=int, metavar="N", help="frames per second (default: the nearest to the first bag's)")
    parser.add_argument("--max-objects", type=int, default=16, metavar="N", help="of a frame (default: %(default)s)")
    parser.add_argument(
        "--params", nargs="+", type=Path, default=[], metavar="FILE", help="parameter files of the node (default: from the bag)"
    )
    add_model_options(parser)


def run_convert(options: argparse.Namespace) -> int:
    """Bags to a data set with calibration and objects."""
    episodes = EpisodeRequest(options.fps, tuple(options.params), options.depth, pipeline_config(options))
    request = LeRobotRequest(options.task, episodes, options.max_objects)
    written = export_lerobot(options.bags, options.out, request)
    print(f"{written.frames} frames in {written.episodes} episodes, {written.fps} a second: {options.out}")
    if written.without_result:
        print(f"objects of {written.without_result} frames are not known: they gave no result in metres")
    if written.left_out:
        print(f"{written.left_out} objects are in pan3d/objects.parquet alone: frames had more than --max-objects")
    return 0
