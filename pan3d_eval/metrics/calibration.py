"""Whether a score of 0.8 means "right in eight of ten cases"."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

DEFAULT_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Scores against how often they were right; NaN and empty where there were no scores. Only filled bins are listed."""

    ece: float  # mean over all scores of |share of right ones - mean score| of their bin
    worst: float  # the largest such difference of a bin
    brier: float  # mean (score - right)^2
    mean_score: np.ndarray  # (B,) of each filled bin
    share_right: np.ndarray  # (B,)
    count: np.ndarray  # (B,) int64


def expected_calibration_error(scores: np.ndarray, right: np.ndarray, num_bins: int = DEFAULT_BINS) -> Calibration:
    """Measure how far scores are from the shares that are right (ECE: Naeini et al. 2015; Guo et al. 2017, eq. 3).

    Args:
        scores: (N,) probabilities 0..1, one per prediction.
        right: (N,) bool, whether the prediction is right.
        num_bins: M bins of equal width; bin m holds ((m - 1) / M, m / M], the first one 0 as well.

    Returns:
        ECE and what it is made of.

    Raises:
        ValueError: Shapes differ, or a score is outside 0..1.
    """
    scores, right = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    if scores.ndim != 1 or scores.shape != right.shape:
        raise ValueError(f"scores, right: expected two arrays of one length, got {scores.shape} {right.shape}")
    if num_bins < 1:
        raise ValueError(f"num_bins: expected 1 or more, got {num_bins}")
    if len(scores) == 0:
        nothing = np.zeros(0)
        return Calibration(math.nan, math.nan, math.nan, nothing, nothing, nothing.astype(np.int64))
    if not (scores.min() >= 0.0 and scores.max() <= 1.0):
        raise ValueError(f"scores: expected probabilities 0..1, got {scores.min()}..{scores.max()}")
    bins = np.searchsorted(np.arange(1, num_bins) / num_bins, scores, side="left")
    count = np.bincount(bins, minlength=num_bins)
    filled = count > 0
    mean_score = np.bincount(bins, scores, num_bins)[filled] / count[filled]
    share_right = np.bincount(bins, right, num_bins)[filled] / count[filled]
    gaps = np.abs(share_right - mean_score)
    return Calibration(
        ece=float(gaps @ count[filled] / len(scores)),
        worst=float(gaps.max()),
        brier=float(np.square(scores - right).mean()),
        mean_score=mean_score,
        share_right=share_right,
        count=count[filled],
    )
