"""Refining on a GPU: what a step costs there, and what a longer run and a changing number of Gaussians are worth.

Part of `pan3d bench refine`. `steps` are those of `refine_attention`'s made-up scenes, in milliseconds of the wall clock with the
device waited for, and the memory that torch allocated at its most; `runs` refine the cell of `refine_quality` with all of its
noisy labels, each for another number of steps, with a fixed and a changing number of Gaussians.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from pan3d_core.refine.density import DensitySettings
from pan3d_core.refine.first_map.initialise import SurfaceSettings
from pan3d_core.refine.model import PanopticMap
from pan3d_core.refine.optimise import Refinement
from pan3d_core.refine.rendering import ATTENTIONS, RenderChoices, render_color
from pan3d_core.refine.run import RefineProgress, SceneSettings, refine_scene
from pan3d_core.refine.schedule import RefineSettings
from pan3d_core.refine.views import view_camera
from pan3d_core.rendering.rasterizer import RasterSettings, chosen_backend
from pan3d_core.structures import CameraView, unit_range
from pan3d_eval.rendered.refined import map_figures
from pan3d_tools.bench.official.turns import line_through
from pan3d_tools.bench.refine.attention import LABELS_WITHOUT_WARP, StepCase, made_up_map, made_up_view
from pan3d_tools.bench.refine.quality import BRIEF, Case, QualitySettings, made_case

WARM_UP, TIMED = 5, 20  # steps


def on_cuda(settings: QualitySettings, counts: list[int], case: StepCase, lengths: list[int]) -> dict:
    """Figures of `steps` by number of Gaussians, and of `runs` by number of steps. `ValueError` without a GPU."""
    if not torch.cuda.is_available():
        raise ValueError("--parts cuda: expected a CUDA device, got none")
    backend = chosen_backend(torch.zeros(1, device="cuda"), RasterSettings())
    result: dict = {"device": torch.cuda.get_device_name(), "rasteriser": backend, "steps": {}, "runs": {}}
    for count in counts:
        own = replace(case, gaussians=count)
        result["steps"][f"{count} Gaussians"] = {name: _step(own, name) for name in ATTENTIONS}
    if len(counts) > 1:
        rows = result["steps"].values()
        result["line"] = {
            name: {kind: line_through(counts, [row[name][kind] for row in rows]) for kind in ("ms", "peak_mib")}
            for name in ATTENTIONS
        }
    cell = made_case(replace(settings, path_views=4))
    for steps in lengths:
        for strategy in ("none", "gsplat"):
            result["runs"][f"{steps} steps, density {strategy}"] = _run(cell, settings, steps, strategy)
    return result


def _step(case: StepCase, attention: str) -> dict[str, float]:
    """Milliseconds of a step, and MiB at the most."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model, view = made_up_map(case).to("cuda"), made_up_view(case).to("cuda")
    refinement = Refinement(model, [view], RefineSettings(choices=RenderChoices(attention=attention)))
    for _ in range(WARM_UP):
        refinement.take_step(LABELS_WITHOUT_WARP)
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(TIMED):
        refinement.take_step(LABELS_WITHOUT_WARP)
    torch.cuda.synchronize()
    return {"ms": 1000 * (time.perf_counter() - begin) / TIMED, "peak_mib": torch.cuda.max_memory_allocated() / 2**20}


def _run(case: Case, settings: QualitySettings, steps: int, strategy: str) -> dict[str, float]:
    """One refinement on the given views, judged on those held out."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    scene = case.scene
    run = RefineSettings(steps=steps, density=DensitySettings(strategy), seed=settings.seed)
    choices = SceneSettings(run, SurfaceSettings(max_gaussians=settings.max_gaussians), device="cuda")
    stages: dict[str, tuple[float, int]] = {}  # when each began, and with how many Gaussians

    def told(now: RefineProgress) -> None:
        if now.stage != "step":
            torch.cuda.synchronize()
            stages[now.stage] = time.perf_counter(), len(now.refinement.model.means)

    result = refine_scene(scene.views(scene.given), case.noisy["given"], choices, progress=told)
    refinement, model = result.refinement, result.refinement.model
    return {
        "gaussians_first": stages["begun"][1],
        "gaussians": len(model.means),
        "queries_left": int(model.alive.sum()),
        "reseeds": refinement.progress.reseeds,
        "seconds": stages[result.ending][0] - stages["begun"][0],
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20,
        **_held_out(case, model),
    }


def _held_out(case: Case, model: PanopticMap) -> dict[str, float]:
    """Figures of the map in views that it never saw, rendered by our own rasteriser: at the end it is on the CPU."""
    scene = case.scene
    model.cpu()
    views = scene.views(scene.held_out)
    figures = map_figures(model, views, scene.truth(scene.held_out), RenderChoices())
    error = torch.stack([_error(model, view) for view in views]).mean()
    return {**{name: float(getattr(figures, name)) for name in BRIEF}, "psnr_db": float(-10 * error.clamp_min(1e-10).log10())}


@torch.no_grad()
def _error(model: PanopticMap, view: CameraView) -> Tensor:
    image = unit_range(view.image)
    intrinsics, cam_from_world = view.calibration()
    camera = view_camera(cam_from_world.float(), intrinsics.float(), view.hw)
    return (render_color(model, camera).image.color.clamp(0, 1) - image).square().mean()
