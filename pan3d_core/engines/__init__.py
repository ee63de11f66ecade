"""Engines: model, weights and decoding behind one call. `ENGINES` maps a name to the function that builds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pan3d_core.runtime.lazy import load

if TYPE_CHECKING:
    from pan3d_core.config import ModelConfig, PreprocessConfig
    from pan3d_core.labels import LabelSpace
    from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch


class Engine(Protocol):
    """What the pipeline asks of an engine; any callable with these attributes will do."""

    labels: LabelSpace  # names that `InstanceSet.class_logits` refer to; empty when the engine names nothing
    preprocess: PreprocessConfig  # how views must be prepared for it
    needs_depth: bool  # whether views without sensor depth are refused
    # An engine that gives geometry alone also has `finds_objects = False`: its lack of instances says nothing of the scene.
    # One that gives Gaussians with semantics also has `text_space: TextSpace`, in which these are compared with texts.

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]: ...


EngineBuilder = Callable[["ModelConfig"], Engine]

# Name -> the function that builds the engine, or where it stands. An engine of one's own may be added as a function.
ENGINES: dict[str, str | EngineBuilder] = {
    "pan3d-mini": "pan3d_core.engines.mini:build",
    "pan3d-mini-fast3dis": "pan3d_core.engines.mini:build",
    "pan3d-mini-eps3d": "pan3d_core.engines.eps3d_mini:build",
    "eps3d": "pan3d_core.engines.eps3d:build",
    "segvggt": "pan3d_core.engines.segvggt:build",
    "fast3dis": "pan3d_core.engines.fast3dis:build",
    "da3": "pan3d_core.engines.da3:build",
    "depth_clusters": "pan3d_core.engines.depth_clusters:build",
}


def build_engine(config: ModelConfig) -> Engine:
    """The engine that `config.name` asks for, weights loaded. `ValueError` lists the known names."""
    if config.name not in ENGINES:
        raise ValueError(f"ModelConfig.name: expected one of {', '.join(sorted(ENGINES))}, got {config.name!r}")
    entry = ENGINES[config.name]
    builder: EngineBuilder = load(entry) if isinstance(entry, str) else entry
    return builder(config)
