"""`pan3d bench sim`: how fast the cell renders and executes on one core."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.structures import GraspTarget
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.data.bank import ObjectBank


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench sim", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="time per measurement (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="scene (default: %(default)s)")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Rates of the cell and of the training renderer: `wall` as they came, `cpu` per second of one core, whatever else ran."""
    arguments = parse(argv)
    start = time.process_time()
    cell = RobotCell(arguments.seed, width=320, height=240)
    build_s = time.process_time() - start
    with cell:
        cell.views()  # the first picture also uploads all meshes and textures
        frames = per_second(lambda: len(cell.views()), arguments.seconds)
        attempts = per_second(lambda: _attempt(cell), arguments.seconds)
    return {
        "cell_build_and_settle_s": build_s,
        "cell_rgb_depth_labels_320x240_fps": frames,
        "training_rgb_depth_labels_144x112_fps": _training_rate(arguments.seed, arguments.seconds),
        "grasp_attempts_per_s": attempts,
    }


def per_second(work: Callable[[], int], seconds: float) -> dict[str, float]:
    """Rates of the items that `work` reports, called again until `seconds` have passed."""
    done, start, cpu_start = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        done += work()
    return {"wall": done / (time.perf_counter() - start), "cpu": done / (time.process_time() - cpu_start)}


def _training_rate(seed: int, seconds: float) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    bank = ObjectBank(rng)
    try:
        bank.render_scene(rng)
        return per_second(lambda: len(bank.render_scene(rng).images), seconds)
    finally:
        bank.close()


def _attempt(cell: RobotCell) -> int:
    """One straight-down grasp at the first object, through all phases or until it collides."""
    pose = torch.eye(4)
    pose[:3, :3] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pose[:3, 3] = torch.from_numpy(cell.data.xipos[cell.bodies[0].body]).float() + torch.tensor([0.0, 0.0, 0.15])
    GraspTrials(cell).execute(GraspTarget(1, -1, 1.0, pose, 0.08, 0.10, OrientedBox(torch.eye(4), torch.ones(3))), target=0)
    return 1
