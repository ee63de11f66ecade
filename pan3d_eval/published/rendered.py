"""Gaussians of context views, rendered in these and in novel ones, as the paper of EPS3D measures them: one scene at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from pan3d_core.config import ModelConfig
from pan3d_core.engines import Engine
from pan3d_core.labels import LabelSpace
from pan3d_core.language.text_space import TextSpace
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.metrics.cross_view import CrossViewInstances, cross_view_instances, mean_cross_view
from pan3d_eval.metrics.semantics import per_image_semantic_scores, semantic_confusion
from pan3d_eval.protocols.eps3d import eps3d_maps, eps3d_panoptic_quality
from pan3d_eval.published.protocol import RenderSetting, Samples
from pan3d_eval.published.scenes import require_views
from pan3d_eval.rendered.gaussian_scenes import GaussianProtocol, gaussian_worker
from pan3d_eval.rendered.gaussians import KINDS_OF_VIEWS, TextClasses, predict_views
from pan3d_eval.rendered.true_views import in_world_of, region_truth

NOVEL_PLACES = (1, 4)  # of every eight images
READOUT = "pixels"  # as published


@dataclass(frozen=True)
class KindScores:
    """The context or the novel views of a scene's K samples."""

    confusions: np.ndarray  # (V, C, C + 1) of every image
    instances: np.ndarray  # (K, 6) fields of `CrossViewInstances`
    panoptic: np.ndarray  # (K, 3) PQ, SQ, RQ


@dataclass(frozen=True)
class RenderScores:
    """One scene."""

    name: str
    context: KindScores
    novel: KindScores


def samples_of(count: int, how: Samples) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Choose context and novel views among images in their order.

    Args:
        count: How many images there are.
        how: As `RenderSetting` has it.

    Returns:
        (context, novel) places of each sample.
    """
    if how == "alternate":
        return [(tuple(range(0, count, 2)), tuple(range(1, count, 2)))]
    places = [place for place in range(1, count - 1) if place % 8 in NOVEL_PLACES]
    return [((place - 1, place + 1), (place,)) for place in places]


def render_figures(scenes: Sequence[RenderScores]) -> dict[str, float]:
    """Figures over scenes: semantics per image, instances and panoptic figures as means over samples."""
    figures: dict[str, float] = {}
    for kind in KINDS_OF_VIEWS:
        parts: list[KindScores] = [getattr(scene, kind) for scene in scenes]
        semantic = per_image_semantic_scores([item for part in parts for item in part.confusions])
        found = mean_cross_view([_instances(row) for part in parts for row in part.instances])
        panoptic = np.concatenate([part.panoptic for part in parts]).mean(0) if parts else np.full(3, np.nan)
        values = (semantic.miou, semantic.accuracy, found.miou, found.f_score, *panoptic.tolist())
        names = ("semantic_miou", "semantic_accuracy", "instance_miou", "instance_f", "pq", "sq", "rq")
        figures |= {f"{kind} {name}": value for name, value in zip(names, values, strict=True)}
    return figures


def _instances(row: np.ndarray) -> CrossViewInstances:
    values = dict(zip([item.name for item in fields(CrossViewInstances)], row.tolist(), strict=True))
    return CrossViewInstances(**{name: int(value) if name.startswith("num_") else value for name, value in values.items()})


@dataclass(frozen=True)
class RenderEvaluator:
    """From a scene to its `RenderScores`."""

    engine: Engine
    setting: RenderSetting
    space: TextSpace
    texts: Tensor  # (C, E) of the setting's classes

    @torch.inference_mode()
    def measure(self, scene: Scene) -> RenderScores:
        """Look at the samples of a scene and compare. Raises `ValueError` naming scene and field where something is missing."""
        require_views(scene, self.setting.min_views)
        samples = samples_of(len(scene.views), self.setting.samples)
        found = [self._sample(scene, *sample) for sample in samples]
        kinds = [_together([item[kind] for item in found]) for kind in range(len(KINDS_OF_VIEWS))]
        return RenderScores(scene.name, *kinds)

    def _sample(self, scene: Scene, context: tuple[int, ...], novel: tuple[int, ...]) -> tuple[KindScores, KindScores]:
        part = scene.of_rows([*context, *novel])
        batch = preprocess(part.views, self.engine.facts.preprocess)
        truth = region_truth(part, batch, self.setting.classes)
        given = list(range(len(context)))
        reconstruction, _ = self.engine(replace(batch.select(given), depth=None, cam_from_world=None))
        if reconstruction.gaussians is None:
            raise ValueError(f"scene {scene.name}: expected Gaussians of the engine, got none")
        truth, _ = in_world_of(reconstruction, truth, given)
        classes = TextClasses(self.setting.classes.labels, self.texts.to(self.space.weight), self.space)
        found = predict_views(reconstruction.gaussians, classes, truth, READOUT)
        true, predicted = ((truth.semantic_id, truth.instance_id), (found.semantic_id, found.segment_id))
        first, second = (
            kind_scores(
                (predicted[0][chosen].cpu(), predicted[1][chosen].cpu()),
                (true[0][chosen].cpu(), true[1][chosen].cpu()),
                self.setting.classes.labels,
            )
            for chosen in (~truth.is_novel, truth.is_novel)
        )
        return first, second


def kind_scores(predicted: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], labels: LabelSpace) -> KindScores:
    """Compare the maps of one sample.

    Args:
        predicted: (semantic_id, instance_id), each (V, h, w).
        truth: Likewise; semantic -1 = not annotated.
        labels: What the classes are.

    Returns:
        Scores of one sample.
    """
    semantics = zip(eps3d_maps(predicted[0]), eps3d_maps(truth[0]), strict=True)
    confusions = np.stack([semantic_confusion(seen, true, len(labels)) for seen, true in semantics])
    instances = cross_view_instances(predicted[1], truth[1])
    with_background = LabelSpace(("background", *labels.names), (False, *labels.is_thing))
    quality = eps3d_panoptic_quality((predicted[0] + 1, predicted[1]), (truth[0] + 1, truth[1]), with_background)
    counts = np.array([[getattr(instances, item.name) for item in fields(CrossViewInstances)]], dtype=np.float64)
    return KindScores(confusions, counts, np.array([[quality.pq, quality.sq, quality.rq]]))


def _together(parts: Sequence[KindScores]) -> KindScores:
    return KindScores(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(KindScores)))


def render_evaluator(config: ModelConfig, setting: RenderSetting, encoder_weights: str = "") -> RenderEvaluator:
    """Build the engine and the texts of the classes, and what measures them. Errors as `gaussian_worker`."""
    worker = gaussian_worker(config, GaussianProtocol(use_poses=False, readout=READOUT), encoder_weights)
    space = worker.engine.facts.text_space
    assert space is not None, "the worker has looked"
    return RenderEvaluator(worker.engine, setting, space, worker.encode(list(setting.classes.labels.names)))
