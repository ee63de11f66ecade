"""`pan3d gripper`: a robot's two jaws as its URDF has them, as parameters of the node."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml
from scipy.spatial.transform import Rotation

from pan3d_core.body import GripperNames, MeasuredGripper, RobotDescription, measure_gripper, read_urdf
from pan3d_core.body.description import SLIDING
from pan3d_core.runtime.files import written_whole
from pan3d_core.settings import to_plain

OF_JAWS = ("kind", "suction")  # of a gripper, which its links do not tell


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_gripper)
    add = parser.add_argument
    add("urdf", type=Path, metavar="URDF", help="description of the robot or of its gripper alone")
    add("--meshes", type=Path, nargs="+", default=[], metavar="DIR", help="folders of the meshes that it names")
    add("--hand", default="", metavar="LINK", help="that the fingers move against, where several could be it")
    add(
        "--fingers", nargs=2, default=[], metavar="LINK", help="each with all that hangs from it a finger, where several could be"
    )
    add("--joints", nargs="+", default=[], metavar="JOINT", help="that open it, where fingers have several")
    add("--tip", default="", metavar="LINK", help="that is planned for, on which the grasp frame is told (default: the hand)")
    add("-o", "--out", type=Path, metavar="FILE", help="write a file of parameters, which the node takes as it is")


def run_gripper(options: argparse.Namespace) -> int:
    """Measure, and show or write what the node is to be told."""
    robot = read_urdf(options.urdf, options.meshes)
    found = measure_gripper(robot, GripperNames(options.hand, tuple(options.fingers), tuple(options.joints)))
    tip = options.tip or found.links.hand
    rotation = (frame := found.on_link(robot, tip))[:3, :3]
    arm = {
        "tip_link": tip,
        "tip_from_grasp": [*_rounded(frame[:3, 3]), *_rounded(Rotation.from_matrix(rotation).as_euler("xyz"))],
        "fingers": _sharing(robot, found),
    }
    content = yaml.safe_dump({"/**": {"ros__parameters": {"arm": arm, "grasp": {"gripper": _sizes(found)}}}}, sort_keys=False)
    text = f"# {found.message}\n{content}"
    if options.out is None:
        print(text, end="")
        return 0
    with written_whole(options.out) as part:
        part.write_text(text, encoding="utf-8")
    print(f"{found.message}\nwritten to {options.out}")
    return 0


def _sharing(robot: RobotDescription, found: MeasuredGripper) -> list[str]:
    """Joints that each open by an equal share of metres; none where fingers turn."""
    sliding = [joint.name for joint in robot.joints if joint.child in found.links.fingers and joint.kind in SLIDING]
    return sliding if len(sliding) == len(found.links.fingers) else []


def _sizes(found: MeasuredGripper) -> dict[str, Any]:
    return {name: value for name, value in to_plain(found.config).items() if name not in OF_JAWS}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 5) + 0.0 for value in values]
