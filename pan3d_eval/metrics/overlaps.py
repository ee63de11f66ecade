"""How the segments of two panoptic maps overlap: the sparse confusion matrix that all panoptic measures start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

VOID = -1
LARGEST_ID = 1 << 32  # instance ids must stay below


@dataclass(frozen=True)
class SegmentOverlaps:
    """P predicted against T true segments of one image or scene, in elements."""

    shared: np.ndarray  # (P, T) float64
    predicted_classes: np.ndarray  # (P,) int64
    true_classes: np.ndarray  # (T,) int64
    predicted_ids: np.ndarray  # (P,) int64 instance ids
    true_ids: np.ndarray  # (T,) int64
    predicted_sizes: np.ndarray  # (P,) float64, void included
    true_sizes: np.ndarray  # (T,) float64
    predicted_on_void: np.ndarray  # (P,) float64, elements where the truth is void
    true_on_void: np.ndarray  # (T,) float64, elements where the prediction is void


def segment_overlaps(predicted: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor]) -> SegmentOverlaps:
    """`predicted` and `truth`: (semantic_id, instance_id), four integer tensors of one shape; semantic -1 = void.

    Every pair of class and instance id is a segment. Raises `ValueError` for shapes that differ and ids out of range.
    """
    shapes = {tuple(item.shape) for item in (*predicted, *truth)}
    if len(shapes) != 1:
        raise ValueError(f"predicted, truth: expected one shape for all four maps, got {sorted(shapes)}")
    (codes_p, rows), (codes_t, columns) = (np.unique(_codes(*pair), return_inverse=True) for pair in (predicted, truth))
    counts = np.bincount(rows * len(codes_t) + columns, minlength=len(codes_p) * len(codes_t))
    counts = counts.reshape(len(codes_p), len(codes_t)).astype(np.float64)
    real_p, real_t = codes_p != VOID, codes_t != VOID
    return SegmentOverlaps(
        shared=counts[real_p][:, real_t],
        predicted_classes=codes_p[real_p] // LARGEST_ID,
        true_classes=codes_t[real_t] // LARGEST_ID,
        predicted_ids=codes_p[real_p] % LARGEST_ID,
        true_ids=codes_t[real_t] % LARGEST_ID,
        predicted_sizes=counts.sum(1)[real_p],
        true_sizes=counts.sum(0)[real_t],
        predicted_on_void=counts[real_p][:, ~real_t].sum(1),
        true_on_void=counts[~real_p][:, real_t].sum(0),
    )


def _codes(semantic: Tensor, instance: Tensor) -> np.ndarray:
    """(N,) one number per segment, class in its upper part; `VOID` where there is none."""
    classes, ids = (item.reshape(-1).cpu().numpy().astype(np.int64) for item in (semantic, instance))
    known = classes >= 0
    if known.any() and not (ids[known].min() >= 0 and ids[known].max() < LARGEST_ID):
        raise ValueError(f"instance_id: expected 0..{LARGEST_ID - 1}, got {ids[known].min()}..{ids[known].max()}")
    return np.where(known, classes * LARGEST_ID + ids, VOID)
