"""Panoptic quality as the evaluator of PanopticRecon++ computes it: not comparable to the strict form.

All frames of a scene are one picture, at a quarter of the resolution. A segment has the class of most of its pixels. A match
needs an IoU over 0.1 only (0.3 in some of the published scripts), and since two segments can both have that with a third one,
it may count several times. Pixels of an evaluated class that belong to no instance form a segment of their own, per class;
stuff instances of a class are joined; classes that never occur count as zero in the means. Void is taken out of the union on
the side of the truth, as for COCO.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_eval.metrics.overlaps import VOID, segment_overlaps
from pan3d_eval.metrics.panoptic import average_quality, match_segments

LOOSE_IOU = 0.1
QUARTER = 4


@dataclass(frozen=True)
class LoosePanopticQuality:
    """0..1. The names say which form it is, so that no table mixes it with `PanopticQuality`."""

    loose_pq: float
    loose_sq: float
    loose_rq: float
    min_iou: float
    per_class: dict[int, tuple[float, float, float]]  # class_id -> (pq, sq, rq)
    mean_coverage: float  # mCov; NaN without true things
    weighted_coverage: float  # mWCov, by the sizes of the true instances


def loose_panoptic_quality(
    predicted: tuple[Tensor, Tensor],
    truth: tuple[Tensor, Tensor],
    labels: LabelSpace,
    *,
    evaluated: Collection[int] | None = None,
    min_iou: float = LOOSE_IOU,
    reduction: int = QUARTER,
) -> LoosePanopticQuality:
    """Panoptic quality of one scene as the evaluator of PanopticRecon++ computes it; not comparable to `panoptic_quality`.

    Args:
        predicted: (semantic_id, instance_id), each (S, h, w); semantic -1 = no class, instance 0 = none.
        truth: Likewise.
        labels: What the classes are.
        evaluated: The classes that count, by default all.
        min_iou: What a match needs more than.
        reduction: Every so many-th pixel of rows and columns counts; 1 leaves the resolution as it is.

    Returns:
        The loose figures, with the coverage of true things.
    """
    maps = [tuple(reduced(item, reduction).reshape(-1).long() for item in pair) for pair in (predicted, truth)]
    (semantic_p, instance_p), (semantic_t, instance_t) = maps
    chosen = range(len(labels)) if evaluated is None else evaluated
    classes_t, ids_t, is_thing = _segments_by_majority(semantic_t, instance_t, labels, chosen)
    coverage, sizes = thing_coverage(instance_p.cpu(), torch.where(is_thing, ids_t, 0))
    classes_p, ids_p, _ = _segments_by_majority(semantic_p, instance_p, labels, chosen)
    overlaps = segment_overlaps((classes_p, ids_p), (classes_t, ids_t))
    quality = average_quality(match_segments(overlaps, len(labels), min_iou=min_iou), classes=chosen)
    return LoosePanopticQuality(
        loose_pq=quality.pq,
        loose_sq=quality.sq,
        loose_rq=quality.rq,
        min_iou=min_iou,
        per_class=quality.per_class,
        mean_coverage=float(coverage.mean()) if len(coverage) else math.nan,
        weighted_coverage=float(coverage @ sizes / sizes.sum()) if len(coverage) else math.nan,
    )


def thing_coverage(predicted_ids: Tensor, true_ids: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(G,) IoU of every true instance with the predicted one that covers most of it, and (G,) sizes; ids of one shape, 0 =
    none. An instance that nothing covers has 0; of two that cover the same the one with the smaller id is taken."""
    overlaps = segment_overlaps(*((torch.where(ids > 0, 0, VOID), ids) for ids in (predicted_ids, true_ids)))
    if not len(overlaps.predicted_ids):
        return np.zeros(len(overlaps.true_ids)), overlaps.true_sizes
    best = overlaps.shared.argmax(axis=0)
    shared = overlaps.shared[best, np.arange(len(best))]
    return shared / (overlaps.predicted_sizes[best] + overlaps.true_sizes - shared), overlaps.true_sizes


def reduced(values: Tensor, reduction: int) -> Tensor:
    """(..., h, w) -> (..., h // reduction, w // reduction), the nearest pixel of each centre."""
    height, width = values.shape[-2:]
    if reduction < 1 or reduction > min(height, width):
        raise ValueError(f"reduction: expected 1..{min(height, width)}, got {reduction}")
    picks = [
        ((torch.arange(size // reduction, dtype=torch.float64) + 0.5) * (size / (size // reduction))).long()
        for size in (height, width)
    ]
    return values[..., picks[0][:, None].to(values.device), picks[1].to(values.device)]


def _segments_by_majority(
    semantic: Tensor, instance: Tensor, labels: LabelSpace, evaluated: Collection[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) class and id of every element's segment (`VOID` and 0 = none), and (N,) whether it is an instance of a thing."""
    numbers, place = np.unique(instance.cpu().numpy(), return_inverse=True)
    semantic_of = semantic.cpu().numpy()
    width = len(labels) + 1  # a column for "no class" in front, as it wins ties in the program
    counts = np.bincount(place * width + semantic_of + 1, minlength=len(numbers) * width).reshape(-1, width)
    class_of = counts.argmax(axis=1) - 1
    class_of[(numbers == 0) | ~np.isin(class_of, list(evaluated))] = VOID
    is_thing = np.array([*labels.is_thing, False])[class_of]  # VOID picks the last one
    id_of = np.where(class_of == VOID, 0, numbers)
    for class_id in set(class_of[~is_thing].tolist()) - {VOID}:  # one segment per stuff class
        rows = class_of == class_id
        id_of[rows] = id_of[rows].min()
    classes, ids = class_of[place], id_of[place]
    loose = (numbers[place] == 0) & np.isin(semantic_of, list(evaluated))
    classes[loose] = semantic_of[loose]
    ids[loose] = numbers.max(initial=0) + 1 + semantic_of[loose]
    return torch.from_numpy(classes), torch.from_numpy(ids), torch.from_numpy(is_thing[place])
