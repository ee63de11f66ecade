"""`pan3d bench frame`: the whole journey of one view set in one process, from 8-bit images to named, boxed objects.

The same view set is processed again and again after a warm-up; tracking sees it as a standing scene. `pan3d bench ros`
measures the journey between processes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.engines import build_engine
from pan3d_core.language.prompts import name_segments
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import PerceptionResult
from pan3d_core.views.scene_folder import Scene, read_scene
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.data.scene_folders import cell_scene
from pan3d_tools.bench.options import add_device_option, add_engine_options, add_rig_options

TARGETS = {"p50_ms": 1500.0, "p99_over_p50": 2.0, "share_outside_network": 0.35}  # at most


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench frame", description=__doc__)
    add_engine_options(parser)
    add_device_option(parser)
    add_rig_options(parser)
    parser.add_argument("--runtime", default="auto", help="what runs the network, as model.runtime (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: the engine's choice)")
    parser.add_argument("--repeats", type=int, default=50, help="measured view sets (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=5, help="view sets before them (default: %(default)s)")
    parser.add_argument("--scene", type=Path, help="scene folder (default: a cell rendered for it)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the rendered cell (default: %(default)s)")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Measure. Times in ms; `cpu_p50_ms` is processor time, which other work on the machine does not stretch as much as
    wall time (divide by the threads for what an idle machine would need at best)."""
    arguments = parse(argv)
    scene = _scene(arguments)
    config = PipelineConfig(
        model=ModelConfig(
            arguments.engine, arguments.weights, arguments.device, runtime=arguments.runtime, threads=arguments.threads
        )
    )
    config = replace(config, workspace=replace(config.workspace, support_height_m=scene.support_height_m))
    pipeline = PerceptionPipeline(build_engine(config.model), config)
    images = [np.ascontiguousarray((view.image * 255).round().byte().permute(1, 2, 0).numpy()) for view in scene.views]
    for _ in range(arguments.warm_up):
        _journey(pipeline, scene, images)
    walls, cpus, stages = [], [], []
    for _ in range(arguments.repeats):
        wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        result, outer = _journey(pipeline, scene, images)
        walls.append((time.perf_counter_ns() - wall_ns) * 1e-6)
        cpus.append((time.process_time_ns() - cpu_ns) * 1e-6)
        stages.append({**outer, **{name: ms for name, ms in result.timings_ms.items() if name != "total"}})
    return {
        "model": arguments.engine,
        "runtime": "torch" if pipeline.engine.facts.runtime is None else pipeline.engine.facts.runtime().name,
        "views": [list(image.shape[:2]) for image in images],
        "network_hw": list(result.views.hw),
        "objects": len(result.panoptic.segments),
        "threads": torch.get_num_threads(),
        "repeats": arguments.repeats,
        **summarize(walls, cpus, stages),
        "targets_at_most": TARGETS,
    }


def summarize(walls: list[float], cpus: list[float], stages: list[dict[str, float]]) -> dict:
    """Percentiles of the whole journey, medians of its stages and the share that is not the network's."""
    p50, p90, p99 = (float(value) for value in np.percentile(walls, [50, 90, 99]))
    medians = {name: statistics.median(item[name] for item in stages) for name in stages[0]}
    network = statistics.median(item["engine"] / wall for item, wall in zip(stages, walls))
    return {
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "p99_over_p50": p99 / p50,
        "cpu_p50_ms": statistics.median(cpus),
        "stages_p50_ms": medians,
        "share_outside_network": 1.0 - network,
    }


def _journey(pipeline: PerceptionPipeline, scene: Scene, images: list[np.ndarray]) -> tuple[PerceptionResult, dict[str, float]]:
    """8-bit images to result and display names; what surrounds the pipeline is timed here."""
    start = time.perf_counter_ns()
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in images]  # bytes, as from a camera
    views = [replace(view, image=tensor) for view, tensor in zip(scene.views, tensors)]
    converted = time.perf_counter_ns()
    result = pipeline.process(views)
    processed = time.perf_counter_ns()
    name_segments(result.panoptic)
    return result, {"convert": (converted - start) * 1e-6, "display names": (time.perf_counter_ns() - processed) * 1e-6}


def _scene(arguments: argparse.Namespace) -> Scene:
    if arguments.scene is not None:
        scene = read_scene(arguments.scene)
    else:
        with RobotCell(arguments.seed, num_cameras=arguments.cameras) as cell:
            scene = cell_scene(cell)
    return scene if arguments.depth else scene.without_depth()
