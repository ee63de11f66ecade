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
from typing import Any

import torch
from torch import Tensor

from pan3d_core.engines import Engine
from pan3d_core.geometry.alignment import fit_cameras
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.labels import LabelSpace
from pan3d_core.language.text_space import TextSpace
from pan3d_core.structures import Gaussians, Reconstruction, ViewBatch
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.sampling import sample_at_network
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

STUFF = ("table", "floor")
TABLE_THICKNESS_M = 0.05
MIN_VIEWS = 4  # two of each kind: one context view does not say where the novel cameras stand for an engine without poses
MIN_BASELINE = 1e-6  # of context cameras in the engine's unit
EncodeTexts = Callable[[Sequence[str]], Tensor]  # N texts -> (N, E)


@dataclass(frozen=True)
class GaussianProtocol:
    """What the engine is given, and how objects are read from what it gives."""

    use_poses: bool = True
    readout: str = "cells"  # "pixels" as published


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
        scene = ordered_around(scene)
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
        truth, labels = tabletop_truth(scene, batch)
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


def ordered_around(scene: Scene) -> Scene:
    """The scene with its views in the order of their places around the vertical through the point that all look at.

    Raises `ValueError` for what `GaussianViewEvaluator.show` refuses in a scene.
    """
    if scene.truth is None or scene.support_height_m is None:
        raise ValueError(f"scene {scene.name}: expected true instances and the height of the support, got none")
    if len(scene.views) < MIN_VIEWS:
        raise ValueError(f"scene {scene.name}: expected at least {MIN_VIEWS} views, got {len(scene.views)}")
    cameras = scene.cameras()
    if cameras is None or any(view.intrinsics is None for view in scene.views):
        raise ValueError(f"scene {scene.name}: expected pose and intrinsics of every view, got a view without")
    if any(depth is None for depth in scene.truth.depth):
        raise ValueError(f"scene {scene.name}: expected the true depth of every view, which tells table from floor, got none")
    order = _order_around(cameras)

    def reordered(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[index] for index in order)

    truth = replace(scene.truth, instance_ids=reordered(scene.truth.instance_ids), depth=reordered(scene.truth.depth))
    return replace(scene, views=reordered(scene.views), truth=truth)


def _order_around(cam_from_world: Tensor) -> list[int]:
    """Of (S, 4, 4) cameras; angles count from the middle of the arc, so that an arc is not cut in two."""
    world_from_cam = invert_rigid(cam_from_world.double())
    eyes, axes = world_from_cam[:, :3, 3], world_from_cam[:, :3, 2]
    across = torch.eye(3, dtype=axes.dtype) - axes[:, :, None] * axes[:, None, :]  # the part of a vector beside the axis
    focus = torch.linalg.lstsq(across.sum(0), (across @ eyes[..., None]).sum(0)).solution[:, 0]
    x, y, _ = (eyes - focus).unbind(-1)
    turned = torch.atan2(y, x) - torch.atan2(y.sum(), x.sum())
    return torch.atan2(turned.sin(), turned.cos()).argsort(stable=True).tolist()


def tabletop_truth(scene: Scene, batch: ViewBatch) -> tuple[TrueViews, LabelSpace]:
    """What the views of `batch` show, at its pixels, all of them novel; and the classes: those of the scene, then `STUFF`.

    Pixels with depth and without an object are table where their point is above `support_height_m - TABLE_THICKNESS_M`, floor
    below; those without depth are void. Objects without class have a number all the same. Numbers of stuff follow those of the
    objects.
    """
    known = scene.known_truth()
    labels = LabelSpace((*known.labels.names, *STUFF), (*known.labels.is_thing, *(False for _ in STUFF)))
    depths = [depth for depth in known.depth if depth is not None]
    maps = [
        [sample_at_network(item, mapping, batch.hw) for item, mapping in zip(per_view, batch.network_from_original, strict=True)]
        for per_view in (known.instance_ids, depths)
    ]
    ids, depth = (torch.stack(values) for values in maps)
    if scene.support_height_m is None or batch.intrinsics is None or batch.cam_from_world is None:
        raise ValueError(f"scene {scene.name}: expected cameras of every view and the height of the support, got less")
    height = unproject_depth(depth, batch.intrinsics, batch.cam_from_world)[..., 2]
    stuff = stuff_regions(ids, depth, height, scene.support_height_m)
    highest = int(ids.max())
    class_of_id = torch.full((highest + 1,), -1)
    for item in known.objects:
        if item.instance_id <= highest:
            class_of_id[item.instance_id] = item.class_id
    truth = TrueViews(
        cam_from_world=batch.cam_from_world,
        intrinsics=batch.intrinsics,
        images=batch.images,
        semantic_id=torch.where(stuff > 0, len(known.labels) + stuff - 1, class_of_id[ids]),
        instance_id=torch.where(stuff > 0, highest + stuff, ids),
        is_novel=torch.ones(len(ids), dtype=torch.bool),
    )
    return truth, labels


def stuff_regions(ids: Tensor, depth: Tensor, height: Tensor, support_height_m: float) -> Tensor:
    """(V, h, w) int64: 1 + index into `STUFF` where true depth shows table or floor and no object, else 0. `height`: world z of
    the pixels' points."""
    free = (ids == 0) & (depth > 0)
    stuff = torch.where(height > support_height_m - TABLE_THICKNESS_M, 1, 2)
    return torch.where(free, stuff, 0)


def in_world_of(reconstruction: Reconstruction, truth: TrueViews, context: Sequence[int]) -> tuple[TrueViews, float]:
    """The same views with cameras in the reconstruction's world, on its device: its own for `context`, the true ones moved by a
    similarity for the others, which become novel. Also the RMS distance of the context cameras after that similarity."""
    device, chosen = reconstruction.cam_from_world.device, list(context)
    true_cameras = truth.cam_from_world.cpu()
    fit = fit_cameras(true_cameras[chosen], reconstruction.cam_from_world.cpu(), MIN_BASELINE)
    cameras = fit.similarity.apply_to_cameras(true_cameras).to(device)
    intrinsics, is_novel = truth.intrinsics.to(device).clone(), torch.ones(len(cameras), dtype=torch.bool, device=device)
    cameras[chosen], intrinsics[chosen] = reconstruction.cam_from_world, reconstruction.intrinsics
    is_novel[chosen] = False
    moved = TrueViews(
        cam_from_world=cameras,
        intrinsics=intrinsics,
        images=truth.images.to(device),
        semantic_id=truth.semantic_id.to(device),
        instance_id=truth.instance_id.to(device),
        is_novel=is_novel,
    )
    return moved, fit.residual_m
