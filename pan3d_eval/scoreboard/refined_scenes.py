"""Scenes of the scoreboard's section on refined scenes: their files, and one scene from its 2D labels to judged maps.

A scene folder as `views.scene_folder` has it, beside it in `TRUTH_FOLDER` the true classes and objects of every view as a folder
of labels (`refine.labels.files`). These are at once the truth and the best labels that a 2D model could give: ids mean nothing
across views.
Every fourth view is held out: a map is refined with the others and judged on both.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.config import ModelConfig, PipelineConfig, WorkspaceConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_reconstruction
from pan3d_core.refine.labels.files import read_label_folder, write_label_folder
from pan3d_core.refine.labels.noise import LabelNoise, noisy_labels
from pan3d_core.refine.labels.sources import (
    EngineLabelSettings,
    SceneLabels,
    in_label_space,
    labels_from_engine,
    labels_of_maps,
    maps_of_labels,
)
from pan3d_core.refine.model import PanopticMap
from pan3d_core.refine.run import FirstSurfaces, SceneSettings, refine_scene
from pan3d_core.refine.schedule import RefineSettings
from pan3d_core.structures import CameraView, Gaussians
from pan3d_core.views.scene_folder import Scene, read_scene, write_scene
from pan3d_eval.rendered.refined import PanopticMaps, RefinedViewFigures, label_figures, map_figures

TRUTH_FOLDER = "truth"
PARTS = ("given", "held_out")  # of a scene's views
MIN_VIEWS = 4  # the fewest of which one is held out


@dataclass(frozen=True)
class RefinedProtocol:
    """How every scene is refined and judged."""

    steps: int = 300  # assumed: one view each; the paper's 30,000 need a GPU
    max_gaussians: int = 40_000  # assumed
    hold_out_every: int = 4  # assumed: the last of so many views is for judging alone
    seed: int = 0  # of the noise and of the refinement

    def __post_init__(self) -> None:
        if self.hold_out_every < 2:
            raise ValueError(f"RefinedProtocol.hold_out_every: expected at least 2, got {self.hold_out_every}")

    def settings(self) -> RefineSettings:
        """Of the refinement."""
        return RefineSettings(steps=self.steps, seed=self.seed)

    def surface(self) -> SurfaceSettings:
        """Of the first Gaussians."""
        return SurfaceSettings(max_gaussians=self.max_gaussians)

    def rows_of(self, part: str, num_views: int) -> list[int]:
        """Which of the views are of this part."""
        held_out = range(self.hold_out_every - 1, num_views, self.hold_out_every)
        return list(held_out) if part == "held_out" else [index for index in range(num_views) if index not in held_out]


@dataclass(frozen=True)
class LabelSource:
    """Where 2D labels and first Gaussians come from: the truth and depth images, or an engine that sees colour alone."""

    engine: str = ""  # name of an engine; empty: true labels
    noise: LabelNoise | None = None  # put into true labels


@dataclass(frozen=True)
class RefinedSceneReference:
    """Where a scene lies that `write_refined_scene` wrote; small enough to be handed to another process."""

    path: Path

    @property
    def name(self) -> str:
        """Name for messages."""
        return self.path.name

    def read(self) -> tuple[Scene, SceneLabels]:
        """The scene and the true labels of its views. Errors as `read_scene` and `read_label_folder`; `ValueError` for a scene
        without true ids, depth or support height, and for fewer than `MIN_VIEWS` views."""
        scene = read_scene(self.path)
        if scene.truth is None or scene.support_height_m is None or any(view.depth is None for view in scene.views):
            raise ValueError(f"scene {self.name}: expected true ids, depth of every view and the support's height, got less")
        if len(scene.views) < MIN_VIEWS:
            raise ValueError(f"scene {self.name}: expected at least {MIN_VIEWS} views, got {len(scene.views)}")
        return scene, read_label_folder(self.path / TRUTH_FOLDER, scene.views)


@dataclass(frozen=True)
class RefinedScores:
    """One scene: figures of labels and map by `PARTS`, and what the map cost."""

    name: str
    labels: dict[str, RefinedViewFigures]
    map: dict[str, RefinedViewFigures]
    num_gaussians: int
    processor_minutes: float  # first Gaussians, with the engine that makes them, and refinement; without making the labels
    peak_memory_mb: float  # high-water mark of the process up to this scene


def write_refined_scene(folder: Path, scene: Scene, semantic_id: Tensor, labels: LabelSpace) -> RefinedSceneReference:
    """Write a scene with the true labels of its views.

    Args:
        folder: Is made where needed.
        scene: V views with ids in its truth.
        semantic_id: (V, H, W) int64, the true classes in `labels`, -1 = void.
        labels: Things first.

    Returns:
        Where it lies.

    Raises:
        ValueError: The scene has no truth, or the maps do not fit its views.
    """
    if scene.truth is None or len(semantic_id) != len(scene.views):
        got = "no truth" if scene.truth is None else f"{len(semantic_id)} maps for {len(scene.views)} views"
        raise ValueError(f"scene, semantic_id: expected true ids and one map of classes per view, got {got}")
    views = tuple(
        labels_of_maps(view.image, classes, ids, labels)
        for view, classes, ids in zip(scene.views, semantic_id, scene.truth.instance_ids, strict=True)
    )
    write_scene(folder, scene)
    names = [f"{index:02d}_{view.camera}" for index, view in enumerate(scene.views)]  # as scene folders name their images
    write_label_folder(folder / TRUTH_FOLDER, SceneLabels(labels, views), names)
    return RefinedSceneReference(folder)


@dataclass
class RefinedSceneEvaluator:
    """A worker for `execution.run_items`: a reference to one scene in, its `RefinedScores` out. Raises `ValueError` as reading
    and refining do, and for an engine whose result is not in the frame of the cameras."""

    source: LabelSource
    protocol: RefinedProtocol
    engine: Engine | None  # of `source`

    def __call__(self, reference: RefinedSceneReference) -> RefinedScores:
        """Labels, refinement, figures."""
        scene, true_labels = reference.read()
        rows = {part: self.protocol.rows_of(part, len(scene.views)) for part in PARTS}
        labels = self._labels(scene, true_labels, rows)
        begin_s = time.process_time()
        model = self._refined(scene, rows["given"], labels["given"])
        minutes = (time.process_time() - begin_s) / 60
        truth = {part: _true_maps(scene, true_labels, rows[part]) for part in PARTS}
        return RefinedScores(
            name=reference.name,
            labels={part: label_figures(labels[part], truth[part]) for part in PARTS},
            map={part: map_figures(model, [scene.views[row] for row in rows[part]], truth[part]) for part in PARTS},
            num_gaussians=len(model.means),
            processor_minutes=minutes,
            peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )

    def _labels(self, scene: Scene, true_labels: SceneLabels, rows: dict[str, list[int]]) -> dict[str, SceneLabels]:
        """Of every part; an engine sees the parts apart, so that labels of given views know nothing of those held out."""
        if self.engine is not None:
            colour, height_m = scene.without_depth().views, scene.support_height_m
            wanted = EngineLabelSettings(classes=true_labels.labels.names)
            found = {p: labels_from_engine(self.engine, [colour[r] for r in rows[p]], height_m, wanted) for p in PARTS}
            return {part: in_label_space(own, true_labels.labels) for part, own in found.items()}
        made = true_labels
        if self.source.noise is not None:
            made = noisy_labels(true_labels, self.source.noise, torch.Generator().manual_seed(self.protocol.seed))
        return {part: replace(made, views=tuple(made.views[row] for row in rows[part])) for part in PARTS}

    def _refined(self, scene: Scene, rows: list[int], labels: SceneLabels) -> PanopticMap:
        """The map of the given views. With an engine nothing knows the measured depth."""
        cameras = [(scene if self.engine is None else scene.without_depth()).views[row] for row in rows]
        settings = SceneSettings(self.protocol.settings(), self.protocol.surface(), device="cpu")
        first = FirstSurfaces()
        if self.engine is not None:
            first = FirstSurfaces(self._engine_gaussians(self.engine, scene, cameras, settings.surface))
        return refine_scene(cameras, labels, settings, first=first).refinement.model

    @staticmethod
    def _engine_gaussians(engine: Engine, scene: Scene, cameras: Sequence[CameraView], surface: SurfaceSettings) -> Gaussians:
        workspace = WorkspaceConfig(support_height_m=scene.support_height_m)
        result = PerceptionPipeline(engine, PipelineConfig(workspace=workspace)).process(cameras)
        if not result.is_metric:
            got = result.reconstruction.alignment
            raise ValueError(f"scene {scene.name}: expected a result in the frame of the cameras from the engine, got {got}")
        return gaussians_from_reconstruction(result.reconstruction, result.views.images, surface)


def refined_worker(source: LabelSource, protocol: RefinedProtocol) -> RefinedSceneEvaluator:
    """What refines and judges one scene after the other, in this process or in another one. Errors as `build_engine`."""
    engine = build_engine(ModelConfig(name=source.engine, threads=1)) if source.engine else None
    return RefinedSceneEvaluator(source, protocol, engine)


def _true_maps(scene: Scene, true_labels: SceneLabels, rows: list[int]) -> PanopticMaps:
    """Classes and the ids that hold over all views."""
    semantic = torch.stack([maps_of_labels(true_labels.views[row])[0] for row in rows])
    return semantic, torch.stack([scene.known_truth().instance_ids[row] for row in rows])
