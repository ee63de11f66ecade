"""Which paths are bags, and the options of commands that take some; needs no rosbags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def add_bag_options(parser: argparse.ArgumentParser) -> None:
    """Options that only bags have."""
    bags = parser.add_argument_group("bags (rosbag2)")
    bags.add_argument(
        "--params", nargs="+", type=Path, default=[], metavar="FILE", help="parameter files of the node (default: from the bag)"
    )
    bags.add_argument("--truth", default="/ground_truth", metavar="NAME", help="namespace of truth topics (default: %(default)s)")
    bags.add_argument("--start", type=float, default=0.0, metavar="S", help="begin so long after the bag's start")
    bags.add_argument("--duration", type=float, metavar="S", help="so much of the bag's time (default: to its end)")


def find_bags(paths: Sequence[Path]) -> list[Path]:
    """The bags among the paths and directly below them; empty when there are none."""
    looks_like_one = [path for path in paths if path.suffix in (".mcap", ".db3", ".bag") or (path / "metadata.yaml").exists()]
    below = [item for path in paths if path.is_dir() for item in sorted(path.iterdir())]
    looks_like_one += [item for item in below if item.is_dir() and (item / "metadata.yaml").exists()]
    looks_like_one += [path for path in paths if path.is_dir() and path not in looks_like_one and _storage(path)]
    return looks_like_one


def _storage(folder: Path) -> bool:
    return any(item.suffix in (".mcap", ".db3") for item in folder.iterdir())
