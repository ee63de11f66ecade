"""The engine `mapanything`: metric geometry of views with whatever is known of their cameras and depth, and no objects."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.parts.foreign_weights import named_weights
from pan3d_core.engines.parts.picture_sizes import network_size
from pan3d_core.models.mapanything import (
    KnownGeometry,
    MapAnything,
    MapAnythingOutput,
    cameras_of_output,
    known_of_views,
    read_map_anything,
    z_depth_of_output,
)
from pan3d_core.models.mapanything.graph import map_anything_graph, map_anything_inputs, map_anything_output
from pan3d_core.runtime.checksums import checksum_of
from pan3d_core.runtime.device import autocast_dtype, select_device
from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph
from pan3d_core.runtime.networks.sized import SizedNetworks, networks_of_large
from pan3d_core.settings import to_plain
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

logger = logging.getLogger("pan3d.engines.mapanything")

LICENCE_NOTE = (
    "Weights of MapAnything are not part of pan3d. Their authors give facebook/map-anything-apache the licence Apache-2.0, and "
    "facebook/map-anything CC-BY-NC-4.0, which forbids commercial use; the files do not say which they are."
)
FORMAT = "mapanything/1"
USUAL_PICTURE = (480, 640)  # whose network is prepared when nobody says what the cameras give
# The rule of the official programs: long side 518, both sides in multiples of 14.
OFFICIAL_PREPROCESS = PreprocessConfig(height=518, width=518, mode="longest", multiple=14, resample="opencv")


@dataclass(frozen=True)
class MapAnythingEngine:
    """Views at network size -> geometry in metres in the frame of the first view, and no instances because it looks for none."""

    model: MapAnything
    facts: EngineFacts
    backbone_dtype: torch.dtype | None = None
    networks: SizedNetworks | None = None  # in a runtime that may be another than torch

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        device = self.facts.device
        images = views.images[None].to(device)
        told = (None if item is None else item.to(device) for item in (views.intrinsics, views.cam_from_world, views.depth))
        output = self._answer(images, known_of_views(views.hw, *told))
        cam_from_world, intrinsics = cameras_of_output(output)
        depth = z_depth_of_output(output)[0]
        reconstruction = Reconstruction(
            depth=depth,
            depth_conf=output.confidence[0],
            # Known lenses are not guessed: the rays that come out are only near those that went in.
            intrinsics=intrinsics[0] if views.intrinsics is None else views.intrinsics.to(device),
            cam_from_world=cam_from_world[0],
            is_metric=True,
        )
        nothing = images.new_zeros(0, views.num_views, *views.hw)
        return reconstruction, InstanceSet(nothing, None, images.new_zeros(0), self.facts.labels)

    def _answer(self, images: torch.Tensor, known: KnownGeometry) -> MapAnythingOutput:
        if self.networks is not None:
            hw = (images.shape[-2], images.shape[-1])
            return map_anything_output(self.networks(hw)(map_anything_inputs(images, known)))
        output: MapAnythingOutput = self.model(images, known, backbone_dtype=self.backbone_dtype)
        return output


def build(config: ModelConfig) -> MapAnythingEngine:
    """Build the engine with an official checkpoint, whose sizes follow from its tensors.

    Args:
        config: `weights`, the path of the checkpoint, and where and how it runs.

    Returns:
        The engine, which finds no objects. Errors are those of `da3.build`.
    """
    model = _load(config)
    logger.warning("%s It finds no objects: depth and cameras are all that it gives", LICENCE_NOTE)
    if config.threads:
        torch.set_num_threads(config.threads)
    size, wanted = network_size(OFFICIAL_PREPROCESS, USUAL_PICTURE), Wanted(torch.get_num_threads(), config.precision)
    networks = networks_of_large("mapanything", _graphs_of(model), size, config.runtime, wanted)
    runtime = None if networks is None else networks.facts
    device = str(next(model.parameters()).device)
    facts = EngineFacts(OFFICIAL_PREPROCESS, finds_objects=False, device=device, runtime=runtime)
    return MapAnythingEngine(model, facts, autocast_dtype(config.precision), networks)


def graph(config: ModelConfig, picture_hw: tuple[int, int] | None = None) -> Graph:
    """Describe the network as `pan3d export` writes it.

    Args:
        config: Its weights and device are those of `build`, the rest is not looked at.
        picture_hw: Rows and columns of the cameras' pictures; None = 480 x 640.

    Returns:
        Graph of views of which anything may be known.

    Raises:
        FileNotFoundError: As `build`.
        ValueError: As `build`.
    """
    return _graphs_of(_load(config))(network_size(OFFICIAL_PREPROCESS, picture_hw or USUAL_PICTURE))


def _load(config: ModelConfig) -> MapAnything:
    """The network ready for inference on its device."""
    device = select_device(config.device)
    return read_map_anything(named_weights(config, "a MapAnything checkpoint", LICENCE_NOTE)).to(device)


def _graphs_of(model: MapAnything) -> Callable[[tuple[int, int]], Graph]:
    """Rows and columns to graph."""

    @cache  # gigabytes of weights are summed up once
    def checksum() -> str:
        return checksum_of({key: value.cpu() for key, value in model.state_dict().items()}, {})

    def graph_of(hw: tuple[int, int]) -> Graph:
        content = {"preprocess": to_plain(replace(OFFICIAL_PREPROCESS, height=hw[0], width=hw[1]))}
        return replace(map_anything_graph(model, hw, checksum()), metadata={"format": FORMAT, "content": json.dumps(content)})

    return graph_of
