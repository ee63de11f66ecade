"""Panoptic quality (Kirillov et al. 2019, eq. 1), per image as COCO counts it and per scene.

A predicted and a true segment of one class match when their IoU is over 0.5; PQ = sum of IoU / (TP + FP / 2 + FN / 2).

* Per image (`panopticapi`, the program of COCO): counts of all images are added up before dividing; void of the truth is
  taken out of the union; crowd regions are never missed; an unmatched prediction that lies with more than half on void and on
  crowd of its class is not counted; the mean runs over classes that occurred.
* Per scene (Siddiqui et al. 2023, "Panoptic Lifting"): all views are one picture, so that identities must hold through them;
  elements without true class are dropped; a class that covers some, but less than `min_share`, of the kept elements in
  prediction or truth becomes void; void of the prediction is taken out of the union as well, and a true segment that lies
  with more than half on it is not missed; the mean runs over all other classes that are in either map. The published
  programs use a share of 0.5 %: a class that was found on few pixels is forgiven, one that was not found at all is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_eval.metrics.overlaps import VOID, SegmentOverlaps, segment_overlaps

MIN_IOU = 0.5


@dataclass(frozen=True)
class PanopticCounts:
    """Per class (C,); counts of images can be added."""

    iou: np.ndarray  # sum over matches
    hits: np.ndarray
    spurious: np.ndarray  # predicted segments without a match
    missed: np.ndarray  # true segments without a match

    def __add__(self, other: PanopticCounts) -> PanopticCounts:
        return PanopticCounts(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values())))


@dataclass(frozen=True)
class PanopticQuality:
    """0..1, means over classes; NaN when no class was left to measure."""

    pq: float
    sq: float  # mean IoU of matched segments, 0 for a class without a match
    rq: float  # F1 of finding segments
    per_class: dict[int, tuple[float, float, float]]  # class_id -> (pq, sq, rq)


def panoptic_quality(
    predicted: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], labels: LabelSpace, min_share: float = 0.0
) -> PanopticQuality:
    """Panoptic quality of one scene (Kirillov et al. 2019), all views as one picture.

    Args:
        predicted: (semantic_id, instance_id), integers of any one shape; semantic -1 = none. Ids of stuff classes are ignored.
        truth: Likewise; ids need not agree with those of the prediction. Elements without true class are left out.
        labels: What the classes are.
        min_share: Classes with a smaller share of the elements, in prediction or truth, are not measured.

    Returns:
        PQ, SQ and RQ, means over the measured classes and per class.

    Raises:
        ValueError: The four maps are not of one shape.
    """
    shapes = {tuple(item.shape) for item in (*predicted, *truth)}
    if len(shapes) != 1:
        raise ValueError(f"predicted, truth: expected one shape for all four maps, got {sorted(shapes)}")
    kept = truth[0].reshape(-1) >= 0
    pairs = [(classes.reshape(-1)[kept].long(), ids.reshape(-1)[kept].long()) for classes, ids in (predicted, truth)]
    total = int(kept.sum())
    shares = [torch.bincount(pair[0][pair[0] >= 0], minlength=len(labels)) / max(total, 1) for pair in pairs]
    present = shares[0] + shares[1] > 0
    tiny = [(share > 0) & (share < min_share) for share in shares]
    measured = present & ~tiny[0] & ~tiny[1]
    mine, true = (_measured_maps(classes, ids, labels, measured) for classes, ids in pairs)
    overlaps = segment_overlaps(mine, true)
    counts = match_segments(overlaps, len(labels), forgive_predicted_void=True)
    return average_quality(counts, classes=[k for k in range(len(labels)) if measured[k]])


def coco_panoptic_counts(
    predicted: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], num_classes: int, crowd: Tensor | None = None
) -> PanopticCounts:
    """Count matches and mistakes of one image by the rules of COCO; `average_quality` makes figures of the sum over images.

    Args:
        predicted: (semantic_id, instance_id), of which every pair of ids is a segment, stuff too; semantic -1 = none.
        truth: Likewise, of the same shape.
        num_classes: How many classes there are.
        crowd: Bool of the same shape, marks the true segments that are crowd regions.

    Returns:
        Per class, to be added over images.
    """
    overlaps = segment_overlaps(predicted, truth)
    is_crowd = np.zeros(len(overlaps.true_ids), dtype=bool)
    if crowd is not None:
        marked = segment_overlaps(truth, (torch.where(crowd, truth[0], VOID), truth[1]))
        is_crowd = np.any(marked.shared > 0, axis=1)  # rows are the true segments, in the same order
    return match_segments(overlaps, num_classes, is_crowd=is_crowd)


def match_segments(
    overlaps: SegmentOverlaps,
    num_classes: int,
    *,
    is_crowd: np.ndarray | None = None,
    min_iou: float = MIN_IOU,
    forgive_predicted_void: bool = False,
) -> PanopticCounts:
    """Matches and mistakes of one image. `is_crowd` (T,) bool: true segments that are never matched and never missed."""
    crowd = np.zeros(len(overlaps.true_ids), dtype=bool) if is_crowd is None else is_crowd
    union = (overlaps.predicted_sizes - overlaps.predicted_on_void)[:, None] + overlaps.true_sizes - overlaps.shared
    if forgive_predicted_void:
        union = union - overlaps.true_on_void
    ious = np.divide(overlaps.shared, union, out=np.zeros_like(union), where=overlaps.shared > 0)
    same_class = overlaps.predicted_classes[:, None] == overlaps.true_classes
    match = same_class & ~crowd & (ious > min_iou)
    missed = ~match.any(0) & ~crowd
    if forgive_predicted_void:
        missed &= ~(overlaps.true_on_void / overlaps.true_sizes > 0.5)
    excused = overlaps.predicted_on_void + (overlaps.shared * (same_class & crowd)).sum(1)
    spurious = ~match.any(1) & ~(excused / overlaps.predicted_sizes > 0.5)
    rows, columns = np.nonzero(match)
    matched_classes = overlaps.true_classes[columns]
    return PanopticCounts(
        iou=np.bincount(matched_classes, ious[rows, columns], num_classes),
        hits=np.bincount(matched_classes, minlength=num_classes),
        spurious=np.bincount(overlaps.predicted_classes[spurious], minlength=num_classes),
        missed=np.bincount(overlaps.true_classes[missed], minlength=num_classes),
    )


def average_quality(counts: PanopticCounts, classes: Iterable[int] | None = None) -> PanopticQuality:
    """Make figures of counts.

    Args:
        counts: Of one image or the sum over several.
        classes: Over which the means are taken; None = those with a match or a mistake.

    Returns:
        PQ, SQ and RQ, means and per class.
    """
    weight = counts.hits + 0.5 * counts.spurious + 0.5 * counts.missed
    chosen: Sequence[int] = np.flatnonzero(weight > 0).tolist() if classes is None else list(classes)
    per_class = {}
    for k in chosen:
        sq = float(counts.iou[k] / counts.hits[k]) if counts.hits[k] else 0.0
        rq = float(counts.hits[k] / weight[k]) if weight[k] else 0.0
        per_class[k] = (float(counts.iou[k] / weight[k]) if weight[k] else 0.0, sq, rq)
    pq, sq, rq = np.mean(list(per_class.values()), axis=0).tolist() if per_class else [math.nan] * 3
    return PanopticQuality(pq, sq, rq, per_class)


def _measured_maps(classes: Tensor, ids: Tensor, labels: LabelSpace, measured: Tensor) -> tuple[Tensor, Tensor]:
    """Unmeasured classes become void, ids of stuff 0."""
    is_thing = torch.tensor(labels.is_thing, dtype=torch.bool, device=classes.device)
    row = classes.clamp_min(0)
    known = (classes >= 0) & measured.to(classes.device)[row]
    return torch.where(known, classes, VOID), torch.where(is_thing[row], ids, 0)
