"""`pan3d sim record`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from pan3d_sim.cell.model import CellConfig
from pan3d_sim.cell.robot_cell import RobotCell, objects_of_seed
from pan3d_sim.data.recording import RecordingConfig, record
from pan3d_sim.data.shards import KIND_SETS
from pan3d_sim.library.bank import ObjectLibrary
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
    parser.add_argument(
        "--cameras", type=int, default=3, help="fixed cameras, 0 = that on the wrist alone (default: %(default)s)"
    )
    parser.add_argument("--wrist", action=argparse.BooleanOptionalAction, default=True, help="the moving camera on the wrist too")
    parser.add_argument("--depth", action=argparse.BooleanOptionalAction, default=True, help="aligned depth images")
    parser.add_argument("--exact-depth", action="store_true", help="the same as --depth-sensor exact")
    add_sensor_option(parser, "structured_light")
    parser.add_argument("--compressed", action="store_true", help="JPEG instead of raw colour images")
    parser.add_argument("--objects", type=int, default=6, help="objects on the table (default: %(default)s)")
    parser.add_argument(
        "--kinds", choices=tuple(KIND_SETS), default="known", help="known, or held-out, which no training shows (default: known)"
    )
    parser.add_argument("--object-folder", type=Path, metavar="DIR", help="show modelled objects that no training shows instead")
    parser.add_argument("--things-of", type=int, metavar="SEED", help="the objects of another seed, elsewhere and in other light")
    parser.add_argument("--arrangement", default="separated", help="separated, pile or packed (default: %(default)s)")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="picture size (default: %(default)s)")


def run_sim_record(options: argparse.Namespace) -> int:
    """A bag of the robot cell."""
    options.name = "sim record"
    width, height = picture_size(options.size)
    if options.cameras < 0 or not (options.cameras or options.wrist):
        raise ValueError(f"--cameras: expected at least 1, or 0 with the camera on the wrist, got {options.cameras}")
    config = RecordingConfig(
        seconds=options.seconds,
        rate_hz=options.rate,
        storage=options.format,
        wrist=options.wrist,
        compressed=options.compressed,
        depth=options.depth,
        sensor="exact" if options.exact_depth else options.depth_sensor,
    )
    cell_config = CellConfig(
        options.objects, options.arrangement, KIND_SETS[options.kinds], num_cameras=options.cameras, width=width, height=height,
        models=None if options.object_folder is None else ObjectLibrary(options.object_folder, "held-out"),
    )  # fmt: skip
    if options.things_of is not None:
        cell_config = replace(cell_config, objects=objects_of_seed(options.things_of, cell_config))
    with RobotCell(options.seed, cell_config) as cell:
        counts = record(options.out, cell, config)
    print_table([(topic, count) for topic, count in sorted(counts.items())])
    print(options.out)
    return 0
