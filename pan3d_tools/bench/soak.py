"""`pan3d bench soak`: does memory, or anything else, grow over many view sets, and do they stay equally fast?

The same view set is processed again and again in one process, with the pictures' noise renewed each time, so that nothing can
be kept from the set before. After every set the resident memory, open files, threads and the set's time are noted, where there is
room from the beginning: notes that grew by a hundred bytes a set would be megabytes in four hours of their own. Slopes are
fitted to means of blocks, because neighbouring sets are no independent samples; a slope whose interval holds 0 is none that was
measured.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.engines import build_engine
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.data.scene_folders import cell_scene

TARGETS = {"rss_mb_in_4_h": 5.0, "p99_over_p50": 1.3}  # at most, on an idle machine
# CPython keeps up to 2000 freed tuples of each length for the next ones; each view set leaves some more there until then.
WARM_UP = 2500
BLOCKS = 20
FOUR_HOURS_S = 4 * 3600.0

Series = npt.NDArray[np.float64]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench soak", description=__doc__)
    parser.add_argument("--models", nargs="+", default=["pan3d-mini", "depth_clusters"], help="engines (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10_000, help="view sets of each engine (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="view sets before them (default: %(default)s)")
    parser.add_argument("--cameras", type=int, default=4, help="cameras of the rendered cell (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the rendered cell (default: %(default)s)")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Measure each engine. Memory in MB (10^6 bytes), times in ms."""
    arguments = parse(argv)
    if arguments.steps < 2 * BLOCKS:
        raise ValueError(f"--steps: expected at least {2 * BLOCKS}, got {arguments.steps}")
    with RobotCell(arguments.seed, num_cameras=arguments.cameras) as cell:
        scene = cell_scene(cell)
    found = {}
    for model in arguments.models:
        config = PipelineConfig(model=ModelConfig(name=model))
        config = replace(config, workspace=replace(config.workspace, support_height_m=scene.support_height_m))
        pipeline = PerceptionPipeline(build_engine(config.model), config)
        views = scene.views if pipeline.engine.facts.needs_depth else scene.without_depth().views
        found[model] = summarize(*soak(pipeline, views, arguments.steps, arguments.warm_up))
    return {"steps": arguments.steps, "threads": torch.get_num_threads(), "models": found, "targets_at_most": TARGETS}


def soak(pipeline: PerceptionPipeline, views: Sequence[CameraView], steps: int, warm_up: int) -> tuple[Series, dict[str, Series]]:
    """Process the same views again and again.

    Args:
        pipeline: Any.
        views: Of one moment.
        steps: That are measured.
        warm_up: Before them.

    Returns:
        Milliseconds per step, and what the process held after each: "rss_mb", "own_mb" (without pages of files, such
        as libraries, which the system takes and reads again as it likes), "open_files", "threads".
    """
    rng, times_ms = np.random.default_rng(0), np.full(steps, np.nan)
    held = {name: np.full(steps, np.nan) for name in process_facts()}
    for step in range(warm_up + steps):
        noisy = [_with_noise(view, rng, step) for view in views]
        started_ns = time.perf_counter_ns()
        pipeline.process(noisy)
        elapsed_ms = (time.perf_counter_ns() - started_ns) * 1e-6
        if step >= warm_up:
            times_ms[step - warm_up] = elapsed_ms
            for name, value in process_facts().items():
                held[name][step - warm_up] = value
    return times_ms, held


def process_facts() -> dict[str, float]:
    """Tell what this process holds: resident memory in MB, that of it which is no page of a file, open files, threads."""
    _, resident, of_files, *_ = (int(pages) for pages in Path("/proc/self/statm").read_text(encoding="ascii").split())
    page_mb = os.sysconf("SC_PAGE_SIZE") * 1e-6
    return {
        "rss_mb": resident * page_mb,
        "own_mb": (resident - of_files) * page_mb,
        "open_files": float(len(os.listdir("/proc/self/fd"))),
        "threads": float(len(os.listdir("/proc/self/task"))),
    }


def summarize(times_ms: Sequence[float] | Series, held: Mapping[str, Sequence[float] | Series]) -> dict:
    """Give percentiles of the times and slopes of all series.

    Args:
        times_ms: Per step.
        held: Series of what the process held after each step.

    Returns:
        Figures by name; slopes are per 1000 steps, [slope, lowest, highest] with 95 % confidence, and `rss_mb_in_4_h`
        and `own_mb_in_4_h` are what the slopes of memory make of four hours of steps without a pause.
    """
    p50, p99 = (float(value) for value in np.percentile(times_ms, [50, 99]))
    slopes = {name: [1000 * value for value in slope(series)] for name, series in {"ms": times_ms, **held}.items()}
    steps_in_4_h = FOUR_HOURS_S / (float(np.mean(times_ms)) * 1e-3)
    return {
        "p50_ms": p50,
        "p99_ms": p99,
        "p99_over_p50": p99 / p50,
        "first_and_last": {name: [float(series[0]), float(series[-1])] for name, series in held.items()},
        "slopes_per_1000_steps": slopes,
        **{f"{name}_in_4_h": [value / 1000 * steps_in_4_h for value in slopes[name]] for name in ("rss_mb", "own_mb")},
    }


def slope(series: Sequence[float] | Series) -> tuple[float, float, float]:
    """Fit a line to a series.

    Args:
        series: One value per step, at least two per block.

    Returns:
        Slope per step, and the ends of its 95 % confidence interval, from the means of `BLOCKS` blocks.
    """
    length = len(series) // BLOCKS
    means = np.asarray(series[len(series) - length * BLOCKS :]).reshape(BLOCKS, length).mean(axis=1)
    steps = np.arange(BLOCKS) * float(length)
    steps -= steps.mean()
    spread = float(steps @ steps)
    fitted = float(steps @ (means - means.mean())) / spread
    rest = means - means.mean() - fitted * steps
    half = float(stats.t.ppf(0.975, BLOCKS - 2)) * float(np.sqrt(rest @ rest / (BLOCKS - 2) / spread))
    return fitted, fitted - half, fitted + half


def _with_noise(view: CameraView, rng: np.random.Generator, step: int) -> CameraView:
    """The view with fresh noise of two grey levels, a frame later."""
    noise = torch.from_numpy(rng.normal(0.0, 2.0 / 255.0, view.image.shape).astype(np.float32))
    return replace(view, image=(view.image.float() + noise).clamp(0, 1), stamp_ns=view.stamp_ns + step * 100_000_000)
