"""The engine `fast3dis`: instances without names by 3D anchors on Depth Anything 3 or MapAnything, in one forward pass.

Cameras that are known are given to the network, measured depth to one on MapAnything, too. Depth and cameras come in the unit of
Depth Anything 3, or in the metres of MapAnything; aligning them to known cameras or measured depth is the next stage's work, and
so is joining the views' masks in space.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Protocol

import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines.da3 import (
    LICENCE_NOTE,
    OFFICIAL_PREPROCESS,
    USUAL_PICTURE,
    known_cameras,
    log_licence,
    reconstruction_of,
)
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.mapanything import LICENCE_NOTE as METRIC_LICENCE_NOTE
from pan3d_core.engines.mapanything import OFFICIAL_PREPROCESS as METRIC_PREPROCESS
from pan3d_core.engines.parts.decoding import DecodingThresholds, instances_of_queries
from pan3d_core.engines.parts.foreign_weights import named_weights
from pan3d_core.engines.parts.picture_sizes import network_size
from pan3d_core.models.fast3dis.files import FORMAT, Network, content_of, load_fast3dis
from pan3d_core.models.fast3dis.graph import fast3dis_graph, fast3dis_inputs, fast3dis_output
from pan3d_core.models.fast3dis.map_anchors import MapAnchors
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disOutput
from pan3d_core.runtime.checksums import checksum_of
from pan3d_core.runtime.device import autocast_dtype, select_device
from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph
from pan3d_core.runtime.networks.sized import SizedNetworks, networks_of_large
from pan3d_core.settings import to_plain
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

logger = logging.getLogger("pan3d.engines.fast3dis")

MASK_PROB = 0.5
Cameras = tuple[torch.Tensor, torch.Tensor]  # as `known_cameras` gives them


class Asked(Protocol):
    """Pictures (1, S, 3, H, W) and what is known of their cameras, and by one on MapAnything of depth -> what was found."""

    def __call__(self, images: torch.Tensor, **known: Any) -> Fast3disOutput: ...


@dataclass(frozen=True)
class Fast3disEngine:
    """Views at network size -> geometry, in metres on MapAnything and else in an unknown unit, and instances, best first."""

    network: Asked
    provenance: dict[str, Any]  # how the checkpoint was made
    facts: EngineFacts
    thresholds: DecodingThresholds
    is_metric: bool = False  # on MapAnything

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        images = views.images[None].to(self.facts.device)
        known = known_geometry(views, images.device) if self.is_metric else {"cameras": known_cameras(views, images.device)}
        output = self.network(images, **known)
        instances = instances_of_queries(
            output.class_logits[0], lambda rows: output.mask_logits(rows)[0], self.facts.labels, self.thresholds
        )
        return reconstruction_of(output.geometry, is_metric=self.is_metric), replace(instances, class_logits=None)


def build(config: ModelConfig) -> Fast3disEngine:
    """Build the engine with a checkpoint of FAST3DIS of any size.

    Args:
        config: `weights`, the path of the checkpoint; `min_score` takes the place of the paper's threshold on objectness, and is
            compared with objectness times the mean probability of the mask; limits, device, precision and threads.

    Returns:
        The engine; it names nothing.

    Raises:
        FileNotFoundError: The checkpoint is not there.
        ValueError: None is named, or it is damaged or that of another model; or the device is unknown.
    """
    model, provenance = _load(config)
    if isinstance(model, MapAnchors):
        log_licence(str(provenance.get("base_licence", "unknown")), METRIC_LICENCE_NOTE)
    else:
        log_licence(model.settings.base.licence)
    if config.threads:
        torch.set_num_threads(config.threads)
    # How small an object may be is decided where it has points (`MergeConfig.min_points`).
    thresholds = DecodingThresholds(
        min_score=config.min_score,
        mask_prob=MASK_PROB,
        min_pixels=0,
        nms_iou=config.nms_iou,
        class_agnostic=True,
        max_instances=config.max_instances,
    )
    device = str(next(model.parameters()).device)
    network: Asked = partial(model, backbone_dtype=autocast_dtype(config.precision))
    if isinstance(model, MapAnchors):
        return Fast3disEngine(network, provenance, EngineFacts(METRIC_PREPROCESS, device=device), thresholds, is_metric=True)
    size, wanted = network_size(OFFICIAL_PREPROCESS, USUAL_PICTURE), Wanted(torch.get_num_threads(), config.precision)
    networks = networks_of_large("fast3dis", _graphs_of(model), size, config.runtime, wanted)
    facts = EngineFacts(OFFICIAL_PREPROCESS, device=device, runtime=None if networks is None else networks.facts)
    return Fast3disEngine(network if networks is None else partial(_answered, networks), provenance, facts, thresholds)


def known_geometry(views: ViewBatch, device: torch.device) -> dict[str, Any]:
    """What a network on MapAnything is told: cameras where all are known, and then depth where it is measured."""
    if views.intrinsics is None or views.cam_from_world is None:
        return {}
    cameras = views.cam_from_world[None].to(device), views.intrinsics[None].to(device)
    return {"cameras": cameras, "depth": None if views.depth is None else views.depth[None].to(device)}


def _answered(networks: SizedNetworks, images: torch.Tensor, *, cameras: Cameras | None) -> Fast3disOutput:
    """What a runtime that may be another than torch found."""
    return fast3dis_output(networks((images.shape[-2], images.shape[-1]))(fast3dis_inputs(images, cameras)))


def graph(config: ModelConfig, picture_hw: tuple[int, int] | None = None) -> Graph:
    """Describe the network as `pan3d export` writes it.

    Args:
        config: Its weights and device are those of `build`, the rest is not looked at.
        picture_hw: Rows and columns of the cameras' pictures; None = 480 x 640.

    Returns:
        Graph of views that are posed or not.

    Raises:
        FileNotFoundError: As `build`.
        ValueError: As `build`.
    """
    model, _ = _load(config)
    if isinstance(model, MapAnchors):
        raise ValueError("export: fast3dis on MapAnything runs in torch alone; expected weights of one on Depth Anything 3")
    return _graphs_of(model)(network_size(OFFICIAL_PREPROCESS, picture_hw or USUAL_PICTURE))


def _load(config: ModelConfig) -> tuple[Network, dict[str, Any]]:
    """The network ready for inference on its device, and how it was made."""
    device = select_device(config.device)
    model, provenance = load_fast3dis(named_weights(config, "a FAST3DIS checkpoint", LICENCE_NOTE))
    return model.to(device), provenance


def _graphs_of(model: Fast3dis) -> Callable[[tuple[int, int]], Graph]:
    """Rows and columns to graph."""

    @cache  # gigabytes of weights are summed up once
    def checksum() -> str:
        return checksum_of({key: value.cpu() for key, value in model.state_dict().items()}, {})

    def graph_of(hw: tuple[int, int]) -> Graph:
        prepared = to_plain(replace(OFFICIAL_PREPROCESS, height=hw[0], width=hw[1]))
        content = {**content_of(model.settings), "preprocess": prepared}
        return replace(fast3dis_graph(model, hw, checksum()), metadata={"format": FORMAT, "content": json.dumps(content)})

    return graph_of
