"""How well a reconstructed point cloud agrees with a true one (Knapitsch et al. 2017: precision, recall and F-score)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from torch import Tensor

DEFAULT_THRESHOLD_M = 0.05


@dataclass(frozen=True)
class CloudErrors:
    """Distances in the clouds' unit, metres. NaN where one of the clouds is empty, but for the shares, which are then 0."""

    accuracy_m: float  # mean distance of predicted points to the nearest true one
    accuracy_median_m: float
    completeness_m: float  # mean distance of true points to the nearest predicted one
    completeness_median_m: float
    chamfer_m: float  # mean of accuracy and completeness
    precision: float  # share of predicted points closer than `threshold_m` to a true one
    recall: float  # share of true points closer than `threshold_m` to a predicted one
    f_score: float  # harmonic mean of both
    threshold_m: float


def cloud_errors(predicted: Tensor, truth: Tensor, threshold_m: float = DEFAULT_THRESHOLD_M) -> CloudErrors:
    """Compare two point clouds of one world frame (Knapitsch et al. 2017); nothing is aligned here.

    The measures weigh points, so thin both clouds alike first.

    Args:
        predicted: (N, 3) metres.
        truth: (M, 3) metres.
        threshold_m: Up to which distance points agree.

    Returns:
        Distances and shares; NaN shares for an empty truth.

    Raises:
        ValueError: A cloud has another shape, or the threshold is not positive.
    """
    for name, points in (("predicted", predicted), ("truth", truth)):
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"{name}: expected shape (N, 3), got {tuple(points.shape)}")
    if threshold_m <= 0:
        raise ValueError(f"threshold_m: expected more than 0, got {threshold_m}")
    cloud_p, cloud_t = (item.detach().double().cpu().numpy() for item in (predicted, truth))
    if not len(cloud_p) or not len(cloud_t):
        share = 0.0 if len(cloud_t) else math.nan
        nan = math.nan
        return CloudErrors(nan, nan, nan, nan, nan, share, share, share, threshold_m)
    to_truth = np.asarray(cKDTree(cloud_t).query(cloud_p)[0])
    to_predicted = np.asarray(cKDTree(cloud_p).query(cloud_t)[0])
    precision, recall = float((to_truth < threshold_m).mean()), float((to_predicted < threshold_m).mean())
    return CloudErrors(
        accuracy_m=float(to_truth.mean()),
        accuracy_median_m=float(np.median(to_truth)),
        completeness_m=float(to_predicted.mean()),
        completeness_median_m=float(np.median(to_predicted)),
        chamfer_m=float(to_truth.mean() + to_predicted.mean()) / 2,
        precision=precision,
        recall=recall,
        f_score=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        threshold_m=threshold_m,
    )
