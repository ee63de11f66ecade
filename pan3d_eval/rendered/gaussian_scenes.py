"""Scenes of the table for `rendered.gaussians`: which views an engine sees, where the others stand for it, and what is true.

Views are ordered around the scene and taken in turns: the first, third, ... are the context, the others novel. The engine gets
the context alone, with or without poses. A similarity from the true to its own context cameras then puts the novel cameras into
its world; with poses given it is the identity, but for rounding.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor

from pan3d_core.config import ModelConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.engines.mini import EPS3D
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.labels import LabelSpace
from pan3d_core.language.encoders import build_text_encoder
from pan3d_core.language.text_space import TextSpace
from pan3d_core.structures import Gaussians
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.datasets.scenes import SceneReference
from pan3d_eval.rendered.gaussians import (
    KINDS_OF_VIEWS,
    TextClasses,
    TrueViews,
    ViewFigures,
    ViewPrediction,
    ViewScores,
    predict_views,
    score_views,
    view_figures,
)
from pan3d_eval.rendered.true_views import STUFF, ClassList, in_world_of, region_truth, tabletop_truth

MIN_VIEWS = 4  # two of each kind: one context view does not say where the novel cameras stand for an engine without poses
EncodeTexts = Callable[[Sequence[str]], Tensor]  # N texts -> (N, E)


@dataclass(frozen=True)
class GaussianProtocol:
    """What the engine is given, and how objects are read from what it gives."""

    use_poses: bool = True
    readout: str = "cells"  # "pixels" as published
    surfaces: tuple[str, str] = STUFF  # on tables: what the support and what is below it are called


@dataclass(frozen=True)
class GaussianScores:
    """One scene."""

    name: str
    views: dict[str, ViewScores]  # by `KINDS_OF_VIEWS`
    num_gaussians: int
    camera_residual: float  # RMS distance of the context cameras after the similarity, in the engine's unit
    processor_s: float  # images to Gaussians and the engine's own objects, all threads
    readout_s: float  # of the read-out that is measured


@dataclass(frozen=True)
class GaussianEvaluation:
    """A set of scenes."""

    scenes: tuple[GaussianScores, ...]

    def of(self, kind: str) -> ViewFigures:
        """Figures over the context or the novel views of all scenes; `kind` of `KINDS_OF_VIEWS`."""
        return view_figures([scene.views[kind] for scene in self.scenes])

    def figures(self) -> dict[str, float]:
        """All figures by name, as "novel semantic_miou"."""
        named = {f"{kind} {name}": value for kind in KINDS_OF_VIEWS for name, value in asdict(self.of(kind)).items()}
        for name in ("num_gaussians", "processor_s", "readout_s", "camera_residual"):
            values = [getattr(scene, name) for scene in self.scenes]
            named[name] = float(statistics.median(values)) if values else math.nan
        return {"scenes": len(self.scenes), **named}


@dataclass(frozen=True)
class ShownScene:
    """What an engine makes of the context of one scene, rendered in all views."""

    name: str
    truth: TrueViews
    prediction: ViewPrediction
    labels: LabelSpace
    gaussians: Gaussians
    camera_residual: float
    processor_s: float


@dataclass
class GaussianViewEvaluator:
    """A worker for `execution.run_items`: one scene, or a reference to it, in; its `GaussianScores` out.

    `engine` gives Gaussians with semantic and instance features, for its `facts.text_space`; `encode` is the encoder of
    that space.
    """

    engine: Engine
    encode: EncodeTexts
    protocol: GaussianProtocol = GaussianProtocol()
    _texts: dict[tuple[str, ...], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._text_space()

    def __call__(self, scene: Scene | SceneReference) -> GaussianScores:
        """Raises `ValueError` as `show`, and what reading or the engine raises."""
        return scores_of(self.show(scene.read() if isinstance(scene, SceneReference) else scene))

    @torch.inference_mode()
    def show(self, scene: Scene) -> ShownScene:
        """Raises `ValueError` for scenes without truth, support height or cameras, for fewer than `MIN_VIEWS` views, and for an
        engine that gives no Gaussians."""
        scene = checked(scene)
        on_table = scene.truth is None or scene.truth.regions is None
        scene = ordered_around(scene) if on_table else scene
        batch = preprocess(scene.views, self.engine.facts.preprocess, scene.support_height_m)
        context = list(range(0, batch.num_views, 2))
        given = replace(batch.select(context), depth=None)
        if not self.protocol.use_poses:
            given = replace(given, cam_from_world=None)
        begin_s = time.process_time()
        reconstruction, _ = self.engine(given)
        processor_s = time.process_time() - begin_s
        if reconstruction.gaussians is None:
            raise ValueError("engine: expected Gaussians in its reconstruction, got none")
        if on_table:
            truth, labels = tabletop_truth(scene, batch, self.protocol.surfaces)
        else:
            classes_there = ClassList.of_scene(scene)
            truth, labels = region_truth(scene, batch, classes_there), classes_there.labels
        truth, residual = in_world_of(reconstruction, truth, context)
        space = self._text_space()
        classes = TextClasses(labels, self._embedded(labels.names).to(space.weight), space)
        prediction = predict_views(reconstruction.gaussians, classes, truth, self.protocol.readout)
        return ShownScene(scene.name, truth, prediction, labels, reconstruction.gaussians, residual, processor_s)

    def _text_space(self) -> TextSpace:
        space = self.engine.facts.text_space
        if space is None:
            raise ValueError(f"engine: expected one with a text_space for its Gaussians, got {type(self.engine).__name__}")
        return space

    def _embedded(self, names: tuple[str, ...]) -> Tensor:
        if names not in self._texts:
            self._texts[names] = self.encode(list(names))
        return self._texts[names]


def scores_of(shown: ShownScene) -> GaussianScores:
    """The scores of what was rendered."""
    views = score_views(shown.prediction, shown.labels, shown.truth)
    return GaussianScores(
        name=shown.name,
        views=views,
        num_gaussians=len(shown.gaussians),
        camera_residual=shown.camera_residual,
        processor_s=shown.processor_s,
        readout_s=shown.prediction.readout_s,
    )


def checked(scene: Scene) -> Scene:
    """The scene, if its views and its truth are enough to judge Gaussians. Raises `ValueError` for what is not."""
    if scene.truth is None:
        raise ValueError(f"scene {scene.name}: expected true instances and the height of the support, got none")
    if len(scene.views) < MIN_VIEWS:
        raise ValueError(f"scene {scene.name}: expected at least {MIN_VIEWS} views, got {len(scene.views)}")
    if scene.cameras() is None or any(view.intrinsics is None for view in scene.views):
        raise ValueError(f"scene {scene.name}: expected pose and intrinsics of every view, got a view without")
    return scene


def ordered_around(scene: Scene) -> Scene:
    """The scene on a table with its views in the order of their places around the vertical through the point that all look at.

    Raises `ValueError` for what `GaussianViewEvaluator.show` refuses in such a scene.
    """
    cameras = checked(scene).cameras()
    if cameras is None or scene.support_height_m is None:
        raise ValueError(f"scene {scene.name}: expected the height of the support, got none")
    if any(depth is None for depth in scene.known_truth().depth):
        raise ValueError(f"scene {scene.name}: expected the true depth of every view, which tells table from floor, got none")
    return scene.of_rows(_order_around(cameras))


def _order_around(cam_from_world: Tensor) -> list[int]:
    """Of (S, 4, 4) cameras; angles count from the middle of the arc, so that an arc is not cut in two."""
    world_from_cam = invert_rigid(cam_from_world.double())
    eyes, axes = world_from_cam[:, :3, 3], world_from_cam[:, :3, 2]
    across = torch.eye(3, dtype=axes.dtype) - axes[:, :, None] * axes[:, None, :]  # the part of a vector beside the axis
    focus = torch.linalg.lstsq(across.sum(0), (across @ eyes[..., None]).sum(0)).solution[:, 0]
    x, y, _ = (eyes - focus).unbind(-1)
    turned = torch.atan2(y, x) - torch.atan2(y.sum(), x.sum())
    return torch.atan2(turned.sin(), turned.cos()).argsort(stable=True).tolist()


def gaussian_worker(config: ModelConfig, protocol: GaussianProtocol, encoder_weights: str = "") -> GaussianViewEvaluator:
    """Build what measures one scene after the other.

    Args:
        config: Settings of the engine.
        protocol: What the engine is given, and how objects are read.
        encoder_weights: Of the engine's text encoder, where these do not come with pan3d.

    Returns:
        A worker for `execution.run_items`.

    Raises:
        ValueError: The engine gives no Gaussians with semantics, is not known, or its checkpoint does not fit.
        TextEncoderUnavailable: The text encoder's files are missing.
    """
    engine = build_engine(config)
    space = engine.facts.text_space
    if space is None:
        raise ValueError(f"--engine: expected one that gives Gaussians with semantics, such as {EPS3D}, got {config.name!r}")
    return GaussianViewEvaluator(engine, build_text_encoder(space.encoder, encoder_weights).encode, protocol)
