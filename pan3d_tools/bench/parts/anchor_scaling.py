"""How time and memory of the anchor decoder grow with views and queries, and that they do not with the size of images.

Part of `pan3d bench fast3dis`. The decoder runs by itself on random maps and cameras.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pan3d_core.geometry.transforms import look_at
from pan3d_core.models.fast3dis.anchor_decoder import AnchorDecoder, AnchorSettings, SceneViews, place_in_views
from pan3d_tools.bench.official.live_memory import LiveMemory
from pan3d_tools.bench.official.side_worker import fill_by_name
from pan3d_tools.bench.official.turns import Clock, line_through, take_turns

STRIDES = (28, 14, 7)  # of the maps


@dataclass(frozen=True)
class Sweep:
    """What is varied: one of the three at a time, the others at `fixed`."""

    views: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    queries: tuple[int, ...] = (50, 100, 200, 400, 800)
    sizes: tuple[tuple[int, int], ...] = ((252, 336), (378, 504), (504, 672), (756, 1008))
    fixed: tuple[int, int, tuple[int, int]] = (8, 300, (378, 504))


def decoder_of(settings: AnchorSettings) -> AnchorDecoder:
    torch.manual_seed(0)
    decoder = AnchorDecoder(settings).eval()
    fill_by_name(decoder)
    with torch.no_grad():  # some in sight of the cameras of `scene_of`, some not
        decoder.anchors.uniform_(-0.6, 0.6)
    return decoder


def scene_of(dim: int, views: int, image_hw: tuple[int, int]) -> SceneViews:
    """Random maps of views on an arc that look at the origin from a distance of 1."""
    generator = torch.Generator().manual_seed(0)
    angles = torch.linspace(-1.0, 1.0, views)
    places = torch.stack([angles.sin(), -angles.cos(), torch.full_like(angles, 0.3)], dim=-1)
    cameras = torch.stack([look_at(place, torch.zeros(3)) for place in places])
    maps = tuple(torch.rand(1, views, dim, image_hw[0] // s, image_hw[1] // s, generator=generator) for s in STRIDES)
    focal_center = torch.tensor([0.9, 1.2, 0.5, 0.5]).expand(1, views, 4)
    return SceneViews(maps, torch.rand(1, dim, generator=generator), cameras[None], focal_center)


def run_decoder(decoder: AnchorDecoder, scene: SceneViews, clock: Clock) -> None:
    decoder(scene)
    clock.mark("decoder")


def live_mib(work: Callable[[], object]) -> float:
    """Living tensors at their most that `work` makes."""
    with torch.no_grad(), LiveMemory() as live:
        work()
    return live.peak_bytes / 2**20


def figures(settings: AnchorSettings, cases: dict[str, tuple[int, int, tuple[int, int]]], rounds: int) -> dict[str, dict]:
    """`cpu_s`, `wall_s` and `live_mib` of each case (views, queries, image size); the cases take turns."""
    works, memory = {}, {}
    for name, (views, queries, image_hw) in cases.items():
        work = partial(run_decoder, decoder_of(replace(settings, queries=queries)), scene_of(settings.dim, views, image_hw))
        works[name], memory[name] = work, live_mib(partial(work, Clock()))
    with torch.inference_mode():
        times = take_turns(works, rounds)
    return {name: {**times[name]["decoder"], "live_mib": memory[name]} for name in cases}


def lines(x: Sequence[int], found: dict[str, dict]) -> dict[str, dict[str, float]]:
    """Straight lines through time and memory over `x`."""
    return {kind: line_through(x, [row[kind] for row in found.values()]) for kind in ("cpu_s", "live_mib")}


def spread(found: dict[str, dict]) -> dict[str, float]:
    """Largest over smallest."""
    values = {kind: [row[kind] for row in found.values()] for kind in ("cpu_s", "live_mib")}
    return {kind: max(column) / min(column) for kind, column in values.items()}


def visible_share(settings: AnchorSettings) -> float:
    """Share of anchors and views of `scene_of` where the view sees the anchor before the first layer: not a trivial case."""
    anchors: Tensor = decoder_of(settings).anchors
    return float(place_in_views(anchors[None], scene_of(settings.dim, 8, (84, 112)))[1].float().mean())


def scaling(settings: AnchorSettings, sweep: Sweep, rounds: int) -> dict:
    """By views, by queries and by image size: figures, lines through the first two, spread over the third."""
    views, queries, image_hw = sweep.fixed
    by_views = figures(settings, {f"{v} views": (v, queries, image_hw) for v in sweep.views}, rounds)
    by_queries = figures(settings, {f"{q} queries": (views, q, image_hw) for q in sweep.queries}, rounds)
    by_size = figures(settings, {f"{w}x{h}": (views, queries, (h, w)) for h, w in sweep.sizes}, rounds)
    return {
        "fixed": {"views": views, "queries": queries, "image_hw": list(image_hw)},
        "visible": visible_share(replace(settings, queries=queries)),
        "by_views": {**by_views, "line": lines(sweep.views, by_views)},
        "by_queries": {**by_queries, "line": lines(sweep.queries, by_queries)},
        "by_size": {**by_size, "largest_over_smallest": spread(by_size)},
    }
