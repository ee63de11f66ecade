"""What refining makes of a simulated cell: quality of the map against that of the labels it was made from.

Part of `pan3d bench refine`. Labels come from a feed-forward engine that sees colour alone, and `label_noise` makes them worse;
the first Gaussians come from the views' rendered depth. Maps and labels are judged on the views that were given and on others
that were held out, maps also along a longer journey of the same camera through the same cell.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_core.refine.first_map.initialise import SurfaceSettings
from pan3d_core.refine.labels.noise import LabelNoise, noisy_labels
from pan3d_core.refine.labels.sources import EngineLabelSettings, SceneLabels, in_label_space, labels_from_engine
from pan3d_core.refine.losses import PANOPTICSPLATTING_WEIGHTS
from pan3d_core.refine.optimise import Refinement
from pan3d_core.refine.rendering import RenderChoices
from pan3d_core.refine.run import FirstSurfaces, RefineProgress, SceneSettings, refine_scene
from pan3d_core.refine.schedule import RefineSettings
from pan3d_core.structures import Gaussians
from pan3d_eval.rendered.refined import RefinedViewFigures, label_figures, map_figures
from pan3d_sim.data.refine_scene import RefineScene, RefineSceneSettings, render_refine_scene
from pan3d_tools.bench.parts.rasterize import timed

logger = logging.getLogger("pan3d.bench.refine")

GAIN_AT_LEAST, MINUTES_AT_MOST = 0.10, 10.0  # asked of strict PQ over the labels', in that time on two cores
BRIEF = ("pq", "per_view_pq", "miou", "identity_switches")  # where many maps are compared
SHOWN = (
    "pq", "per_view_pq", "miou", "labelled", "mean_coverage", "identity_switches", "identity_matches", "loose_pq"
)  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One way to refine."""

    choices: RenderChoices
    warp: bool = True


VARIANTS = {
    "as_published": Variant(RenderChoices()),
    "features_blended": Variant(RenderChoices(blending="features")),
    "without_warping": Variant(RenderChoices(), warp=False),
    "global_attention": Variant(RenderChoices(attention="global")),
}


@dataclass(frozen=True)
class QualitySettings:
    """One comparison."""

    seed: int = 1000
    num_views: int = 24  # every fourth is held out
    image_hw: tuple[int, int] = (120, 160)
    path_views: int = 100
    noise: float = 1.0  # times the strengths of `LabelNoise`
    steps: int = 600
    minutes: float | None = None  # instead of steps
    max_gaussians: int = 60_000
    device: str = "cpu"  # of the refinements; labels and figures are made on the CPU


@dataclass(frozen=True)
class Case:
    """A cell with labels."""

    scene: RefineScene
    journey: RefineScene  # the same cell seen more often; its views are all for judging
    found: dict[str, SceneLabels]  # by the engine, of the `given` and the `held_out` views
    noisy: dict[str, SceneLabels]  # what noise makes of them


def made_case(settings: QualitySettings) -> Case:
    """Render the cell and label its views."""
    height, width = settings.image_hw
    seen = RefineSceneSettings(num_views=settings.num_views, width=width, height=height)
    scene = render_refine_scene(settings.seed, seen)
    journey = render_refine_scene(settings.seed, replace(seen, num_views=settings.path_views, hold_out_every=0))
    engine = build_engine(ModelConfig(device="cpu", threads=1))
    generator = torch.Generator().manual_seed(settings.seed)
    wanted = EngineLabelSettings(classes=scene.labels.names)
    found, noisy = {}, {}
    for name in ("given", "held_out"):
        views = [replace(view, depth=None) for view in scene.views(getattr(scene, name))]
        found[name] = in_label_space(labels_from_engine(engine, views, scene.scene.support_height_m, wanted), scene.labels)
        noisy[name] = noisy_labels(found[name], LabelNoise().times(settings.noise), generator)
    return Case(scene, journey, found, noisy)


def refined(
    scene: RefineScene, noisy: SceneLabels, variant: Variant, settings: QualitySettings, gaussians: Gaussians | None = None
) -> Refinement:
    """From the given views with their noisy labels to a refined map. `gaussians` to begin with: nothing knows the depth then."""
    cameras = scene.views(scene.given)
    if gaussians is not None:
        cameras = tuple(replace(view, depth=None) for view in cameras)
    weights = PANOPTICSPLATTING_WEIGHTS if variant.warp else replace(PANOPTICSPLATTING_WEIGHTS, warp=0.0)
    run = RefineSettings(
        steps=settings.steps, minutes=settings.minutes, weights=weights, choices=variant.choices, seed=settings.seed
    )
    surface = SurfaceSettings(max_gaussians=settings.max_gaussians)
    choices = SceneSettings(run, surface, device=settings.device, map_seed=0)
    first = FirstSurfaces(gaussians)
    refinement = refine_scene(cameras, noisy, choices, first=first, progress=_logged).refinement
    refinement.model.cpu()
    return refinement


def figures_of_labels(case: Case, labels: dict[str, SceneLabels]) -> dict[str, dict]:
    """Of `given` and `held_out` views."""
    return {name: _shown(label_figures(scene, case.scene.truth(getattr(case.scene, name)))) for name, scene in labels.items()}


def figures_of_variant(case: Case, variant: Variant, settings: QualitySettings) -> dict:
    """Refine and judge: `given`, `held_out`, `journey`, and what it cost."""
    refinement, cost = timed(lambda: refined(case.scene, case.noisy["given"], variant, settings))
    model, scene, choices = refinement.model, case.scene, variant.choices
    result: dict = {
        name: _shown(map_figures(model, scene.views(chosen), scene.truth(chosen), choices))
        for name, chosen in (("given", scene.given), ("held_out", scene.held_out))
    }
    journey = case.journey
    result["journey"] = _shown(map_figures(model, journey.views(journey.given), journey.truth(journey.given), choices))
    result["cost"] = {
        "wall_minutes": cost["wall_s"] / 60,
        "cpu_minutes": cost["cpu_s"] / 60,
        "peak_mib": cost["peak_mib"],
        "steps": refinement.progress.step,
        "gaussians": len(model.means),
        "queries_left": int(model.alive.sum()),
        "reseeds": refinement.progress.reseeds,
    }
    return result


def quality(names: list[str], settings: QualitySettings) -> dict:
    """Labels and the named variants on one cell; `gain` is strict PQ on the given views over that of the noisy labels."""
    case = made_case(settings)
    result: dict = {
        "objects": len(case.scene.scene.known_truth().objects),
        "asked": {"gain_at_least": GAIN_AT_LEAST, "minutes_at_most": MINUTES_AT_MOST},
        "labels_of_the_engine": figures_of_labels(case, case.found),
        "noisy_labels": figures_of_labels(case, case.noisy),
    }
    for name in names:
        own = figures_of_variant(case, VARIANTS[name], settings)
        own["gain"] = own["given"]["pq"] - result["noisy_labels"]["given"]["pq"]
        logger.info("%s: %s", name, own)
        result[name] = own
    return result


def _shown(figures: RefinedViewFigures) -> dict:
    return {name: getattr(figures, name) for name in SHOWN}


def _logged(now: RefineProgress) -> None:
    report = now.report
    if now.stage == "step" and report.step % 50 == 0:
        logger.info("step %d: %s, %d queries", report.step, report.losses, report.queries)
