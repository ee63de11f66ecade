"""`pan3d bench eps3d`: EPS3D by stages, from images to panoptic Gaussians and to objects.

* `mini`: the engine `pan3d-mini-eps3d` on one rendered scene, by number of views: `network` (from images to Gaussians), of it
  `voxels` (averages over voxels, done once more), `rendering` of 67 channels in all views, and `readout` of objects by cells.
  `x_mini` is the processor time over that of a whole call of `pan3d-mini` on the same views in the same run, so it compares
  machines, loads and versions. `pixels` is the published read-out of the same rendering, once. `stored_bytes_per_gaussian`
  counts the tensors of the Gaussians.
* `cuda`: the network of the published size on a CUDA device, with random weights but cameras that see something: `geometry`
  (cameras and depth) and the whole `network` (with Gaussians) recorded as CUDA graphs, as the engine runs them, and `launched`
  kernel by kernel; `rendering` of 67 channels in all views, `readout` of objects by cells, and `to_objects`, everything together.
  `x_floor` is the time over the least that `bench/cost/eps3d.py` counts for that device.

`cpu_s` is the fair time on a machine that does other work beside.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.config import ModelConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.engines.eps3d_mini import Eps3dMiniEngine
from pan3d_core.engines.mini import EPS3D, MINI
from pan3d_core.engines.parts.gaussian_objects import rendered_objects
from pan3d_core.engines.parts.mini_inputs import mini_inputs
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.language.text_space import TextSpace
from pan3d_core.models.eps3d.gaussians import VoxelAverage, voxel_grid
from pan3d_core.models.eps3d.network import Eps3d, Eps3dOutput, PanopticRendering, eps3d_1b, render_panoptic
from pan3d_core.models.eps3d.recorded import RecordedEps3d
from pan3d_core.models.mini.eps3d import Eps3dMiniOutputs, Eps3dMiniSettings
from pan3d_core.structures import Gaussians, ViewBatch, present
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.scene_folder import Scene
from pan3d_tools.bench.cost.da3 import Cost, floor_s
from pan3d_tools.bench.cost.eps3d import eps3d_cost, geometry_cost
from pan3d_tools.bench.networks.fast3dis import seconds_on
from pan3d_tools.bench.official.turns import Clock, take_turns
from pan3d_tools.bench.parts.clustering import scenes_with

PARTS = ("mini", "cuda")
OFFICIAL_HW = (448, 448)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench eps3d", description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument("--views", type=int, nargs="+", default=[2, 8], help="numbers of views (default: %(default)s)")
    parser.add_argument("--weights", default="", help=f"checkpoint of {EPS3D} (default: the embedded one)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns after one that warms up (default: %(default)s)")
    parser.add_argument("--no-pixels", action="store_true", help="leave out the published read-out, which takes minutes")
    parser.add_argument("--work", type=Path, default=Path("out/bench"), help="folder for the scene (default: %(default)s)")
    arguments = parser.parse_args(argv)
    for name in ("views", "threads", "rounds"):
        values = getattr(arguments, name)
        if min(values if isinstance(values, list) else [values]) < 1:
            parser.error(f"--{name}: expected at least 1, got {values}")
    return arguments


def views_of(scene: Scene, count: int, engine: Engine) -> ViewBatch:
    """The first `count` views of a scene as the engine takes them."""
    return preprocess(scene.views[:count], engine.facts.preprocess, scene.support_height_m)


def stages(engine: Eps3dMiniEngine, views: ViewBatch, clock: Clock) -> None:
    """One call of `pan3d-mini-eps3d`, stage by stage."""
    inputs = mini_inputs(views, views.images.device)
    outputs = engine.network(inputs)
    clock.mark("network")
    rendering = engine.render(outputs, inputs)
    clock.mark("rendering")
    points = unproject_depth(outputs.geometry.depth()[0], inputs.intrinsics[0], outputs.cam_from_scene[0])
    rendered_objects(rendering, text_space_of(engine), "cells", points)
    clock.mark("readout")


def text_space_of(engine: Engine) -> TextSpace:
    """In which the engine's Gaussians are named."""
    space = engine.facts.text_space
    if space is None:
        raise ValueError("engine: expected one whose Gaussians have semantics, got another")
    return space


def whole_call(engine: Engine, views: ViewBatch, clock: Clock) -> None:
    engine(views)
    clock.mark("call")


def average_voxels(outputs: Eps3dMiniOutputs, points: Tensor, clock: Clock) -> None:
    """The averages over voxels of the default size of all that a pixel has, weighted equally."""
    maps, voxel_size = outputs.maps, Eps3dMiniSettings().voxel_size_m
    rows = [part[0].movedim(1, -1).flatten(0, 2) for part in (maps.raw, maps.semantics, maps.instances)]
    grid = voxel_grid(points, voxel_size)
    average = VoxelAverage(len(grid), (3, *(part.shape[1] for part in rows)), points)
    average.add(grid.voxel_of_point, points.new_zeros(len(points)), points, *rows)
    average.averages()
    clock.mark("voxels")


def stored_bytes(gaussians: Gaussians) -> int:
    return sum(value.nbytes for value in vars(gaussians).values() if value is not None)


