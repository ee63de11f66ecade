"""`pan3d doctor`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.runtime.lazy import load
from pan3d_tools.doctor import exit_code, format_report, run_checks

# Imported for recordings only: an installation is to be checked where torch is missing.
INSPECTION = "pan3d_tools.cli.bags.inspection:run_inspection"
NAMES_CAMERAS, POSE_CHECKS = (f"pan3d_tools.cli.checks.pose_checks:{name}" for name in ("names_cameras", "run_pose_checks"))


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_doctor)
    parser.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="PATH",
        help="rosbag2, scene folder or cameras file to look into instead of the installation",
    )
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE", help="of a cameras file that names none")
    parser.add_argument("--support-height", type=float, metavar="METRES", help="world z of the surface that objects stand on")
    parser.add_argument(
        "--reference-frame", metavar="FRAME", help="frame that poses are wanted in (default: base_link or the root)"
    )
    parser.add_argument("--params", type=Path, metavar="FILE", help="also write the parameters that the node needs for a bag")


def run_doctor(options: argparse.Namespace) -> int:
    """State of the installation, of a bag, or of the poses of cameras; 1 when something needed is missing or refuted."""
    path = options.path
    if path is not None and load(NAMES_CAMERAS)(path):
        if options.reference_frame or options.params is not None:
            raise ValueError("--reference-frame, --params: expected together with a bag only")
        return load(POSE_CHECKS)(path, options.images, options.support_height)
    if options.images:
        raise ValueError(f"IMAGE: expected together with a cameras file only, got {options.images[0]}")
    if path is not None:
        return load(INSPECTION)(path, options.reference_frame, options.support_height, options.params)
    if options.reference_frame or options.params is not None or options.support_height is not None:
        raise ValueError("--reference-frame, --params, --support-height: expected together with a recording only")
    checks = run_checks()
    print(format_report(checks))
    return exit_code(checks)
