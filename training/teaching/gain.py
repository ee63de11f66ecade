"""Whether a network has become better, or only looks so in the data that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pan3d_eval.metrics.average_precision import SceneOverlaps, instance_ap
from training.judge.objects import MIN_TRUE_CELLS

MIN_SCENES = 3  # fewer say nothing of scenes that were not recorded
DRAWS = 400
LEVEL = 0.95


@dataclass(frozen=True)
class Gain:
    """AP50 before and after on the same samples."""

    before: float
    after: float
    low: float  # limits of the difference that scenes like these show; NaN with too few of them
    high: float
    scenes: int

    @property
    def verdict(self) -> str:
        """In words: what the data show."""
        change = f"AP50 {self.before:.3f} before, {self.after:.3f} after ({self.after - self.before:+.3f})"
        if self.scenes < MIN_SCENES:
            return f"{change}; {self.scenes} of at least {MIN_SCENES} scenes: too few to say whether that is more than chance"
        limits = f"{100 * LEVEL:.0f} % interval over {self.scenes} scenes {self.low:+.3f} to {self.high:+.3f}"
        if self.low > 0:
            return f"{change}: better, {limits}"
        if self.high < 0:
            return f"{change}: worse, {limits}"
        return f"{change}: within what the data can show, {limits}"


def gain_of(before: Sequence[SceneOverlaps], after: Sequence[SceneOverlaps], samples_of: Sequence[int], seed: int = 0) -> Gain:
    """Compare a network with itself before training, on the same samples (paired bootstrap over scenes).

    Args:
        before: Overlaps of each sample.
        after: Likewise.
        samples_of: How many samples each scene has, in their order: those of one scene are alike, so scenes are drawn.
        seed: Of the drawing.

    Returns:
        The difference and its limits.

    Raises:
        ValueError: The samples are not as many as the scenes have.
    """
    if not len(before) == len(after) == sum(samples_of):
        got = f"{len(before)} and {len(after)}"
        raise ValueError(f"before, after: expected {sum(samples_of)} samples as the scenes have, got {got}")
    ends = np.cumsum(samples_of)
    rows = [list(range(end - count, end)) for count, end in zip(samples_of, ends, strict=True)]
    low = high = float("nan")
    if len(rows) >= MIN_SCENES:
        rng = np.random.default_rng(seed)
        drawn = [tuple(sorted(rng.integers(len(rows), size=len(rows)).tolist())) for _ in range(DRAWS)]
        change_of = {}  # few scenes are drawn alike many times
        for scenes in set(drawn):
            chosen = [row for scene in scenes for row in rows[scene]]
            change_of[scenes] = _ap50(after, chosen) - _ap50(before, chosen)
        changes = [change_of[scenes] for scenes in drawn]
        low, high = (float(value) for value in np.quantile(changes, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    every = list(range(len(before)))
    return Gain(_ap50(before, every), _ap50(after, every), low, high, len(rows))


def _ap50(samples: Sequence[SceneOverlaps], chosen: Sequence[int]) -> float:
    value = instance_ap([samples[row] for row in chosen], min_points=MIN_TRUE_CELLS).ap50
    return float(np.nan_to_num(value))
