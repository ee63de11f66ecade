"""A network for each size of pictures, since a graph is written for one size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.cache import cache_folder
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


def networks_of_large(
    engine: str, graph_of: Callable[[Size], Graph], size: Size, runtime: str, wanted: Wanted
) -> SizedNetworks | None:
    """Open the networks of an engine with gigabytes of weights, whose checksum is not worth computing for nothing.

    Args:
        engine: Its name.
        graph_of: Rows and columns of pictures to graph.
        size: Of the pictures that are expected.
        runtime: As `ModelConfig.runtime`.
        wanted: Threads, precision, whether files may be built.

    Returns:
        None where torch runs it: it was asked for, or nothing has ever been built for this engine.
    """
    built = (cache_folder() / "engines" / engine).is_dir()
    if runtime == "torch" or (runtime == "auto" and not built):
        return None
    return SizedNetworks(graph_of, size, runtime, wanted)
