"""`pan3d doctor BAG`."""

from __future__ import annotations

from pathlib import Path

from pan3d_core.runtime.checks import Check
from pan3d_core.runtime.files import written_whole
from pan3d_ros.bags.inspection import Inspection, inspected
from pan3d_ros.bags.reading.frames import first_views
from pan3d_ros.bags.reading.reader import BagError, BagReader
from pan3d_ros.parameters.values import flat_values, node_settings
from pan3d_tools.cli.checks.pose_checks import pose_checks
from pan3d_tools.doctor import exit_code, format_report


def run_inspection(
    bag: Path, reference_frame: str | None, support_height_m: float | None = None, params: Path | None = None
) -> int:
    """What a bag holds, what is wrong with it, and parameters that make the node work on it, also as the file `params`."""
    with BagReader(bag) as reader:
        inspection = inspected(reader, reference_frame)
        inspection.checks += checks_of_poses(reader, inspection, support_height_m)
    rows = inspection.topic_table()
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()
    print(format_report(inspection.checks))
    if inspection.parameters["cameras"]:
        print("\n# parameters for this bag")
        print(inspection.parameter_file(), end="")
        if params is not None:
            with written_whole(params) as part:
                part.write_text(inspection.parameter_file(), encoding="utf-8")
            print(f"\n{params}")
    return exit_code(inspection.checks)


def checks_of_poses(bag: BagReader, inspection: Inspection, support_height_m: float | None) -> list[Check]:
    """Compare the poses of the cameras that can be used with their first pictures.

    Args:
        bag: Opened.
        inspection: Of this bag.
        support_height_m: World z; None = what the bag says.

    Returns:
        As `pose_checks`; nothing where no camera can be used.
    """
    node, cameras = node_settings(flat_values(inspection.parameters))
    usable = {name: camera for name, camera in cameras.items() if name not in inspection.faults}
    if not usable:
        return []
    try:
        views, _ = first_views(bag, node, usable)
    except BagError:
        return []  # the inspection has said so
    height = inspection.parameters.get("workspace", {}).get("support_height_m") if support_height_m is None else support_height_m
    return pose_checks(views, height)
