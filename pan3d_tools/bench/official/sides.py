"""Two sides of a comparison, ours and the official code: same weights and images, one machine, one run.

Each side runs in a process of its own (peak memory), the two take turns (a machine gets slower and faster), and each side's best
round counts. The workers are started as modules; `side_worker.py` measures in them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys

logger = logging.getLogger("pan3d.bench.sides")

COMPARED = ("wall_s", "cpu_s", "peak_mib", "forward_mib", "live_mib", "total_live_mib")


def add_arguments(parser: argparse.ArgumentParser, *, memory_views: int, image_hw: tuple[int, int]) -> None:
    """The arguments that all comparisons share."""
    parser.add_argument("--views", type=int, default=4, help="number of views that are run (default: %(default)s)")
    parser.add_argument(
        "--memory-views", type=int, default=memory_views, help="views that memory is counted for (default: %(default)s)"
    )
    parser.add_argument("--height", type=int, default=image_hw[0], help="image height, a multiple of 14 (default: %(default)s)")
    parser.add_argument("--width", type=int, default=image_hw[1], help="image width, a multiple of 14 (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all)")
    parser.add_argument("--rounds", type=int, default=1, help="how often the two sides take turns (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=1, help="forward passes per round (default: %(default)s)")


def parse(parser: argparse.ArgumentParser, argv: list[str], reference_file: str) -> argparse.Namespace:
    """Arguments, checked; `--reference` must be a folder with `reference_file` in it."""
    arguments = parser.parse_args(argv)
    for name in ("height", "width"):
        if getattr(arguments, name) % 14 or getattr(arguments, name) <= 0:
            parser.error(f"--{name}: expected a positive multiple of 14, got {getattr(arguments, name)}")
    if arguments.reference is not None and not (arguments.reference / reference_file).is_file():
        parser.error(f"--reference: expected a work tree with {reference_file}, got {arguments.reference}")
    return arguments


def run_side(worker: str, side: str, arguments: argparse.Namespace, extra: tuple[str, ...] = ()) -> dict:
    """One round of one side in a new process; `RuntimeError` with its last words when it fails."""
    command = [sys.executable, "-m", worker, "--side", side, *extra]
    command += ["--shape", "1", str(arguments.views), "3", str(arguments.height), str(arguments.width)]
    command += ["--memory-shape", "1", str(arguments.memory_views), "3", str(arguments.height), str(arguments.width)]
    command += ["--threads", str(arguments.threads), "--repeats", str(arguments.repeats)]
    if side == "official":
        command += ["--reference", str(arguments.reference)]
    logger.info("%s: running", side)
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if finished.returncode:
        raise RuntimeError(f"{side} side failed with status {finished.returncode}:\n{finished.stderr[-2000:]}")
    return json.loads(finished.stdout.splitlines()[-1])


def best(rounds: list[dict]) -> dict:
    """Least time, most memory of a side's rounds. `total_live_mib` = weights + living tensors at `--memory-views`."""
    return {
        "wall_s": min(item["wall_s"] for item in rounds),
        "cpu_s": min(item["cpu_s"] for item in rounds),
        "peak_mib": max(item["peak_mib"] for item in rounds),
        "forward_mib": max(item["peak_mib"] - item["before_mib"] for item in rounds),
        "weights_mib": rounds[0]["weights_mib"],
        "live_mib": rounds[0]["live_mib"],
        "total_live_mib": rounds[0]["weights_mib"] + rounds[0]["live_mib"],
    }


def largest_difference(ours: dict, official: dict) -> float:
    """Largest difference of the sampled outputs, relative to each output's largest value."""
    differences = []
    for name, reference in official["outputs"].items():
        scale = max(abs(value) for value in reference)
        differences.append(max(abs(a - b) for a, b in zip(ours["outputs"][name], reference, strict=True)) / scale)
    return max(differences)


def compare(worker: str, arguments: argparse.Namespace, extra: tuple[str, ...] = ()) -> dict:
    """Measure and return `ours`, and with a reference `official`, `ratio` and `largest_difference`.

    `ratio` has wall and processor time, peak memory of the whole process, and of the forward pass alone
    (without what was there before it: interpreter, libraries, weights); `live_mib` and `total_live_mib` are the
    counted memory at `--memory-views`, without and with weights. `cpu_s` is the fairer time on a machine that does
    other work beside; `load` is what waited for its processors before and after. `extra` arguments go to the worker.
    """
    load = [round(os.getloadavg()[0], 1)]
    rounds: dict[str, list[dict]] = {side: [] for side in ("ours", "official") if side == "ours" or arguments.reference}
    for _ in range(arguments.rounds):
        for side, measured in rounds.items():
            measured.append(run_side(worker, side, arguments, extra))
    result: dict = {
        "shape": [arguments.views, 3, arguments.height, arguments.width],
        "memory_shape": [arguments.memory_views, 3, arguments.height, arguments.width],
        "threads": arguments.threads,
        "load": [*load, round(os.getloadavg()[0], 1)],
        **{side: best(measured) for side, measured in rounds.items()},
    }
    if "official" in rounds:
        result["ratio"] = {name: result["ours"][name] / result["official"][name] for name in COMPARED}
        result["largest_difference"] = largest_difference(rounds["ours"][-1], rounds["official"][-1])
    return result
