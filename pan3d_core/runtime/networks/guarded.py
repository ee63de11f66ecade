"""A network with torch behind it, which takes over what the runtime cannot do."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from pan3d_core.runtime.networks.interface import Network, OutsideProfile, RuntimeFacts, RuntimeUnavailable, Tensors
from pan3d_core.runtime.networks.torch_network import TorchNetwork

FAILURES = 3  # in a row, after which the runtime is not asked again
logger = logging.getLogger("pan3d.runtime.networks")


class GuardedNetwork:
    """Runs a network; sets that it fails at, is not built for, or answers with numbers that are none go to torch."""

    def __init__(self, network: Network, torch_network: TorchNetwork) -> None:
        self._network: Network = network
        self._torch = torch_network
        self._failures = 0
        self._told: set[str] = set()

    @property
    def facts(self) -> RuntimeFacts:
        """Of what runs now."""
        return self._network.facts

    def __call__(self, inputs: Tensors) -> dict[str, Tensor]:
        """As `Network` has it, but for failures, of which a warning tells."""
        try:
            outputs = self._network(inputs)
        except OutsideProfile as error:
            self._tell(f"torch takes these sets over: {error}")
            return self._torch(inputs)
        except RuntimeUnavailable as error:
            return self._failed(inputs, str(error))
        strange = [name for name, value in outputs.items() if not _finite(value)]
        if strange:
            return self._failed(inputs, f"{self.facts.name} answers numbers in {', '.join(strange)} that are not finite")
        self._failures = 0
        return outputs

    def _failed(self, inputs: Tensors, reason: str) -> dict[str, Tensor]:
        self._failures += 1
        self._tell(f"torch takes this set over: {reason}")
        if self._failures >= FAILURES:
            name = self.facts.name
            self._network = self._torch.because(f"instead of {name}, which failed {FAILURES} times in a row: {reason}")
            logger.warning("%s is not asked again: %s", name, self.facts.reason)
        return self._torch(inputs)

    def _tell(self, words: str) -> None:
        if words not in self._told:
            self._told.add(words)
            logger.warning("%s", words)


def _finite(values: Tensor) -> bool:
    """A number that is none makes the sum none, which is known in a tenth of the time that looking at each takes."""
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())
