"""`pan3d bench vggt`: our VGGT beside the official code, same weights and images, one machine, one run.

Each side runs in a process of its own (peak memory), the two take turns (a machine gets slower and
faster), and each side's best round counts. Weights are random but depend on parameter names only, so both
sides have the same 1.19 billion; a few outputs of both are compared. Without `--reference` only our side runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

logger = logging.getLogger("pan3d.bench.vggt")


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench vggt", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--reference", type=Path, help="work tree of facebookresearch/vggt (its requirements importable, track head not used)"
    )
    parser.add_argument("--views", type=int, default=4, help="number of views that are run (default: %(default)s)")
    parser.add_argument("--memory-views", type=int, default=16, help="views that memory is counted for (default: %(default)s)")
    parser.add_argument("--height", type=int, default=392, help="image height, a multiple of 14 (default: %(default)s)")
    parser.add_argument("--width", type=int, default=518, help="image width, a multiple of 14 (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all)")
    parser.add_argument("--rounds", type=int, default=1, help="how often the two sides take turns (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=1, help="forward passes per round (default: %(default)s)")
    arguments = parser.parse_args(argv)
    for name in ("height", "width"):
        if getattr(arguments, name) % 14 or getattr(arguments, name) <= 0:
            parser.error(f"--{name}: expected a positive multiple of 14, got {getattr(arguments, name)}")
    if arguments.reference is not None and not (arguments.reference / "vggt" / "models" / "vggt.py").is_file():
        parser.error(f"--reference: expected a work tree with vggt/models/vggt.py, got {arguments.reference}")
    return arguments


def run_side(side: str, arguments: argparse.Namespace) -> dict:
    """One round of one side in a new process; `RuntimeError` with its last words when it fails."""
    command = [sys.executable, "-m", "pan3d_core.bench.vggt_worker", "--side", side]
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


def run(argv: list[str]) -> dict:
    """Measure and return `ours`, and with a reference `official`, `ratio` and `largest_difference`.

    `ratio` has wall and processor time, peak memory of the whole process, and of the forward pass alone
    (without what was there before it: interpreter, libraries, weights); `live_mib` and `total_live_mib` are the
    counted memory at `--memory-views`, without and with weights. `cpu_s` is the fairer time on a machine that does
    other work beside.
    """
    arguments = parse(argv)
    sides: dict[str, list[dict]] = {"ours": []}
    if arguments.reference is not None:
        sides["official"] = []
    for _ in range(arguments.rounds):
        for side, rounds in sides.items():
            rounds.append(run_side(side, arguments))
    result: dict = {
        "model": "VGGT-1B without track head, random weights, float32, CPU",
        "shape": [arguments.views, 3, arguments.height, arguments.width],
        "memory_shape": [arguments.memory_views, 3, arguments.height, arguments.width],
        "threads": arguments.threads,
        **{side: best(rounds) for side, rounds in sides.items()},
    }
    if "official" in sides:
        compared = ("wall_s", "cpu_s", "peak_mib", "forward_mib", "live_mib", "total_live_mib")
        result["ratio"] = {name: result["ours"][name] / result["official"][name] for name in compared}
        result["largest_difference"] = largest_difference(sides["ours"][-1], sides["official"][-1])
    return result
