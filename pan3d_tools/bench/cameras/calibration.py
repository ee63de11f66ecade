"""`pan3d bench calibration`: which camera is off, by how much, and how sure that is.

One camera of a rendered rig is told to be elsewhere than it is, by a motion in a random direction, and what `check_calibration`
makes of one view set, and of several with other objects, is compared with that motion.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pan3d_core.assembly.pose_checks.pose_fit import motion_size
from pan3d_core.assembly.pose_checks.view_matches import Array
from pan3d_core.calibration import CalibrationCheck, check_calibration
from pan3d_core.structures import CameraView
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_tools.bench.cameras.consistency import motion

FAULTS = {
    "clean": (0.0, 0.0),
    "1 cm": (0.01, 0.0),
    "1 degree": (0.0, 1.0),
    "2 cm and 2 degrees": (0.02, 2.0),
    "5 cm": (0.05, 0.0),
}


@dataclass(frozen=True)
class Verdict:
    """What was made of one fault."""

    found: bool  # the camera is said to be off
    others: int  # cameras that are said to be off and are not
    unknown: bool  # the camera's place could not be told
    error_deg: float  # left after the correction; NaN where the camera was not found
    error_m: float
    sigma_deg: float
    sigma_m: float


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench calibration", description=__doc__)
    parser.add_argument("--first-seed", type=int, default=7000, help="of the cells; limits were chosen on 3000 to 3033")
    parser.add_argument("--scenes", type=int, default=30, help="number of cells (default: %(default)s)")
    parser.add_argument("--cameras", type=int, default=4, help="of each rig (default: %(default)s)")
    parser.add_argument("--sets", nargs="+", type=int, default=[1, 3], help="view sets of one check (default: %(default)s)")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Judge every fault in every cell; degrees and millimetres, medians."""
    arguments = parse(argv)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.scenes)
    pictures = [_pictures(seed, arguments.cameras) for seed in seeds]
    found = {}
    for count in arguments.sets:
        groups = [pictures[begin : begin + count] for begin in range(0, len(pictures) - count + 1, count)]
        for name, (metres, degrees) in FAULTS.items():
            verdicts = [_judged(group, metres, degrees, np.random.default_rng([k, count])) for k, group in enumerate(groups)]
            found[f"{name}, view sets: {count}"] = summarize(verdicts)
    return {"first_seed": arguments.first_seed, "cells": arguments.scenes, "cameras": arguments.cameras, "faults": found}


def summarize(verdicts: Sequence[Verdict]) -> dict:
    """Give shares and medians of the verdicts on one fault."""
    told = [verdict for verdict in verdicts if verdict.found]
    normalised = [(item.error_deg / item.sigma_deg, item.error_m / item.sigma_m) for item in told]
    return {
        "checks": len(verdicts),
        "found": float(np.mean([item.found for item in verdicts])),
        "unknown": float(np.mean([item.unknown for item in verdicts])),
        "wrongly_blamed": float(np.mean([item.others > 0 for item in verdicts])),
        "error_deg": _median([item.error_deg for item in told]),
        "error_mm": _median([1000 * item.error_m for item in told]),
        "error_over_sigma_deg": _median([each[0] for each in normalised]),
        "error_over_sigma_m": _median([each[1] for each in normalised]),
    }


def judge(check: CalibrationCheck, moved: str, motion_made: Array) -> Verdict:
    """Compare what was found with what was made.

    Args:
        check: Of views whose poses were changed.
        moved: The camera whose pose was changed.
        motion_made: (4, 4) by which `cam_from_world` was multiplied from the left.

    Returns:
        The verdict; with a motion of nothing every camera that is said to be off is wrongly blamed.
    """
    own = check.of(moved)
    made = motion_size(motion_made) != (0.0, 0.0)
    degrees, metres = motion_size(own.cam_from_given @ motion_made)
    others = sum(item.camera != moved or not made for item in check.off)
    return Verdict(made and own.is_off, others, not own.known, degrees, metres, own.sigma_deg, own.sigma_m)


def _pictures(seed: int, cameras: int) -> list[CameraView]:
    with RobotCell(seed, num_cameras=cameras) as cell:
        return [replace(view, depth=None) for view in cell.views()]


def _judged(sets: Sequence[Sequence[CameraView]], metres: float, degrees: float, rng: np.random.Generator) -> Verdict:
    made = motion(rng, metres, degrees)
    moved = sets[0][int(rng.integers(len(sets[0])))].camera
    given = [[_moved(view, made) if view.camera == moved else view for view in views] for views in sets]
    return judge(check_calibration(given), moved, made)


def _moved(view: CameraView, made: Array) -> CameraView:
    pose = made @ view.calibration()[1].double().numpy()
    return replace(view, cam_from_world=torch.from_numpy(pose).float())


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
