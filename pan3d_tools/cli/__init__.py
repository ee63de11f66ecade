"""`pan3d`: the command line. Everything heavy is imported inside the command that needs it, so help is instant.

Each command is a module here with `add(commands)`.
Exit codes: 0 done, 1 the work found something wrong (doctor), 2 the request cannot be met (bad arguments, files, packages).
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Sequence

from pan3d_tools.cli import bench, doctor, edit, evaluate, reconstruct, refine, render, replay, scoreboard, simulate, view

COMMANDS = (reconstruct, refine, render, edit, evaluate, scoreboard, replay, simulate, bench, view, doctor)
EXTRA_OF_PACKAGE = {
    "mujoco": "sim",
    "pan3d_sim": "sim",
    "OpenGL": "sim",
    "rclpy": "ros",
    "pan3d_ros": "ros",
    "pan3d_interfaces": "ros",
    "open3d": "view",
    "ray": "ray",
    "rosbags": "bags",
    "transformers": "clip",
    "imageio_ffmpeg": "video",
    "viser": "web",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Threads that wait should sleep, not spin: beside other busy processes spinning makes the network ten times slower.
    # It counts only when set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    parser = build_parser()
    options = parser.parse_args(arguments)
    options.command_line = shlex.join(["pan3d", *(sys.argv[1:] if arguments is None else arguments)])
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return options.command(options)
    except (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        return _refuse(options, str(error), error)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        extra = EXTRA_OF_PACKAGE.get(package)
        hint = (
            f"install it with the extra [{extra}]; `pan3d doctor` says what is missing" if extra else "`pan3d doctor` says more"
        )
        return _refuse(options, f"this command needs the package {package!r}, which is not installed: {hint}", error)


def _refuse(options: argparse.Namespace, message: str, error: Exception) -> int:
    if options.verbose:
        logging.getLogger("pan3d.cli").error("traceback", exc_info=error)
    print(f"pan3d {options.name}: error: {message}", file=sys.stderr)
    return 2


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="pan3d", description="Multi-view panoptic 3D perception for robots.")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens, and tracebacks of errors")
    commands = parser.add_subparsers(dest="name", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
