"""Engines: model, weights and decoding behind one call. `ENGINES` maps a name to the function that builds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

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


def _build_pan3d_mini(config: ModelConfig) -> Engine:
    from pan3d_core.engines.mini import build

    return build(config)


def _build_segvggt(config: ModelConfig) -> Engine:
    from pan3d_core.engines.segvggt import build

    return build(config)


def _build_fast3dis(config: ModelConfig) -> Engine:
    from pan3d_core.engines.fast3dis import build

    return build(config)


def _build_pan3d_mini_eps3d(config: ModelConfig) -> Engine:
    from pan3d_core.engines.eps3d_mini import build

    return build(config)


def _build_eps3d(config: ModelConfig) -> Engine:
    from pan3d_core.engines.eps3d import build

    return build(config)


def _build_da3(config: ModelConfig) -> Engine:
    from pan3d_core.engines.da3 import build

    return build(config)


def _build_depth_clusters(config: ModelConfig) -> Engine:
    from pan3d_core.engines.depth_clusters import DepthClusters

    return DepthClusters()


ENGINES: dict[str, Callable[[ModelConfig], Engine]] = {
    "pan3d-mini": _build_pan3d_mini,
    "pan3d-mini-fast3dis": _build_pan3d_mini,
    "pan3d-mini-eps3d": _build_pan3d_mini_eps3d,
    "eps3d": _build_eps3d,
    "segvggt": _build_segvggt,
    "fast3dis": _build_fast3dis,
    "da3": _build_da3,
    "depth_clusters": _build_depth_clusters,
}


def build_engine(config: ModelConfig) -> Engine:
    """The engine that `config.name` asks for, weights loaded. `ValueError` lists the known names."""
    if config.name not in ENGINES:
        raise ValueError(f"ModelConfig.name: expected one of {', '.join(sorted(ENGINES))}, got {config.name!r}")
    return ENGINES[config.name](config)
