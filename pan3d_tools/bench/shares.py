"""Shares and quantiles of few samples, with how far they may be off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom


def rate(successes: int, trials: int) -> dict[str, float]:
    """Give a share with its Wilson 95 % interval.

    Args:
        successes: Of the trials.
        trials: All.

    Returns:
        `share`, `low` and `high`; of no trials 0, 0 and 1.
    """
    if trials == 0:
        return {"share": 0.0, "low": 0.0, "high": 1.0}
    z, p = 1.96, successes / trials
    center = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return {"share": p, "low": max(float(center - half), 0.0), "high": min(float(center + half), 1.0)}  # rounding aside


def quantile(values: Sequence[float], share: float) -> dict[str, float]:
    """Give a quantile with a 95 % interval that supposes nothing of how the values are spread.

    Args:
        values: In any order and unit.
        share: Which quantile, 0..1.

    Returns:
        `value`, and `low` and `high`, each one of the values: so many lie below a quantile as heads fall of so many coins. Of no
        values all are 0.
    """
    if not values:
        return {"value": 0.0, "low": 0.0, "high": 0.0}
    ordered, count = np.sort(np.asarray(values, float)), len(values)
    low, high = (int(binom.ppf(end, count, share)) for end in (0.025, 0.975))
    return {
        "value": float(np.quantile(ordered, share)),
        "low": float(ordered[max(low - 1, 0)]),
        "high": float(ordered[min(high, count - 1)]),
    }
