"""Networks of a few numbers for tests of runtimes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pan3d_core.runtime.networks.interface import Graph, TensorSpec


def writes_a_graph(test):
    """Mark a test that writes the graph of a network of many layers: minutes on a busy machine."""
    return pytest.mark.slow(pytest.mark.timeout(1800)(test))


class Mixing(nn.Module):
    """Each view's numbers and the mean over all views."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, views, scale):
        features = self.linear(views) * scale
        return features.softmax(-1), features.mean(1)


class ForFourViews(Mixing):
    """Its code depends on the number of views."""

    def forward(self, views, scale):
        for index in range(len(views[0])):
            scale = scale + index
        return super().forward(views, scale)


def tiny_graph(module=None, **changes) -> Graph:
    """A graph of views (1, S, 3) and a scale (1,)."""
    torch.manual_seed(0)

    def samples(views):
        generator = torch.Generator().manual_seed(views)
        return {"views": torch.rand(1, views, 3, generator=generator), "scale": torch.tensor([1.5])}

    graph = Graph(
        engine="tiny",
        module=(module or Mixing()).eval(),
        inputs=(TensorSpec("views", (1, "views", 3)), TensorSpec("scale", (1,))),
        outputs=(TensorSpec("shares", (1, "views", 4)), TensorSpec("mean", (1, 4))),
        axes={"views": (1, 8)},
        samples=samples,
        tolerance={"shares": 1e-5, "mean": 1e-5},
        checksum="0" * 64,
        metadata={"format": "tiny/1"},
    )
    return replace(graph, **changes)
