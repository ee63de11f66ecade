"""The program `pan3d`: its commands, and how it ends.

Exit codes: 0 done, 1 the work found something wrong (doctor), 2 the request cannot be met (bad arguments, files, packages),
130 interrupted from the keyboard, 143 ended by SIGTERM.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Sequence

from pan3d_core import __version__
from pan3d_core.runtime import keep_heap_steady
from pan3d_core.runtime.ending.asked import end_at_once, handlers_kept, told, unwound
from pan3d_tools.cli.command_parser import add_commands, commands_of_tools

COMMANDS = commands_of_tools(
    {
        "reconstruct": ("cli.scenes.reconstruct:add", "cloud, instances, depth and pictures from plain image files"),
        "teach": ("cli.teaching.teach:add", "objects that are shown once and found by their names from then on"),
        "label": (
            "cli.teaching.label:add",
            "2D labels of pictures, scenes and bags by models of others, such as SAM 2",
        ),
        "export": (
            "cli.export:add",
            "build an engine's network for ONNX Runtime, OpenVINO or TensorRT, and compare it with torch",
        ),
        "refine": ("cli.scenes.refine:add", "optimise the Gaussians and objects of one scene from its views and 2D labels"),
        "render": ("cli.scenes.render:add", "pictures of a scene of 3D Gaussians along a camera path"),
        "edit": ("cli.scenes.edit:add", "remove, recolour, move and copy objects of a scene of 3D Gaussians"),
        "eval-gaussians": (
            "cli.evaluation.gaussians:add",
            "measure rendered semantics, instances and colour of an engine's Gaussians at context and novel views",
        ),
        "eval": ("cli.evaluation.scenes:add", "measure an engine on scenes with truth, and show where it was worst"),
        "scoreboard": ("cli.evaluation.scoreboard:add", "measure all engines and baselines on the held-out scenes"),
        "convert": (
            "cli.scenes.convert:add",
            "bags to a data set for learning (LeRobot v3.0); labelled scenes to COCO panoptic or BOP, and back",
        ),
        "calibrate": ("cli.checks.calibrate:add", "which camera is not where it is said to be, by what the pictures share"),
        "gripper": (
            "cli.checks.gripper:add",
            "a robot's two jaws as its URDF has them: opening, sizes and grasp frame, as parameters",
        ),
        "warranty": ("cli.checks.warranty:add", "how sure an answer must be here so that few are wrong, by what was confirmed"),
        "replay": ("cli.bags.replay:add", "play a rosbag2 over ROS 2 where ros2 bag is not installed"),
        "sim": ("cli.simulation:add", "the simulated robot cell"),
        "bench": ("cli.bench:add", "measure speed and quality"),
        "stress": ("cli.checks.stress:add", "faults against a running perception node: is each answered, survived and named?"),
        "view": (
            "cli.scenes.view:add",
            "look at 3D Gaussians in the browser (needs viser) or at a cloud in a window (needs open3d)",
        ),
        "web": (
            "cli.live.web:add",
            "a page in the browser of a running node: cameras, cloud, times, health, a prompt box (needs viser)",
        ),
        "mcp": (
            "cli.live.mcp:add",
            "a running node's objects and grasps as tools of an agent (Model Context Protocol; needs mcp)",
        ),
        "doctor": ("cli.checks.doctor:add", "check the installation, or a bag, and say how to mend what is missing"),
    },
)
EXTRA_OF_PACKAGE = {
    "mujoco": "sim",
    "pan3d_sim": "sim",
    "OpenGL": "sim",
    "rclpy": "ros",
    "pan3d_ros": "ros",
    "pan3d_interfaces": "ros",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "coal": "arm",
    "ompl": "arm",
    "pinocchio": "arm",
    "toppra": "arm",
    "mcp": "mcp",
    "pyarrow": "lerobot",
    "open3d": "view",
    "ray": "ray",
    "rosbags": "bags",
    "transformers": "clip",
    "imageio_ffmpeg": "video",
    "viser": "web",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind `pan3d`; those of this process where none are given.

    Returns:
        The exit code.
    """
    # Threads that wait should sleep, not spin: beside other busy processes spinning makes the network ten times slower.
    # It counts only when set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_heap_steady()
    arguments = sys.argv[1:] if arguments is None else arguments
    options = argparse.Namespace(command_line=shlex.join(["pan3d", *arguments]))
    with handlers_kept():
        end_at_once("pan3d")
        return _run(arguments, options)


def _run(arguments: Sequence[str], options: argparse.Namespace) -> int:
    try:
        build_parser().parse_args(arguments, options)  # imports what the command needs
        level = logging.INFO if options.verbose else logging.WARNING
        logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
        with unwound():
            return options.command(options)
    except (ValueError, OSError) as error:  # a file that is wrong, missing or forbidden, a disk that is full
        return _refuse(options, str(error), error)
    except KeyboardInterrupt as asked:
        return told(f"pan3d {getattr(options, 'name', '')}".strip(), asked, "; what was written is whole")
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
    """The parser of all commands; each has its options from the moment it is chosen (`CommandParser.complete`)."""
    parser = argparse.ArgumentParser(prog="pan3d", description="Multi-view panoptic 3D perception for robots.")
    parser.add_argument("--version", action="version", version=f"pan3d {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens, and tracebacks of errors")
    add_commands(parser, COMMANDS, dest="name", metavar="COMMAND")
    return parser
