"""`pan3d doctor`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.runtime.lazy import load
from pan3d_tools.doctor import exit_code, format_report, run_checks

# Imported for a bag only: an installation is to be checked where torch is missing.
INSPECTION = "pan3d_tools.cli.bag_inspection:run_inspection"


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_doctor)
    parser.add_argument("bag", nargs="?", type=Path, metavar="BAG", help="rosbag2 to look into instead of the installation")
    parser.add_argument(
        "--reference-frame", metavar="FRAME", help="frame that poses are wanted in (default: base_link or the root)"
    )


def run_doctor(options: argparse.Namespace) -> int:
    """State of the installation or of a bag; 1 when something needed is missing."""
    if options.bag is not None:
        return load(INSPECTION)(options.bag, options.reference_frame)
    if options.reference_frame:
        raise ValueError("--reference-frame: expected together with a bag only")
    checks = run_checks()
    print(format_report(checks))
    return exit_code(checks)
