"""`pan3d doctor`."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from pan3d_tools.cli.options import add_command


def add(commands: argparse._SubParsersAction) -> None:
    """Put the command and its options on the parser."""
    summary = "check the installation, or a bag, and say how to mend what is missing"
    parser = add_command(commands, "doctor", run_doctor, summary)
    parser.add_argument("bag", nargs="?", type=Path, metavar="BAG", help="rosbag2 to look into instead of the installation")
    parser.add_argument(
        "--reference-frame", metavar="FRAME", help="frame that poses are wanted in (default: base_link or the root)"
    )


def run_doctor(options: argparse.Namespace) -> int:
    """State of the installation or of a bag; 1 when something needed is missing."""
    from pan3d_tools import doctor

    if options.bag is not None:
        return _inspect(options)
    if options.reference_frame:
        raise ValueError("--reference-frame: expected together with a bag only")
    checks = doctor.run_checks()
    print(doctor.format_report(checks))
    return doctor.exit_code(checks)


def _inspect(options: argparse.Namespace) -> int:
    """What a bag holds, what is wrong with it, and parameters that make the node work on it."""
    from pan3d_tools import doctor

    inspection = importlib.import_module("pan3d_ros.bags.inspection").inspect_bag(options.bag, options.reference_frame)
    rows = inspection.topic_table()
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()
    print(doctor.format_report(inspection.checks))
    if inspection.parameters["cameras"]:
        print("\n# parameters for this bag")
        print(inspection.parameter_file(), end="")
    return doctor.exit_code(inspection.checks)