def of_views(engine: Eps3dMiniEngine, baseline: Engine, scene: Scene, count: int, arguments: argparse.Namespace) -> dict:
    """Figures of one number of views."""
    views = views_of(scene, count, engine)
    inputs = mini_inputs(views, views.images.device)
    outputs = engine.network(inputs)
    points = unproject_depth(outputs.geometry.depth(), inputs.intrinsics, outputs.cam_from_scene).reshape(-1, 3)
    works: dict[str, Callable[[Clock], object]] = {
        EPS3D: partial(stages, engine, views),
        MINI: partial(whole_call, baseline, views),
        "voxels": partial(average_voxels, outputs, points),
    }
    times = take_turns(works, arguments.rounds)
    parts = {**times[EPS3D], "voxels": times["voxels"]["voxels"]}
    whole = times[MINI]["whole"]
    if not arguments.no_pixels:
        rendering = engine.render(outputs, inputs)
        parts["pixels"] = take_turns({"pixels": partial(_read_pixels, rendering, text_space_of(engine))}, 1)["pixels"]["read"]
    gaussians = outputs.gaussians[0]
    return {
        "gaussians": len(gaussians),
        "stored_bytes_per_gaussian": stored_bytes(gaussians) / max(1, len(gaussians)),
        MINI: whole,
        **{name: {**seconds, "x_mini": seconds["cpu_s"] / whole["cpu_s"]} for name, seconds in parts.items()},
    }


def _read_pixels(rendering: PanopticRendering, text_space: TextSpace, clock: Clock) -> None:
    rendered_objects(rendering, text_space, "pixels")
    clock.mark("read")


def with_cameras(model: Eps3d) -> Eps3d:
    """`model`, whose camera head answers without looking: all views from one place, 1 radian wide. Random weights give lines."""
    head = model.vggt.camera_head
    last = head.pose_branch.fc2
    last.weight.zero_()
    last.bias.copy_(last.bias.new_tensor([0, 0, 0, 0, 0, 0, 1, 1, 1]) / head.iterations)
    return model


def official(model: Eps3d, device: torch.device, views: Sequence[int], image_hw: tuple[int, int], rounds: int) -> dict:
    """Seconds, memory and times over the floor of the network's stages, by number of views; random images."""
    model = with_cameras(model.to(device).eval())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    dtype = torch.bfloat16 if device.type == "cuda" else None
    expand = model.text_decoder.expand
    space = TextSpace(expand.weight.flatten(1), present("TextDecoder.expand.bias", expand.bias), encoder="lseg")
    rows = {}
    for count in views:
        images = torch.rand(1, count, 3, *image_hw, device=device)
        works: dict[str, Callable[[], object]] = {}
        works["geometry launched"] = partial(model, images, parts=(), aggregator_dtype=dtype)
        works["network launched"] = network = partial(model, images, aggregator_dtype=dtype)
        if device.type == "cuda":
            recorded = RecordedEps3d(model, dtype)
            works["geometry"], network = partial(recorded.geometry, images), partial(recorded, images)
            works["network"] = network
        output = network()
        rendering = _rendered(output, image_hw)
        works["rendering"] = partial(_rendered, output, image_hw)
        works["readout"] = partial(rendered_objects, rendering, space)
        works["to_objects"] = partial(_to_objects, network, image_hw, space)
        row: dict[str, dict[str, float | str]] = {stage: {**seconds_on(device, work, rounds)} for stage, work in works.items()}
        of_geometry, whole = (floor_s(cost(model, count, image_hw), name) for cost in (_geometry_cost, eps3d_cost))
        for stage in row.keys() - {"rendering", "readout"}:
            least = of_geometry if "geometry" in stage else whole
            wall_s = float(row[stage]["wall_s"])
            row[stage]["x_floor"] = wall_s / least if least else f"no floor known for {name}"
        objects = rendered_objects(rendering, space)
        rows[f"{count} views"] = {"gaussians": len(output.gaussians[0]), "objects": len(objects.certainty), **row}
    return rows


def _rendered(output: Eps3dOutput, image_hw: tuple[int, int]) -> PanopticRendering:
    cameras, intrinsics = (values[0] for values in output.geometry.cameras())
    return render_panoptic(output.gaussians[0], cameras, intrinsics, image_hw)


def _to_objects(network: Callable[[], Eps3dOutput], image_hw: tuple[int, int], space: TextSpace) -> object:
    return rendered_objects(_rendered(network(), image_hw), space)


def _geometry_cost(model: Eps3d, views: int, image_hw: tuple[int, int]) -> Cost:
    return geometry_cost(model.vggt, views, image_hw)


@torch.inference_mode()
def run(argv: list[str]) -> dict:
    """Measure the parts asked for; see the head of this module."""
    arguments = parse(argv)
    before, load = torch.get_num_threads(), [round(os.getloadavg()[0], 1)]
    torch.set_num_threads(arguments.threads)
    result: dict = {"threads": arguments.threads}
    try:
        if "mini" in arguments.parts:
            (scene,) = scenes_with(max(arguments.views), 1, arguments.work)
            engine, baseline = (
                build_engine(ModelConfig(name=name, device="cpu", threads=arguments.threads, weights=weights))
                for name, weights in ((EPS3D, arguments.weights), (MINI, ""))
            )
            if not isinstance(engine, Eps3dMiniEngine):
                raise ValueError(f"--weights: expected a checkpoint of {EPS3D}, got another")
            result["mini"] = {f"{count} views": of_views(engine, baseline, scene, count, arguments) for count in arguments.views}
        if "cuda" in arguments.parts:
            result["cuda"] = "not measured: no CUDA device"
            if torch.cuda.is_available():
                device = torch.device("cuda")
                with device:
                    model = eps3d_1b()
                found = official(model, device, arguments.views, OFFICIAL_HW, arguments.rounds)
                result["cuda"] = {"device": torch.cuda.get_device_name(device), **found}
    finally:
        torch.set_num_threads(before)
    return {**result, "load": [*load, round(os.getloadavg()[0], 1)]}
