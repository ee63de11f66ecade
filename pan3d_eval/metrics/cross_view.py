"""Instances that must be one object in all views, scored view by view: the form released with EPS3D, after Unified-Lift.

The IoU of a true and a predicted instance is the mean of their IoUs in the views that show the true one. An assignment of the
largest sum pairs them; mIoU is the mean over true instances (0 for one without a partner), a hit is an IoU over 0.5. Predicted
pixels where the truth is 0 are taken out of the masks, but an id that only occurs there still counts as predicted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor

HIT_IOU = 0.5


@dataclass(frozen=True)
class CrossViewInstances:
    """0..1. All NaN for a scene without true instances, all 0 for one in which none is predicted (the released program leaves
    both kinds of scene out of its means)."""

    miou: float
    precision: float  # hits over predicted ids
    recall: float  # hits over true ids
    f_score: float
    num_true: int
    num_predicted: int


def cross_view_instances(predicted_ids: Tensor, true_ids: Tensor) -> CrossViewInstances:
    """Measure ids of one scene that should hold through its views.

    Args:
        predicted_ids: (S, h, w) integers, 0 = none.
        true_ids: (S, h, w) integers, 0 = none.

    Returns:
        One figure of each kind for the scene; NaN where the truth has no instance.

    Raises:
        ValueError: Shapes differ or are others.
    """
    if predicted_ids.shape != true_ids.shape or true_ids.ndim != 3:
        raise ValueError(
            f"predicted_ids, true_ids: expected equal shapes (S, h, w), got {tuple(predicted_ids.shape)} {tuple(true_ids.shape)}"
        )
    views = len(true_ids)
    numbers_t, rows = np.unique(true_ids.cpu().numpy(), return_inverse=True)
    numbers_p, columns = np.unique(predicted_ids.cpu().numpy(), return_inverse=True)
    place = (np.repeat(np.arange(views), true_ids[0].numel()) * len(numbers_t) + rows.ravel()) * len(numbers_p) + columns.ravel()
    counts = np.bincount(place, minlength=views * len(numbers_t) * len(numbers_p))
    counts = counts.reshape(views, len(numbers_t), len(numbers_p)).astype(np.float64)
    counts = counts[:, numbers_t > 0]  # predictions where the truth is 0 are out
    num_true, num_predicted = counts.shape[1], int((numbers_p > 0).sum())
    if num_true == 0:
        return CrossViewInstances(math.nan, math.nan, math.nan, math.nan, 0, num_predicted)
    if num_predicted == 0:
        return CrossViewInstances(0.0, 0.0, 0.0, 0.0, num_true, 0)
    sizes_t, shared = counts.sum(2), counts[:, :, numbers_p > 0]
    unions = sizes_t[:, :, None] + shared.sum(1)[:, None] - shared
    visible = sizes_t > 0
    ious = np.where(visible[:, :, None], shared / np.maximum(unions, 1.0), 0.0).sum(0) / visible.sum(0)[:, None]
    paired = ious[linear_sum_assignment(ious, maximize=True)]
    hits = int((paired > HIT_IOU).sum())
    precision, recall = hits / num_predicted, hits / num_true
    return CrossViewInstances(
        miou=float(paired.sum() / num_true),
        precision=precision,
        recall=recall,
        f_score=2 * precision * recall / (precision + recall + 1e-6),
        num_true=num_true,
        num_predicted=num_predicted,
    )


def mean_cross_view(scenes: Sequence[CrossViewInstances]) -> CrossViewInstances:
    """Mean over the scenes that have true instances; counts are added up."""
    known = [scene for scene in scenes if scene.num_true]
    names = ("miou", "precision", "recall", "f_score")
    means = {name: float(np.mean([getattr(s, name) for s in known])) if known else math.nan for name in names}
    return CrossViewInstances(
        **means, num_true=sum(s.num_true for s in scenes), num_predicted=sum(s.num_predicted for s in scenes)
    )
