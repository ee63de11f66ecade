"""`pan3d doctor BAG`."""

from __future__ import annotations

from pathlib import Path

from pan3d_ros.bags.inspection import inspect_bag
from pan3d_tools.doctor import exit_code, format_report


def run_inspection(bag: Path, reference_frame: str | None) -> int:
    """What a bag holds, what is wrong with it, and parameters that make the node work on it."""
    inspection = inspect_bag(bag, reference_frame)
    rows = inspection.topic_table()
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()
    print(format_report(inspection.checks))
    if inspection.parameters["cameras"]:
        print("\n# parameters for this bag")
        print(inspection.parameter_file(), end="")
    return exit_code(inspection.checks)
