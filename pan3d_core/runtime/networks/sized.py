"""A network for each size of pictures, since a graph is written for one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph, Network, RuntimeFacts
from pan3d_core.runtime.networks.table import open_network

Size = tuple[int, int]


class SizedNetworks:
    """Opens the network of a size when pictures of that size come for the first time."""

    def __init__(self, graph_of: Callable[[Size], Graph], size: Size, runtime: str, wanted: Wanted) -> None:
        """`graph_of`: rows and columns of pictures to graph. `size`: of the pictures that are expected, whose network is opened,
        and where need be built, at once. `runtime`: as `ModelConfig.runtime`."""
        self._graph_of, self._runtime = graph_of, runtime
        self._networks = {size: open_network(graph_of(size), runtime, wanted)}
        # Nobody expects to wait for minutes while pictures come.
        self._wanted = replace(wanted, build=False)
        self._last = self._networks[size]

    def __call__(self, size: Size) -> Network:
        """The network for pictures of so many rows and columns."""
        if size not in self._networks:
            self._networks[size] = open_network(self._graph_of(size), self._runtime, self._wanted)
        self._last = self._networks[size]
        return self._last

    def facts(self) -> RuntimeFacts:
        """Of the network that was asked for last."""
        return self._last.facts
