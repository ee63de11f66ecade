"""Averaged weights (Polyak & Juditsky 1992, exponential form): what is measured and exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.run.whole_state import load_model_state, local, model_state


class AveragedModel:
    """A second copy of the model that follows the first slowly. Frozen parameters are shared, not copied."""

    def __init__(self, model: nn.Module, copy: nn.Module, *, sharded: bool) -> None:
        """`copy`: of the same structure as `model`, on the same device, sharded alike."""
        self.model, self.module, self.sharded = model, copy.requires_grad_(False), sharded
        pairs = list(zip(model.parameters(), self.module.parameters(), strict=True))
        self._trained = [(own, mean) for own, mean in pairs if own.requires_grad]
        self.follow(0.0)
        with torch.no_grad():
            for own, mean in pairs:
                if not own.requires_grad and sharded:
                    local(mean).copy_(local(own))
                elif not own.requires_grad:
                    mean.data = own.data

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """mean = decay * mean + (1 - decay) * model; buffers are taken over as they are."""
        means = [local(mean) for _, mean in self._trained]
        torch._foreach_lerp_(means, [local(own) for own, _ in self._trained], 1 - decay)
        for mean, buffer in zip(self.module.buffers(), self.model.buffers(), strict=True):
            mean.copy_(buffer)

    def state(self) -> dict[str, Tensor]:
        """Whole tensors by name, complete on rank 0 only. All ranks must call it."""
        return model_state(self.module, sharded=self.sharded)

    def load(self, state: dict[str, Tensor]) -> None:
        load_model_state(self.module, state, sharded=self.sharded)
