"""What refining repairs, one kind of bad labels at a time, and what blending and warping of labels have to do with it.

Part of `pan3d bench refine`. True labels of simulated cells, whose ids mean nothing across views, are spoilt in one way; maps are
refined from them as published, without warping, and with features blended instead of labels. Figures are of held-out views,
means over cells; beside them stands what a variant loses against the published way in the same cell, with its spread.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch

from pan3d_core.config import ModelConfig, PipelineConfig, WorkspaceConfig
from pan3d_core.engines import build_engine
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_reconstruction
from pan3d_core.refine.labels.noise import NO_NOISE, LabelNoise, noisy_labels
from pan3d_core.refine.labels.sources import SceneLabels, labels_of_maps
from pan3d_core.structures import Gaussians
from pan3d_eval.rendered.refined import RefinedViewFigures, label_figures, map_figures
from pan3d_sim.data.refine_scene import RefineScene, RefineSceneSettings, render_refine_scene
from pan3d_tools.bench.refine.quality import VARIANTS, QualitySettings, refined

logger = logging.getLogger("pan3d.bench.refine")

PUBLISHED = "as_published"
COMPARED = ("without_warping", "features_blended")
SHOWN = ("pq", "per_view_pq", "miou")


@dataclass(frozen=True)
class Kind:
    """One thing that is wrong."""

    noise: LabelNoise
    engine_depth: bool = False  # surfaces are what an engine sees in colour images, instead of exact ones


SPARSE = replace(NO_NOISE, unlabelled=0.8)
KINDS = {
    "switched": Kind(NO_NOISE),  # ids alone, as in all others
    "dropped": Kind(replace(NO_NOISE, dropped=0.4)),
    "ragged": Kind(replace(NO_NOISE, ragged_px=2.0)),
    "wrong_class": Kind(replace(NO_NOISE, wrong_class=0.3)),
    "merged_split": Kind(replace(NO_NOISE, merged=0.3, split=0.3)),
    "sparse_objects": Kind(replace(NO_NOISE, unknown=0.8)),  # every object in a fifth of the views
    "sparse_views": Kind(SPARSE),  # a fifth of the views
    "sparse_views_engine_depth": Kind(SPARSE, engine_depth=True),
}


def by_noise(kinds: list[str], num_scenes: int, settings: QualitySettings) -> dict:
    """Figures by kind: of the `labels` that are learnt from, of the map by variant, and of the variants' differences from the
    published one (`lost`: its mean and standard deviation over cells)."""
    height, width = settings.image_hw
    seen = RefineSceneSettings(num_views=settings.num_views, width=width, height=height)
    seeds = range(settings.seed, settings.seed + num_scenes)
    result: dict = {"scenes": num_scenes}
    scenes = [render_refine_scene(seed, seen) for seed in seeds]
    for name in kinds:
        rows = [_figures(scene, KINDS[name], replace(settings, seed=seed)) for scene, seed in zip(scenes, seeds, strict=True)]
        result[name] = {part: _means([row[part] for row in rows]) for part in rows[0]}
        result[name]["lost"] = {variant: _lost(rows, variant) for variant in COMPARED}
        logger.info("%s: %s", name, result[name])
    return result


def _figures(scene: RefineScene, kind: Kind, settings: QualitySettings) -> dict[str, RefinedViewFigures]:
    """Of one cell: `labels` and every variant's map."""
    generator = torch.Generator().manual_seed(settings.seed)
    noisy = noisy_labels(true_labels(scene), kind.noise, generator)
    gaussians = engine_gaussians(scene, settings) if kind.engine_depth else None
    found = {"labels": label_figures(noisy, scene.truth(scene.given))}
    for name in (PUBLISHED, *COMPARED):
        variant, held_out = VARIANTS[name], scene.held_out
        model = refined(scene, noisy, variant, settings, gaussians).model
        found[name] = map_figures(model, scene.views(held_out), scene.truth(held_out), variant.choices)
    return found


def true_labels(scene: RefineScene) -> SceneLabels:
    """Of the given views."""
    seen = zip(scene.views(scene.given), *scene.truth(scene.given), strict=True)
    views = (labels_of_maps(view.image, classes, ids, scene.labels) for view, classes, ids in seen)
    return SceneLabels(scene.labels, tuple(views))


def engine_gaussians(scene: RefineScene, settings: QualitySettings) -> Gaussians:
    """What the default engine sees in the given views without their depth."""
    cameras = [replace(view, depth=None) for view in scene.views(scene.given)]
    workspace = WorkspaceConfig(support_height_m=scene.scene.support_height_m)
    engine = build_engine(ModelConfig(device="cpu", threads=1))
    result = PerceptionPipeline(engine, PipelineConfig(workspace=workspace)).process(cameras)
    surface = SurfaceSettings(max_gaussians=settings.max_gaussians)
    return gaussians_from_reconstruction(result.reconstruction, result.views.images, surface)


def _means(figures: list[RefinedViewFigures]) -> dict[str, float]:
    return {name: float(np.mean([getattr(own, name) for own in figures])) for name in SHOWN}


def _lost(rows: list[dict[str, RefinedViewFigures]], variant: str) -> dict[str, dict[str, float]]:
    """By figure: published minus variant in the same cell."""
    lost = {name: [getattr(row[PUBLISHED], name) - getattr(row[variant], name) for row in rows] for name in SHOWN}
    return {name: {"mean": float(np.mean(values)), "std": float(np.std(values))} for name, values in lost.items()}
