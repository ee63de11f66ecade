"""From which score on answers may be given so that at most a chosen share of them is wrong (conformal calibration).

Answers of rendered worlds say what scores are usually worth; each confirmation on site says what they are worth here. The two are
counted together, the worlds as `WORLDS_WEIGHT` answers however many they are, so that twenty confirmations are heard and hundreds
decide alone. One more answer that is wrong is always added, as split conformal calibration does for the one to come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WORLDS_WEIGHT = 30.0  # answers on site that all answers of the worlds together are worth
NOTHING = math.inf  # a score that no answer has


@dataclass(frozen=True)
class Confirmation:
    """An answer that somebody has looked at."""

    score: float  # 0..1, as the answer had it
    right: bool

    def __post_init__(self) -> None:
        if isinstance(self.score, bool) or not isinstance(self.score, (int, float)) or not 0.0 <= self.score <= 1.0:
            raise ValueError(f"Confirmation.score: expected 0 to 1, got {self.score!r}")
        if not isinstance(self.right, bool):
            raise ValueError(f"Confirmation.right: expected true or false, got {self.right!r}")


@dataclass(frozen=True)
class Guarantee:
    """What may be answered."""

    wrong_share: float  # of the answers given, at most, that was asked for
    least: float  # answers of a lower score are refused; `NOTHING` = all are
    answered: float  # share of the answers that are expected to be given
    confirmations: int  # on site, that this rests on

    def gives(self, score: float) -> bool:
        """Whether an answer of this score is given."""
        return score >= self.least

    def refusal(self, score: float) -> str:
        """Say why an answer is not given."""
        if self.least == NOTHING:
            few = f"{self.confirmations} confirmations here are too few, or too many of them were wrong,"
            return f"refused: {few} to warrant that at most {self.wrong_share:.0%} of the answers are wrong"
        return (
            f"refused: its score is {score:.2f}, and only from {self.least:.2f} on are at most {self.wrong_share:.0%} of the "
            f"answers wrong ({self.confirmations} confirmations here)"
        )


def guarantee(
    wrong_share: float,
    site: Sequence[Confirmation],
    worlds: Sequence[Confirmation],
    worlds_weight: float = WORLDS_WEIGHT,
) -> Guarantee:
    """Find the lowest score from which on at most a share of the answers is wrong.

    Args:
        wrong_share: More than 0, less than 1.
        site: Answers on site that somebody has looked at; all of them, not only those that were wrong.
        worlds: Answers of other places.
        worlds_weight: Answers on site that all of these together are worth.

    Returns:
        What may be answered. Of the answers given, the share that is wrong is at most the chosen one on average over sites where
        scores are worth what they are at this one and in the worlds, weighted.

    Raises:
        ValueError: The share or the weight is out of its range.
    """
    if not 0.0 < wrong_share < 1.0:
        raise ValueError(f"wrong_share: expected more than 0 and less than 1, got {wrong_share:g}")
    if not (math.isfinite(worlds_weight) and worlds_weight >= 0):
        raise ValueError(f"worlds_weight: expected 0 or more, got {worlds_weight:g}")
    each = worlds_weight / max(len(worlds), 1)
    scores = np.array([item.score for item in (*site, *worlds)], np.float64)
    wrong = np.array([not item.right for item in (*site, *worlds)], np.float64)
    weights = np.array([1.0] * len(site) + [each] * len(worlds), np.float64)
    if not len(scores):
        return Guarantee(wrong_share, NOTHING, 0.0, 0)
    order = np.argsort(-scores, kind="stable")
    scores, wrong, weights = scores[order], wrong[order], weights[order]
    given, bad = np.cumsum(weights), np.cumsum(weights * wrong)
    ends = np.append(scores[1:] != scores[:-1], True)  # answers of one score are given or refused together
    fits = ends & ((bad + 1.0) / (given + 1.0) <= wrong_share)
    if not fits.any():
        return Guarantee(wrong_share, NOTHING, 0.0, len(site))
    last = int(np.flatnonzero(fits)[-1])
    return Guarantee(wrong_share, float(scores[last]), float(given[last] / given[-1]), len(site))
