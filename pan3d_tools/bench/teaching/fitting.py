"""Finding the weights of the cues: a logistic regression on pairs of appearances, with what was taught on one side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pan3d_core.teaching import CUES, CueWeight, Weights, cue_distances
from pan3d_tools.bench.teaching.tables import Candidate, Group

Floats = npt.NDArray[np.float64]
NAMES = tuple(cue.name for cue in CUES)
WHOLE = 0.5  # intersection over union from which an instance shows the whole object
_STEPS, _RATE, _RIDGE = 3000, 0.05, 1e-3


def pairs_of(groups: Sequence[Group]) -> tuple[Floats, Floats]:
    """Pair what was taught with what stands on the tables of its own and of the next group.

    Args:
        groups: At least one.

    Returns:
        (N, C) distances by the cues of `NAMES`, NaN where one is not known; and (N,) 1 where both are the same object. Instances
        that show a part of the object are in no pair with it.
    """
    rows: list[list[float]] = []
    same: list[float] = []

    def add(taught: object, item: Candidate, is_same: bool) -> None:
        measured = cue_distances(taught, item.looks)  # type: ignore[arg-type]
        rows.append([np.nan if measured[name] is None else float(measured[name] or 0.0) for name in NAMES])
        same.append(float(is_same))

    for position, group in enumerate(groups):
        other = groups[(position + 1) % len(groups)]
        for index, looks in group.taught.items():
            for item in (item for found in group.rounds for item in found):
                if item.index != index or item.iou > WHOLE:
                    add(looks, item, item.index == index)
            for item in other.rounds[0] if other is not group else ():
                add(looks, item, False)
    return np.array(rows), np.array(same)


def fitted(distances: Floats, same: Floats) -> Weights:
    """Fit the weights; none of them makes a larger distance speak for the same object.

    Args:
        distances: As of `pairs_of`.
        same: Likewise.

    Returns:
        The weights.

    Raises:
        ValueError: All pairs are of one kind.
    """
    if not 0 < same.sum() < len(same):
        raise ValueError(f"pairs: expected some of the same object and some of others, got {same.sum():.0f} of {len(same)}")
    known = [not np.isnan(column).all() for column in distances[same > 0].T]
    scales = np.maximum(np.nanmedian(distances[same > 0][:, known], axis=0), 1e-6)
    logs = np.log1p(distances[:, known] / scales)
    neutral = 0.5 * (np.nanmean(logs[same > 0], axis=0) + np.nanmean(logs[same == 0], axis=0))
    filled = np.where(np.isnan(logs), neutral, logs)
    weights, bias = _logistic(filled, same)
    names = [name for name, is_known in zip(NAMES, known) if is_known]
    cues = {
        name: CueWeight(round(float(w), 4), round(float(s), 4), round(float(w * n), 4))
        for name, w, s, n in zip(names, weights, scales, neutral)
    }
    return Weights(round(float(bias), 4), cues)


def _logistic(values: Floats, same: Floats) -> tuple[Floats, float]:
    """Weights, none above 0, and the bias, by Adam on standardised values."""
    mean, spread = values.mean(0), values.std(0) + 1e-9
    standard = (values - mean) / spread
    point = np.append(np.zeros(standard.shape[1]), -3.0)
    first, second = np.zeros_like(point), np.zeros_like(point)
    for step in range(1, _STEPS + 1):
        probability = 1 / (1 + np.exp(-(standard @ point[:-1] + point[-1])))
        missed = probability - same
        gradient = np.append(standard.T @ missed / len(same) + _RIDGE * point[:-1], missed.mean())
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        point = point - _RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-9)
        point[:-1] = np.minimum(point[:-1], 0.0)
    weights = point[:-1] / spread
    return weights, float(point[-1] - (weights * mean).sum())
