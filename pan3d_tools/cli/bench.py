"""`pan3d bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.runtime.lazy import load
from pan3d_tools.cli.command_parser import commands_of_tools
from pan3d_tools.cli.output import flat_rows, machine_facts, print_table, write_json

BENCHES = commands_of_tools(
    {
        "frame": ("bench.networks.frame:run", "whole frame journey in one process"),
        "runtimes": ("bench.networks.runtimes:run", "one network in every runtime that is installed, beside torch"),
        "soak": ("bench.soak:run", "thousands of view sets in one process: memory, files, threads and times that grow"),
        "memory": ("bench.memory.stream:run", "ids and states of objects over thousands of steps of a busy table"),
        "body": (
            "bench.cameras.body:run",
            "the robot's own body told from objects: pixels taken out, pixels lost, what it costs",
        ),
        "calibration": (
            "bench.cameras.calibration:run",
            "cameras that are off: which is found, by how much, and how sure that is",
        ),
        "consistency": (
            "bench.cameras.consistency:run",
            "faults of poses and support heights: told, refused, named; false alarms",
        ),
        "vggt": ("bench.official.vggt:run", "VGGT forward pass, beside the official code when it is there"),
        "da3": ("bench.official.da3:run", "Depth Anything 3 forward pass, beside the official code when it is there"),
        "fast3dis": ("bench.networks.fast3dis:run", "FAST3DIS: passes that share blocks, anchors, growth with the views"),
        "decode": ("bench.parts.decode:run", "decoding and assembly of 400 queries beside the network"),
        "clustering": ("bench.parts.clustering:run", "pan3d-mini-fast3dis against clustering its features, by number of views"),
        "rasterize": ("bench.parts.rasterize:run", "rendering of Gaussians, forward and backward, beside gsplat's PyTorch code"),
        "eps3d": ("bench.networks.eps3d:run", "EPS3D by stages: network, voxels, rendering, read-out"),
        "readout": ("bench.parts.readout:run", "objects from rendered instance features: pixels clustered, or cells"),
        "refine": ("bench.refine.command:run", "refining a scene: a step's memory and time, the map over its labels"),
        "naming": ("bench.worlds.naming:run", "words for things that are there and for things that are not"),
        "teach": ("bench.teaching.command:run", "objects that were shown once, found by name among others; false alarms"),
        "photographs": ("bench.worlds.photographs:run", "photographs of real things from public packages"),
        "worlds": (
            "bench.worlds.command:run",
            "engines in rendered worlds of every kind; what wrong calibration and fewer views cost",
        ),
        "metrics": ("bench.parts.metrics:run", "measuring a ScanNet-size scene on one core"),
        "reading": ("bench.networks.reading:run", "views a second and core that training reads from a ScanNet scene"),
        "training": (
            "bench.networks.training:run",
            "memory and time of a training step, planned without computing it, and measured",
        ),
        "sim": ("bench.cell:run", "rendering and physics of the robot cell"),
        "grasp": ("bench.grasp.command:run", "grasps of all objects of seeded tables, tried in physics, beside the box baseline"),
        "pick": (
            "bench.picking.pick:run",
            "an arm picks and places what it sees: objects placed, collisions, attempts, planning time",
        ),
        "picks": ("bench.picking.picks:run", "masks that picks teach beside the true ones: touching objects, heaps, other light"),
        "warranty": ("bench.worlds.warranty:run", "promised shares of wrong answers, and covariances, in every world"),
        "planning": (
            "bench.picking.planning:run",
            "shapes that a motion planner is told: do they hold the true objects, and how much more",
        ),
        "demo": ("demo.bench:run", "the demo's ten scenes over ROS 2: objects found and lifted"),
        "ros": ("bench.ros.journey:run", "publishing a cloud, and the journey of a frame between processes"),
    },
)


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    listed = "\n".join(f"  {name:<12}{summary}" for name, (_, summary) in BENCHES.items())
    parser.set_defaults(command=run_bench)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"benchmarks:\n{listed}\n\n`pan3d bench NAME --help` lists the arguments of one."
    parser.add_argument("--json", type=Path, metavar="FILE", help="result file (default: out/bench/NAME.json)")
    parser.add_argument("bench", choices=tuple(BENCHES), metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="arguments of the benchmark")


def run_bench(options: argparse.Namespace) -> int:
    """One benchmark: its table on the screen, its figures in a JSON file."""
    place, _ = BENCHES[options.bench]
    result = load(place)(options.arguments)
    content = {"bench": options.bench, "machine": machine_facts(), "result": result}
    print(" | ".join(f"{key} {value}" for key, value in content["machine"].items()))
    print_table(flat_rows(result))
    path = options.json or Path("out/bench") / f"{options.bench}.json"
    write_json(path, content)
    return 0
