"""Engines by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from pan3d_core.config import ModelConfig
from pan3d_core.engines.facts import Engine
from pan3d_core.runtime.lazy import load
from pan3d_core.runtime.networks.interface import Graph
from pan3d_core.settings import did_you_mean

if TYPE_CHECKING:
    from pan3d_core.engines import da3, depth_clusters, eps3d, eps3d_mini, fast3dis, mapanything, mini, segvggt

EngineBuilder = Callable[[ModelConfig], Engine]
logger = logging.getLogger("pan3d.engines")

# Name -> the function that builds the engine, or where it stands. An engine of one's own may be added as a function.
ENGINES: dict[str, str | EngineBuilder] = {
    "pan3d-mini": "pan3d_core.engines.mini:build",
    "pan3d-mini-fast3dis": "pan3d_core.engines.mini:build",
    "pan3d-mini-eps3d": "pan3d_core.engines.eps3d_mini:build",
    "eps3d": "pan3d_core.engines.eps3d:build",
    "segvggt": "pan3d_core.engines.segvggt:build",
    "fast3dis": "pan3d_core.engines.fast3dis:build",
    "da3": "pan3d_core.engines.da3:build",
    "mapanything": "pan3d_core.engines.mapanything:build",
    "depth_clusters": "pan3d_core.engines.depth_clusters:build",
}

if TYPE_CHECKING:  # a type checker cannot look behind the texts above; that these functions build engines it finds here
    BUILDERS: tuple[EngineBuilder, ...] = (
        mini.build,
        eps3d_mini.build,
        eps3d.build,
        segvggt.build,
        fast3dis.build,
        da3.build,
        mapanything.build,
        depth_clusters.build,
    )

GraphBuilder = Callable[[ModelConfig, tuple[int, int] | None], Graph]  # settings, rows and columns of pictures
# Engines whose networks run in other runtimes than torch: name -> the function that describes the network.
GRAPHS: dict[str, str] = {
    "pan3d-mini": "pan3d_core.engines.mini:graph",
    "pan3d-mini-fast3dis": "pan3d_core.engines.mini:graph",
    "pan3d-mini-eps3d": "pan3d_core.engines.mini:graph",
    "eps3d": "pan3d_core.engines.eps3d:graph",
    "segvggt": "pan3d_core.engines.segvggt:graph",
    "fast3dis": "pan3d_core.engines.fast3dis:graph",
    "da3": "pan3d_core.engines.da3:graph",
    "mapanything": "pan3d_core.engines.mapanything:graph",
}
# Engines that have nothing to export: name -> why, and what to do instead.
WITHOUT_GRAPH = {
    "depth_clusters": "has no network: it groups the points of depth sensors and runs as it is",
}

if TYPE_CHECKING:
    GRAPH_BUILDERS: tuple[GraphBuilder, ...] = (
        mini.graph,
        eps3d.graph,
        segvggt.graph,
        fast3dis.graph,
        da3.graph,
        mapanything.graph,
    )


def build_graph(config: ModelConfig, picture_hw: tuple[int, int] | None = None) -> Graph:
    """Describe the network of an engine as a function of named tensors.

    Args:
        config: Name, weights and device.
        picture_hw: Rows and columns of the cameras' pictures; None = the size that the engine names.

    Returns:
        The graph.

    Raises:
        ValueError: The engine has no graph, and the message says why or lists the others; or weights do not fit.
        FileNotFoundError: The weights are not where `config.weights` says.
    """
    if config.name in WITHOUT_GRAPH:
        raise ValueError(f"export: {config.name} {WITHOUT_GRAPH[config.name]}; expected one of {', '.join(GRAPHS)}")
    if config.name not in GRAPHS:
        raise ValueError(f"export: expected one of {', '.join(GRAPHS)}, got {config.name!r}{did_you_mean(config.name, GRAPHS)}")
    builder: GraphBuilder = load(GRAPHS[config.name])
    return builder(config, picture_hw)


def build_engine(config: ModelConfig) -> Engine:
    """Build the engine that `config.name` asks for, weights loaded.

    Args:
        config: Name, weights, device and thresholds.

    Returns:
        The engine; its first call may take longer than later ones (see `warm_up`).

    Raises:
        ValueError: The name is unknown, and the message lists the known ones; or weights or device do not fit the engine.
        FileNotFoundError: The weights are not where `config.weights` says.
    """
    if config.name not in ENGINES:
        hint = did_you_mean(config.name, ENGINES)
        raise ValueError(f"ModelConfig.name: expected one of {', '.join(sorted(ENGINES))}, got {config.name!r}{hint}")
    entry = ENGINES[config.name]
    builder: EngineBuilder = load(entry) if isinstance(entry, str) else entry
    engine = builder(config)
    if engine.facts.runtime is None and config.runtime not in ("auto", "torch"):
        reason = WITHOUT_GRAPH.get(config.name, "runs in torch alone")
        logger.warning("model.runtime %s: %s %s", config.runtime, config.name, reason)
    return engine
