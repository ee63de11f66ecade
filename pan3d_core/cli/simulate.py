"""`pan3d sim ...`."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from pan3d_core.cli import simulate_record
from pan3d_core.cli.options import add_command


def add(commands: argparse._SubParsersAction) -> None:
    """Put the command and its options on the parser."""
    parser = commands.add_parser("sim", help="the simulated robot cell", description="The simulated robot cell.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    simulate_record.add(actions)
    render = add_command(actions, "render", run_sim_render, "write scene folders: images, depth, instances, cameras, truth")
    render.add_argument("-o", "--out", type=Path, default=Path("out/scenes"), help="folder for the scenes (default: %(default)s)")
    render.add_argument("--seed", type=int, default=0, help="first scene (default: %(default)s)")
    render.add_argument("--count", type=int, default=1, help="number of scenes (default: %(default)s)")
    render.add_argument("--cameras", type=int, default=4, help="cameras around the table (default: %(default)s)")
    render.add_argument("--objects", type=int, default=6, help="objects per scene (default: %(default)s)")
    render.add_argument("--arrangement", default="separated", help="separated, pile or packed (default: %(default)s)")
    render.add_argument("--size", default="640x480", metavar="WxH", help="picture size (default: %(default)s)")


def run_sim_render(options: argparse.Namespace) -> int:
    """Scene folders from the robot cell."""
    options.name = "sim render"
    try:
        width, height = (int(side) for side in options.size.split("x"))
    except ValueError:
        raise ValueError(f"--size: expected WIDTHxHEIGHT such as 640x480, got {options.size!r}") from None
    if options.count < 1 or options.cameras < 1 or min(width, height) < 16:
        raise ValueError("--count, --cameras, --size: expected at least one scene, one camera and 16x16 pixels")
    render = importlib.import_module("pan3d_sim.scene_folders").render_scene_folder
    changes = {"num_cameras": options.cameras, "num_objects": options.objects, "arrangement": options.arrangement}
    for seed in range(options.seed, options.seed + options.count):
        print(render(options.out, seed, width=width, height=height, **changes))
    return 0
