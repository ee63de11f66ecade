"""Scenes refined from posed views with depth and 2D labels, judged as the paper of PanopticSplatting does, one at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.refine.labels.files import labels_from_files
from pan3d_core.refine.labels.sources import SceneLabels, labels_from_engine, labels_of_maps, maps_of_labels, things_first
from pan3d_core.refine.run import SceneSettings, published_settings, refine_scene
from pan3d_core.structures import CameraView, ViewBatch
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.sampling import sample_at_network
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.published.protocol import MapSetting
from pan3d_eval.published.scenes import require_views
from pan3d_eval.rendered.refined import map_figures
from pan3d_eval.rendered.true_views import ClassList, region_truth

TRUTH = "truth"  # in the place of a folder: the truth as 2D labels, ids of every view on their own


@dataclass(frozen=True)
class MapScores:
    """One scene."""

    name: str
    loose_pq: float
    loose_sq: float
    loose_rq: float
    mean_coverage: float
    pq: float  # strict, which the paper does not give
    miou: float


def map_score_figures(scenes: Sequence[MapScores]) -> dict[str, float]:
    """Means over the scenes that have each."""
    names = [item.name for item in fields(MapScores) if item.name != "name"]
    values = {name: [value for scene in scenes if not math.isnan(value := getattr(scene, name))] for name in names}
    return {name: sum(known) / len(known) if known else math.nan for name, known in values.items()}


@dataclass(frozen=True)
class MapEvaluator:
    """From a scene to its `MapScores`."""

    setting: MapSetting
    size: tuple[int, int]  # width and height of the views, which are cut to its shape
    labels: str  # folder with a folder of labels for every scene, `TRUTH`, or empty: the engine's
    engine: Engine | None
    device: str = "auto"

    def measure(self, scene: Scene, scene_name: str) -> MapScores:
        """Refine a scene and compare. Raises `ValueError` naming scene and field where something is missing."""
        require_views(scene, self.setting.min_views)
        if all(view.depth is None for view in scene.views):
            raise ValueError(f"scene {scene.name}: depth: expected it of one view at least, for the first Gaussians, got none")
        width, height = self.size
        batch = preprocess(scene.views, PreprocessConfig(height=height, width=width, mode="cover"))
        views = views_of_batch(batch, scene.views)
        labels = self._labels(scene, batch, views, scene_name)
        model = refine_scene(views, labels, self._settings()).refinement.model
        truth = region_truth(scene, batch, ClassList(labels.labels))
        found = map_figures(model, views, (truth.semantic_id, truth.instance_id))
        return MapScores(
            scene.name, found.loose_pq, found.loose_sq, found.loose_rq, found.loose_mean_coverage, found.pq, found.miou
        )

    def _settings(self) -> SceneSettings:
        settings = published_settings(self.setting.steps, self.device)
        return replace(
            settings,
            run=replace(settings.run, density=replace(settings.run.density, strategy=self.setting.density)),
            surface=replace(settings.surface, max_gaussians=self.setting.max_gaussians),
        )

    def _labels(self, scene: Scene, batch: ViewBatch, views: Sequence[CameraView], scene_name: str) -> SceneLabels:
        """2D labels at the size of the batch."""
        if self.engine is not None:
            return labels_from_engine(self.engine, [replace(view, depth=None) for view in views])
        if self.labels == TRUTH:
            classes = ClassList(things_first(ClassList.of_scene(scene).labels))
            truth = region_truth(scene, batch, classes)
            maps = zip(views, truth.semantic_id, truth.instance_id, strict=True)
            made = tuple(labels_of_maps(view.image, kinds, ids, classes.labels) for view, kinds, ids in maps)
            return SceneLabels(classes.labels, made)
        return resized_labels(labels_from_files(Path(self.labels, scene_name), scene.views), batch)


def views_of_batch(batch: ViewBatch, originals: Sequence[CameraView]) -> list[CameraView]:
    """The views of a batch as cameras of their own, at its size; those without depth have none."""
    depth = [None] * len(originals) if batch.depth is None else list(batch.depth)
    assert batch.intrinsics is not None and batch.cam_from_world is not None, "data sets have cameras"
    made = zip(originals, batch.images, batch.intrinsics, batch.cam_from_world, depth, strict=True)
    return [
        replace(view, image=image, intrinsics=intrinsics, cam_from_world=pose, depth=own if view.depth is not None else None)
        for view, image, intrinsics, pose, own in made
    ]


def resized_labels(scene: SceneLabels, batch: ViewBatch) -> SceneLabels:
    """Labels of the original images at the size of a batch; what its pictures have beside the originals is void."""

    def at_size(values: torch.Tensor, mapping: torch.Tensor) -> torch.Tensor:
        return sample_at_network(values, mapping, batch.hw)

    made = []
    for view, image, mapping in zip(scene.views, batch.images, batch.network_from_original, strict=True):
        classes, ids = maps_of_labels(view)
        made.append(labels_of_maps(image, at_size(classes + 1, mapping) - 1, at_size(ids, mapping), scene.labels))
    return SceneLabels(scene.labels, tuple(made))


def map_evaluator(config: ModelConfig, setting: MapSetting, size: tuple[int, int], labels: str) -> MapEvaluator:
    """What refines and judges; builds the engine where labels are its own. Errors as `build_engine`."""
    engine = None if labels else build_engine(config)
    return MapEvaluator(setting, size, labels, engine, config.device)
