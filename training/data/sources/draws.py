"""What is drawn once for a step, the same on all ranks, so that these take equally long: views, pictures' shape, source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator

from training.settings import SamplingConfig

_VIEWS, _ASPECT, _SOURCE = 0, 4, 5  # purposes of random numbers; 1 to 3 are a sample's own


def seed_from(*numbers: int) -> int:
    """A seed that depends on all of the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator_from(*numbers: int) -> Generator:
    return Generator().manual_seed(seed_from(*numbers))


@dataclass(frozen=True)
class StepDraws:
    """The draws of a run, anew from its seed and a step's number, never carried along."""

    config: SamplingConfig
    seed: int

    def views(self, step: int, available: int) -> int:
        """Views of each sample, of which the scenes have so many."""
        weights = torch.tensor(self.config.view_weights)
        drawn = int(torch.multinomial(weights, 1, generator=generator_from(self.seed, step, _VIEWS)))
        return min(int(self.config.view_counts[drawn]), available)

    def scenes(self, views: int) -> int:
        """Scenes of a batch: as many as its pictures may be, or as the settings say."""
        return max(self.config.images // views, 1) if self.config.images else self.config.batch

    def aspect(self, step: int) -> float | None:
        """Height of the pictures in widths; None = as they are."""
        if not self.config.aspects:
            return None
        low, high = self.config.aspects
        return low + (high - low) * float(torch.rand((), generator=generator_from(self.seed, step, _ASPECT)))

    def sources(self, step: int, parts: Sequence[int], weights: Sequence[float]) -> list[int]:
        """Which source each of the accumulated batches `parts` of a step is from; those of weight 0 are from none."""
        shares = torch.tensor(weights, dtype=torch.float64)
        return [int(torch.multinomial(shares, 1, generator=generator_from(self.seed, step, _SOURCE, part))) for part in parts]
