"""A network in torch, as it was written."""

from __future__ import annotations

import torch
from torch import Tensor

from pan3d_core.runtime.device import autocast_dtype
from pan3d_core.runtime.networks.interface import Graph, RuntimeFacts, Tensors

AUTOCAST = "products in {}; norms, softmax and what follows exponentials in float32"


class TorchNetwork:
    """Runs the module of a graph operation by operation, where its weights are."""

    def __init__(self, graph: Graph, precision: str, reason: str, fell_back: bool = False) -> None:
        """`precision`: as `ModelConfig.precision`. `reason`: why torch runs it."""
        self._graph, self._dtype = graph, autocast_dtype(precision)
        device = next(graph.module.parameters()).device
        self._device = device.type
        changed = "" if self._dtype is None else AUTOCAST.format(precision)
        self.facts = RuntimeFacts("torch", str(torch.__version__), str(device), precision, reason, fell_back, changed)

    def because(self, reason: str) -> TorchNetwork:
        """The same network after another runtime has failed, and why."""
        return TorchNetwork(self._graph, self.facts.precision, reason, fell_back=True)

    def __call__(self, inputs: Tensors) -> dict[str, Tensor]:
        """As `Network` has it, for any number of views."""
        with torch.autocast(self._device, self._dtype, enabled=self._dtype is not None):
            outputs = self._graph.module(*(inputs[spec.name] for spec in self._graph.inputs))
        return {spec.name: value for spec, value in zip(self._graph.outputs, outputs, strict=True)}
