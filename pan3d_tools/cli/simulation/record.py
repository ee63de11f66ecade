"""`pan3d sim record`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.data.recording import RecordingConfig, record
from pan3d_tools.cli.options import add_sensor_option, picture_size
from pan3d_tools.cli.output import print_table


def add(parser: argparse.ArgumentParser) -> None:
    """Put the action's options on its parser."""
    parser.set_defaults(command=run_sim_record)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="BAG", help="folder of the bag; must not exist yet")
    parser.add_argument("--seed", type=int, default=0, help="the scene, and all noise and times (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, metavar="HZ", help="frames per second each (default: %(default)s)")
    parser.add_argument("--format", choices=("mcap", "sqlite3"), default="mcap", help="storage (default: %(default)s)")
    parser.add_argument("--cameras", type=int, default=3, help="fixed cameras (default: %(default)s)")
    parser.add_argument("--wrist", action=argparse.BooleanOptionalAction, default=True, help="the moving camera on the wrist too")
    parser.add_argument("--depth", action=argparse.BooleanOptionalAction, default=True, help="aligned depth images")
    parser.add_argument("--exact-depth", action="store_true", help="the same as --depth-sensor exact")
    add_sensor_option(parser, "structured_light")
    parser.add_argument("--compressed", action="store_true", help="JPEG instead of raw colour images")
    parser.add_argument("--objects", type=int, default=6, help="objects on the table (default: %(default)s)")
    parser.add_argument("--arrangement", default="separated", help="separated, pile or packed (default: %(default)s)")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="picture size (default: %(default)s)")


def run_sim_record(options: argparse.Namespace) -> int:
    """A bag of the robot cell."""
    options.name = "sim record"
    width, height = picture_size(options.size)
    if options.cameras < 1:
        raise ValueError(f"--cameras: expected at least 1, got {options.cameras}")
    config = RecordingConfig(
        seconds=options.seconds,
        rate_hz=options.rate,
        storage=options.format,
        wrist=options.wrist,
        compressed=options.compressed,
        depth=options.depth,
        sensor="exact" if options.exact_depth else options.depth_sensor,
    )
    changes = {"num_cameras": options.cameras, "num_objects": options.objects, "arrangement": options.arrangement}
    with RobotCell(options.seed, width=width, height=height, **changes) as cell:
        counts = record(options.out, cell, config)
    print_table([(topic, count) for topic, count in sorted(counts.items())])
    print(options.out)
    return 0
