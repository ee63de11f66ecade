"""`pan3d view`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.cli.options import add_command


def add(commands: argparse._SubParsersAction) -> None:
    """Put the command and its options on the parser."""
    parser = add_command(commands, "view", run_view, "turn a stored cloud in a window (needs open3d)")
    parser.add_argument("cloud", type=Path, metavar="CLOUD", help="PLY file, such as cloud.ply of `pan3d reconstruct`")
    parser.add_argument("--instances", action="store_true", help="one colour per instance instead of the cameras' colours")


def run_view(options: argparse.Namespace) -> int:
    """A window with a stored cloud."""
    from pan3d_core.cloud_io import read_ply
    from pan3d_core.viewer import show

    show(read_ply(options.cloud), by_instance=options.instances)
    return 0
