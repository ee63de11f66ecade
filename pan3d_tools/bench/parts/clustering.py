"""`pan3d bench clustering`: FAST3DIS against a clustering of the same pixel features, by number of views.

Both run the same network on the same scenes; one reads objects from its queries, the other by HDBSCAN on the features that the
masks are read from (at stride 4: a quarter of the pixels that the queries answer for). Times are from images to instances.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from pan3d_core.config import ModelConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.engines.mini import FAST3DIS
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.baselines import BASELINES
from pan3d_eval.datasets.scenes import list_scenes
from pan3d_eval.metrics.average_precision import SceneOverlaps, instance_ap, measure_overlaps

logger = logging.getLogger("pan3d.bench.clustering")

FIRST_SEED = 1_700_000  # held-out seeds; scenes of many cameras of their own
MIN_POINTS = 10  # pixels at half resolution over all views; smaller objects do not count


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench clustering", description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, nargs="+", default=[4, 8, 16, 32], help="numbers of views (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=3, help="scenes for each (default: %(default)s)")
    parser.add_argument("--weights", default="", help=f"checkpoint of {FAST3DIS} (default: the embedded one)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the network (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=Path("out/bench"), help="folder for the scenes (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if min(*arguments.views, arguments.scenes) < 1:
        parser.error(f"--views, --scenes: expected at least 1, got {arguments.views}, {arguments.scenes}")
    return arguments


def scenes_with(views: int, count: int, work: Path) -> list[Scene]:
    """`count` rendered scenes of `views` cameras each; kept in `work` for the next time."""
    folder = work / f"scenes_{views}_cameras"
    arguments = ["--seed", str(FIRST_SEED), "--count", str(count), "--cameras", str(views), "--shard-size", "1"]
    command = [sys.executable, "-m", "pan3d_tools.cli", "sim", "render", "--shards", *arguments, "--out", str(folder)]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        raise ValueError(f"scenes: expected the robot cell to render {folder}; see above (it needs the extra [sim])")
    return [reference.read().without_depth() for reference in list_scenes([folder], limit=count)]


def measure(engine: Engine, scene: Scene, views: int) -> tuple[float, float, SceneOverlaps]:
    """Wall and processor seconds of one call, and what its instances cover of the true ones."""
    batch = preprocess(scene.views[:views], engine.facts.preprocess, scene.support_height_m)
    wall, processor = time.perf_counter(), time.process_time()
    _, instances = engine(batch)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    true_ids = torch.stack(list(scene.known_truth().instance_ids[:views]))[:, 1::2, 1::2]
    size = (true_ids.shape[-2], true_ids.shape[-1])
    masks = F.interpolate(instances.mask_logits.float(), size=size, mode="bilinear") > 0
    return wall, processor, measure_overlaps(masks, instances.scores, true_ids, min_points=MIN_POINTS)


def summary(measured: Sequence[tuple[float, float, SceneOverlaps]]) -> dict[str, float]:
    """Medians over the scenes, and the AP of all of them."""
    found = instance_ap([overlaps for _, _, overlaps in measured], min_points=MIN_POINTS)
    return {
        "wall_s": statistics.median(wall for wall, _, _ in measured),
        "cpu_s": statistics.median(processor for _, processor, _ in measured),
        "ap50": found.ap50,
        "ap25": found.ap25,
    }


def run(argv: list[str]) -> dict:
    """For each number of views: `queries`, `clustering`, and how many times as long the second takes (`times`)."""
    arguments = parse(argv)
    config = ModelConfig(name=FAST3DIS, weights=arguments.weights, threads=arguments.threads)
    engines = {"queries": build_engine(config), "clustering": BASELINES["features_hdbscan"](config)}
    scenes = scenes_with(max(arguments.views), arguments.scenes, arguments.work)
    for engine in engines.values():
        measure(engine, scenes[0], min(arguments.views))  # the first call of a process is slower
    result: dict = {"scenes": len(scenes), "threads": arguments.threads, "load": round(os.getloadavg()[0], 1)}
    for views in arguments.views:
        logger.info("%d views", views)
        own = {name: summary([measure(engine, scene, views) for scene in scenes]) for name, engine in engines.items()}
        ratio = own["clustering"]["cpu_s"] / max(own["queries"]["cpu_s"], math.ulp(1.0))
        result[f"{views} views"] = {**own, "times": ratio}
    return result
