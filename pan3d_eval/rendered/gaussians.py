"""Panoptic Gaussians against the truth of views: semantics, instances and colour as they are rendered (tables 1 to 3 of EPS3D).

Context views are those that the Gaussians were made from, novel views are others. Objects are read from the rendered instance
features of *all* views together, so a number means one object everywhere; figures are then taken over the context and over the
novel views apart. Every pixel has a class: where nothing was rendered it is that of a feature of 0, and it counts, so what the
Gaussians leave open is no void that would be forgiven.

* Semantics: the text with the largest cosine, no learned classes; confusion matrices per image.
* Instances: `cross_view_instances`, every region of the truth, stuff among them, as ScanNet's annotation has walls and floors.
* Panoptic: a segment has one class, that of its mean semantics over all views; pixels of no segment keep their own class,
  as one more segment of it; `panoptic_quality` of a scene.
* Colour: PSNR per image over all pixels, black where nothing was rendered.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.language.text_space import TextSpace
from pan3d_core.models.eps3d.network import PanopticRendering, render_panoptic
from pan3d_core.models.eps3d.readout import READOUTS
from pan3d_core.structures import Gaussians, require_shape
from pan3d_eval.metrics.cross_view import CrossViewInstances, cross_view_instances, mean_cross_view
from pan3d_eval.metrics.panoptic import PanopticQuality, panoptic_quality
from pan3d_eval.metrics.semantics import per_image_semantic_scores, pooled_semantic_scores, semantic_confusion

KINDS_OF_VIEWS = ("context", "novel")
SEED = 0  # of the read-out's choice of pixels: the same views give the same figures
MIN_SQUARED_ERROR = 1e-10  # PSNR ends at 100 dB


@dataclass(frozen=True)
class TextClasses:
    """The classes that are told apart, each by one text."""

    labels: LabelSpace
    texts: Tensor  # (C, E) in the order of `labels.names`
    text_space: TextSpace  # of the Gaussians' semantics

    def __post_init__(self) -> None:
        require_shape("TextClasses.texts", self.texts, (len(self.labels), self.text_space.weight.shape[0]))

    def nearest(self, semantics: Tensor) -> Tensor:
        """(..., F) semantics -> (...) int64 class of the largest cosine."""
        return self.text_space.cosines(semantics, self.texts).argmax(-1)


@dataclass(frozen=True)
class TrueViews:
    """V views of one scene, cameras in the frame of its Gaussians, and what every pixel shows."""

    cam_from_world: Tensor  # (V, 4, 4)
    intrinsics: Tensor  # (V, 3, 3) pixels at (H, W)
    images: Tensor  # (V, 3, H, W) RGB 0..1
    semantic_id: Tensor  # (V, H, W) int64 class, -1 = void
    instance_id: Tensor  # (V, H, W) int64 number of the object or region of stuff, 0 = void
    is_novel: Tensor  # (V,) bool

    def __post_init__(self) -> None:
        require_shape("TrueViews.images", self.images, (None, 3, None, None))
        views, _, height, width = self.images.shape
        require_shape("TrueViews.cam_from_world", self.cam_from_world, (views, 4, 4))
        require_shape("TrueViews.intrinsics", self.intrinsics, (views, 3, 3))
        require_shape("TrueViews.semantic_id", self.semantic_id, (views, height, width))
        require_shape("TrueViews.instance_id", self.instance_id, (views, height, width))
        require_shape("TrueViews.is_novel", self.is_novel, (views,))

    @property
    def image_hw(self) -> tuple[int, int]:
        return self.images.shape[-2], self.images.shape[-1]


@dataclass(frozen=True)
class ViewPrediction:
    """What is rendered and read of V views."""

    rendering: PanopticRendering
    semantic_id: Tensor  # (V, H, W) int64 class of the pixel's own semantics
    segment_id: Tensor  # (V, H, W) int64, 1..K, the same number in all views; 0 = none
    segment_class: Tensor  # (K,) int64, row k belongs to number k + 1
    readout_s: float  # processor time from rendered features to segments, all threads


@dataclass(frozen=True)
class ViewScores:
    """One scene, its context views or its novel ones."""

    confusions: tuple[np.ndarray, ...]  # per image, see `semantic_confusion`
    instances: CrossViewInstances
    panoptic: PanopticQuality
    psnr_db: tuple[float, ...]  # per image


@dataclass(frozen=True)
class ViewFigures:
    """Over scenes; 0..1 but for `psnr_db`, NaN where nothing was measured."""

    images: int
    semantic_miou: float  # one confusion matrix over all images, mean over the classes that occur (LSM)
    semantic_accuracy: float
    semantic_miou_per_image: float  # as EPS3D's released program takes it
    instance_miou: float  # mean over scenes, like the following
    instance_f: float
    pq: float
    sq: float
    rq: float
    psnr_db: float  # mean over images


def predict_views(gaussians: Gaussians, classes: TextClasses, views: TrueViews, readout: str = "cells") -> ViewPrediction:
    """Render the Gaussians in all views and read classes and objects; the truth in `views` is not looked at.

    `readout` of `READOUTS`: "pixels" as published, "cells" ours. Raises `ValueError` for another one and as `render_panoptic`.
    """
    if readout not in READOUTS:
        raise ValueError(f"readout: expected one of {', '.join(READOUTS)}, got {readout!r}")
    rendering = render_panoptic(gaussians, views.cam_from_world, views.intrinsics, views.image_hw)
    begin_s = time.process_time()
    found = READOUTS[readout](rendering.instances, torch.Generator().manual_seed(SEED))
    readout_s = time.process_time() - begin_s
    semantics = rendering.semantics.movedim(1, -1)
    count = len(found.prototypes)
    # Cosines do not depend on length: the sum stands for the mean.
    sums = semantics.new_zeros(count + 1, semantics.shape[-1])
    sums.index_add_(0, found.instance_id.flatten(), semantics.flatten(0, 2))
    return ViewPrediction(rendering, classes.nearest(semantics), found.instance_id, classes.nearest(sums[1:]), readout_s)


def score_views(prediction: ViewPrediction, labels: LabelSpace, views: TrueViews) -> dict[str, ViewScores]:
    """Scores of the context and of the novel views, as far as there are such."""
    of_segment = torch.cat([prediction.segment_class.new_zeros(1), prediction.segment_class])
    in_segment = prediction.segment_id > 0
    panoptic_class = torch.where(in_segment, of_segment[prediction.segment_id], prediction.semantic_id)
    scores = {}
    for kind, chosen in zip(KINDS_OF_VIEWS, (~views.is_novel, views.is_novel), strict=True):
        if not bool(chosen.any()):
            continue
        true_class, true_id = views.semantic_id[chosen], views.instance_id[chosen]
        segment_id = prediction.segment_id[chosen]
        scores[kind] = ViewScores(
            confusions=tuple(
                semantic_confusion(*maps, len(labels)) for maps in zip(prediction.semantic_id[chosen], true_class, strict=True)
            ),
            instances=cross_view_instances(segment_id, true_id),
            panoptic=panoptic_quality((panoptic_class[chosen], segment_id), (true_class, true_id), labels),
            psnr_db=tuple(psnr_db(prediction.rendering.colors[chosen], views.images[chosen]).tolist()),
        )
    return scores


def gaussian_view_scores(
    gaussians: Gaussians, classes: TextClasses, views: TrueViews, readout: str = "cells"
) -> dict[str, ViewScores]:
    """Render Gaussians in all views and score them: `predict_views`, then `score_views`.

    Args:
        gaussians: With semantic and instance features, in the world of the views.
        classes: What pixels are told apart by.
        views: With their truth.
        readout: Of `READOUTS`: "pixels" as published, "cells" ours.

    Returns:
        Scores of the context and of the novel views, as far as there are such.

    Raises:
        ValueError: The readout is another, or the Gaussians cannot be rendered so.
    """
    return score_views(predict_views(gaussians, classes, views, readout), classes.labels, views)


def psnr_db(shown: Tensor, truth: Tensor) -> Tensor:
    """(V, 3, H, W) RGB twice -> (V,) float64 decibels of a range of 1; what is shown is cut to 0..1."""
    error = (shown.clamp(0.0, 1.0).double() - truth.double()).square().mean((1, 2, 3))
    return -10 * error.clamp_min(MIN_SQUARED_ERROR).log10()


def view_figures(scenes: Sequence[ViewScores]) -> ViewFigures:
    """Figures over the same kind of views of several scenes."""
    confusions = [item for scene in scenes for item in scene.confusions]
    pooled, per_image = pooled_semantic_scores(confusions), per_image_semantic_scores(confusions)
    instances = mean_cross_view([scene.instances for scene in scenes])

    def quality(of: Callable[[PanopticQuality], float]) -> float:
        return _mean(of(scene.panoptic) for scene in scenes)

    return ViewFigures(
        images=len(confusions),
        semantic_miou=pooled.miou,
        semantic_accuracy=pooled.accuracy,
        semantic_miou_per_image=per_image.miou,
        instance_miou=instances.miou,
        instance_f=instances.f_score,
        pq=quality(lambda item: item.pq),
        sq=quality(lambda item: item.sq),
        rq=quality(lambda item: item.rq),
        psnr_db=_mean(value for scene in scenes for value in scene.psnr_db),
    )


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
