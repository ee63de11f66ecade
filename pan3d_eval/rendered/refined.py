"""Panoptic maps of the views of one scene against the truth: what a refined scene renders, and the 2D labels it was made from.

Three protocols side by side, each under its own name:

* `pq`, strict: all views are one picture (`panoptic_quality`), so an object needs one id in all of them. Labels of 2D models,
  whose ids mean nothing across views, are as many objects as views: this is what refining has to mend.
* `per_view_pq`: every view for itself, counts added up as COCO adds those of images; ids need not agree. This says how good
  the masks are.
* `loose_pq`: as the evaluator of PanopticRecon++ computes it (`loose_panoptic_quality`), which PanopticSplatting's figures are
  compared with; over the classes that are in the truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.sources import SceneLabels, maps_of_labels
from pan3d_core.refine.model import PanopticMap
from pan3d_core.refine.readout import panoptic_view
from pan3d_core.refine.rendering import RenderChoices
from pan3d_core.refine.views import view_camera
from pan3d_core.structures import CameraView
from pan3d_eval.metrics.identity import frame_overlap, identity_errors
from pan3d_eval.metrics.loose_panoptic import QUARTER, loose_panoptic_quality, thing_coverage
from pan3d_eval.metrics.panoptic import average_quality, coco_panoptic_counts, panoptic_quality
from pan3d_eval.metrics.semantics import pooled_semantic_scores, semantic_confusion

PanopticMaps = tuple[Tensor, Tensor]  # (V, H, W) int64 class, -1 = void, and (V, H, W) int64 instance id, 0 = none


@dataclass(frozen=True)
class RefinedViewFigures:
    """Of V views of one scene, 0..1 but for counts; NaN where nothing was there to measure."""

    views: int
    pq: float  # strict: one id per object over all views
    sq: float
    rq: float
    per_view_pq: float  # every view for itself; ids need not agree
    per_view_sq: float
    per_view_rq: float
    miou: float  # one confusion matrix over all views, mean over the classes that occur
    accuracy: float
    labelled: float  # share of the true elements that have a predicted class; strict PQ forgives what is missing there
    mean_coverage: float  # mCov: IoU of every true object, in all views, with the one predicted id that covers most of it
    identity_switches: int  # along the views' order a true object is matched to another id than at its last match
    identity_matches: int  # how many matches there are of which those may be switches
    loose_pq: float  # IoU over 0.1 at a quarter of the resolution, not comparable to the above
    loose_sq: float
    loose_rq: float
    loose_mean_coverage: float


def refined_view_figures(
    predicted: PanopticMaps, truth: PanopticMaps, labels: LabelSpace, reduction: int = QUARTER
) -> RefinedViewFigures:
    """Measure maps whose ids hold over all views, in the order of the camera's journey.

    Ids of stuff are ignored; what is a thing without an id is one object more. Elements without true class are left out.

    Args:
        predicted: (semantic_id, instance_id), each (V, H, W) int64; semantic -1 = void, instance 0 = none.
        truth: Likewise.
        labels: What the classes are.
        reduction: Of the loose form, 4 as published.

    Returns:
        Figures of the scene.

    Raises:
        ValueError: The four maps are not of one shape (V, H, W).
    """
    shapes = {tuple(item.shape) for item in (*predicted, *truth)}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        raise ValueError(f"predicted, truth: expected one shape (V, H, W) for all four maps, got {sorted(shapes)}")
    predicted, truth = _without_stuff_ids(predicted, labels), _without_stuff_ids(truth, labels)
    strict = panoptic_quality(predicted, truth, labels)
    frames = list(zip(*predicted, *truth, strict=True))
    counts = [coco_panoptic_counts((cls_p, ids_p), (cls_t, ids_t), len(labels)) for cls_p, ids_p, cls_t, ids_t in frames]
    per_view = average_quality(sum(counts[1:], start=counts[0])) if counts else strict
    semantic = pooled_semantic_scores([semantic_confusion(cls_p, cls_t, len(labels)) for cls_p, _, cls_t, _ in frames])
    coverage, _ = thing_coverage(predicted[1].cpu(), truth[1].cpu())
    identity = identity_errors(frame_overlap(ids_p, ids_t) for _, ids_p, _, ids_t in frames)
    known = truth[0] >= 0
    occurring = truth[0][known].unique().tolist()
    loose = loose_panoptic_quality(predicted, truth, labels, evaluated=occurring, reduction=reduction)
    return RefinedViewFigures(
        views=len(frames),
        pq=strict.pq,
        sq=strict.sq,
        rq=strict.rq,
        per_view_pq=per_view.pq,
        per_view_sq=per_view.sq,
        per_view_rq=per_view.rq,
        miou=semantic.miou,
        accuracy=semantic.accuracy,
        labelled=float((predicted[0][known] >= 0).double().mean()) if bool(known.any()) else math.nan,
        mean_coverage=float(coverage.mean()) if len(coverage) else math.nan,
        identity_switches=identity.switches,
        identity_matches=identity.matches,
        loose_pq=loose.loose_pq,
        loose_sq=loose.loose_sq,
        loose_rq=loose.loose_rq,
        loose_mean_coverage=loose.mean_coverage,
    )


def map_figures(
    model: PanopticMap, views: Sequence[CameraView], truth: PanopticMaps, choices: RenderChoices | None = None
) -> RefinedViewFigures:
    """Measure a map rendered into calibrated views.

    Args:
        model: The map.
        views: V calibrated ones, in its world.
        truth: (semantic_id, instance_id), each (V, H, W), classes as the map's.
        choices: How objects are rendered; None = the defaults.

    Returns:
        Figures of the scene.

    Raises:
        ValueError: A view has no calibration, or the truth another shape.
    """
    shown = []
    for view in views:
        intrinsics, cam_from_world = view.calibration()
        shown.append(panoptic_view(model, view_camera(cam_from_world.float(), intrinsics.float(), view.hw), choices))
    maps = torch.stack([item.semantic_id for item in shown]), torch.stack([item.instance_id for item in shown])
    return refined_view_figures(maps, truth, model.labels)


def label_figures(scene: SceneLabels, truth: PanopticMaps, reduction: int = QUARTER) -> RefinedViewFigures:
    """Measure 2D labels as `refined_view_figures` does maps: ids of every view are objects of their own.

    Args:
        scene: Labels of V views.
        truth: (semantic_id, instance_id), each (V, H, W), in the classes of the labels.
        reduction: Of the loose form, 4 as published.

    Returns:
        Figures of the scene.

    Raises:
        ValueError: The truth has another shape.
    """
    return refined_view_figures(maps_of_scene(scene), truth, scene.labels, reduction)


def maps_of_scene(scene: SceneLabels) -> PanopticMaps:
    """Maps of all views of one size, no id in two of them. Raises `ValueError` for views of several sizes and for none."""
    sizes = {tuple(view.semantics.shape) for view in scene.views}
    if len(sizes) != 1:
        raise ValueError(f"scene.views: expected views of one size, got {sorted(sizes) or 'none'}")
    semantics, ids, used = [], [], 0
    for view in scene.views:
        classes, rows = maps_of_labels(view)
        semantics.append(classes)
        ids.append(torch.where(rows > 0, rows + used, 0))
        used += len(view.masks)
    return torch.stack(semantics), torch.stack(ids)


def mean_figures(scenes: Sequence[RefinedViewFigures]) -> RefinedViewFigures:
    """Over scenes: shares are means of the scenes that have them, counts are added up."""

    def over_scenes(name: str, kind: str) -> Any:
        values = [getattr(scene, name) for scene in scenes]
        if kind == "int":
            return sum(values)
        known = [value for value in values if not math.isnan(value)]
        return float(np.mean(known)) if known else math.nan

    return RefinedViewFigures(**{item.name: over_scenes(item.name, str(item.type)) for item in fields(RefinedViewFigures)})


def _without_stuff_ids(maps: PanopticMaps, labels: LabelSpace) -> PanopticMaps:
    """Ids of things only."""
    classes, ids = maps
    is_thing = torch.tensor([*labels.is_thing, False], device=classes.device)  # the last one serves -1
    return classes, torch.where(is_thing[classes], ids, 0)
