"""The engine `da3`: geometry by an official checkpoint of Depth Anything 3, and no objects.

SMALL to GIANT give depth and cameras in one unknown unit per scene, NESTED in metres. METRIC-LARGE and MONO-LARGE look at every
view alone: the first needs intrinsics for metres, both need poses of the views where there are several. How a result reaches the
robot's metres is the next stage's work.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.parts.foreign_weights import named_weights
from pan3d_core.engines.parts.picture_sizes import network_size
from pan3d_core.models.da3.cameras import pixel_centred, relative_to_first
from pan3d_core.models.da3.graph import da3_graph, da3_inputs, da3_output, monocular_output
from pan3d_core.models.da3.network import (
    DA3_VARIANTS,
    METRIC_FOCAL,
    NON_COMMERCIAL,
    SKY_VALUE,
    AnyViewDa3,
    Da3Output,
    MonocularDa3,
    MonocularOutput,
    NestedDa3,
    assign_official,
    build_da3,
    metric_output,
    variant_of,
)
from pan3d_core.runtime.checksums import checksum_of
from pan3d_core.runtime.device import autocast_dtype, select_device
from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph
from pan3d_core.runtime.networks.sized import SizedNetworks, networks_of_large
from pan3d_core.runtime.weights import read_weights
from pan3d_core.settings import to_plain
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

logger = logging.getLogger("pan3d.engines.da3")

LICENCE_NOTE = (
    "Weights of Depth Anything 3 are not part of pan3d. Their authors give SMALL, BASE, METRIC-LARGE and MONO-LARGE the licence "
    "Apache-2.0, and LARGE, GIANT and NESTED CC-BY-NC-4.0, which forbids commercial use."
)
# The rule of the official programs: long side 504, both sides in multiples of 14.
OFFICIAL_PREPROCESS = PreprocessConfig(height=504, width=504, mode="longest", multiple=14, resample="opencv")
METRIC = "da3-metric-large"
USUAL_PICTURE = (480, 640)  # whose network is prepared when nobody says what the cameras give


@dataclass(frozen=True)
class Da3Engine:
    """Views at network size -> geometry, and no instances because it looks for none."""

    model: AnyViewDa3 | MonocularDa3 | NestedDa3
    name: str  # which member
    facts: EngineFacts
    backbone_dtype: torch.dtype | None = None
    networks: SizedNetworks | None = None  # in a runtime that may be another than torch

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        images = views.images[None].to(self.facts.device)
        if isinstance(self.model, MonocularDa3):
            reconstruction = self._view_by_view(views, images)
        else:
            output = self._any_view(images, known_cameras(views, images.device))
            reconstruction = reconstruction_of(output, is_metric=isinstance(self.model, NestedDa3))
        nothing = images.new_zeros(0, views.num_views, *views.hw)
        return reconstruction, InstanceSet(nothing, None, images.new_zeros(0), self.facts.labels)

    def _any_view(self, images: Tensor, cameras: tuple[Tensor, Tensor] | None) -> Da3Output:
        if self.networks is not None:
            named = self.networks((images.shape[-2], images.shape[-1]))(da3_inputs(images, cameras))
            found = da3_output(named)
            return metric_output(found, monocular_output(named)) if isinstance(self.model, NestedDa3) else found
        output: Da3Output = self.model(images, cameras=cameras, backbone_dtype=self.backbone_dtype)
        return output

    def _monocular(self, images: Tensor) -> MonocularOutput:
        if self.networks is not None:
            return monocular_output(self.networks((images.shape[-2], images.shape[-1]))({"images": images}))
        output: MonocularOutput = self.model(images, backbone_dtype=self.backbone_dtype)
        return output

    def _view_by_view(self, views: ViewBatch, images: Tensor) -> Reconstruction:
        alone = f"expected that of every view, since {self.name} sees each alone, got none"
        if views.intrinsics is None:
            raise ValueError(f"ViewBatch.intrinsics: {alone}")
        if views.cam_from_world is None and views.num_views > 1:
            raise ValueError(f"ViewBatch.cam_from_world: {alone}")
        output = self._monocular(images)
        clear = output.sky[0] < SKY_VALUE
        depth = torch.where(clear, output.depth[0], 0.0)
        intrinsics = views.intrinsics.to(images.device)
        is_metric = self.name == METRIC
        cam_from_world = torch.eye(4).expand(views.num_views, 4, 4) if views.cam_from_world is None else views.cam_from_world
        cam_from_world = cam_from_world.to(images.device)
        if is_metric:
            focal = (intrinsics[:, 0, 0] + intrinsics[:, 1, 1]) / 2
            depth = depth * (focal / METRIC_FOCAL)[:, None, None]
        else:
            # In an unknown unit of each view nothing but the directions is known; cameras in one place never give metres.
            cam_from_world = cam_from_world.clone()
            cam_from_world[:, :3, 3] = 0.0
        return Reconstruction(depth, clear.float(), intrinsics, cam_from_world, is_metric)


def known_cameras(views: ViewBatch, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Return cameras (1, S, 4, 4) and intrinsics (1, S, 3, 3) as `AnyViewDa3.forward` takes them; None unless all are known."""
    if views.intrinsics is None or views.cam_from_world is None:
        return None
    return relative_to_first(views.cam_from_world[None].to(device))[0], views.intrinsics[None].to(device)


def reconstruction_of(output: Da3Output, *, is_metric: bool = False) -> Reconstruction:
    """Take the predictions for one scene out of a batch of one; intrinsics count pixels from their centres."""
    return Reconstruction(
        depth=output.depth[0],
        depth_conf=output.depth_conf[0],
        intrinsics=pixel_centred(output.intrinsics[0]),
        cam_from_world=output.cam_from_world[0],
        is_metric=is_metric,
    )


def log_licence(licence: str, note: str = LICENCE_NOTE) -> None:
    """Point out the terms of the weights, as a warning where they forbid something; `note` tells of all weights of the kind."""
    logger.log(logging.WARNING if licence == NON_COMMERCIAL else logging.INFO, "licence of these weights: %s. %s", licence, note)


def said_name(path: Path) -> str:
    """Return what is said of a weight file: `model_name` of the hub's config.json beside it, else the file's own name.

    Raises:
        ValueError: config.json is no JSON.
    """
    config = path.parent / "config.json"
    said = ""
    if config.is_file():
        try:
            content = json.loads(config.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"weights: expected JSON in {config} beside the checkpoint, got {error}") from error
        said = str(content.get("model_name", "")) if isinstance(content, dict) else ""
    return said or path.stem


def build(config: ModelConfig) -> Da3Engine:
    """Build the engine with an official checkpoint of any member.

    The member is recognised by the tensors; METRIC-LARGE and MONO-LARGE, whose tensors are alike, by config.json beside the file
    or the file's name.

    Args:
        config: `weights`, the path of the checkpoint; device, precision and threads.

    Returns:
        The engine; it finds no objects.

    Raises:
        FileNotFoundError: The checkpoint is not there.
        ValueError: None is named, or it is damaged or that of another model; or the device is unknown.
    """
    model, name = _load(config)
    log_licence(DA3_VARIANTS[name].licence if name in DA3_VARIANTS else NON_COMMERCIAL)
    logger.warning("%s finds no objects: depth and cameras are all that it gives", name)
    if config.threads:
        torch.set_num_threads(config.threads)
    size, wanted = network_size(OFFICIAL_PREPROCESS, USUAL_PICTURE), Wanted(torch.get_num_threads(), config.precision)
    networks = networks_of_large("da3", _graphs_of(model, name), size, config.runtime, wanted)
    device = str(next(model.parameters()).device)
    runtime = None if networks is None else networks.facts
    facts = EngineFacts(OFFICIAL_PREPROCESS, finds_objects=False, device=device, runtime=runtime)
    return Da3Engine(model, name, facts, autocast_dtype(config.precision), networks)


def graph(config: ModelConfig, picture_hw: tuple[int, int] | None = None) -> Graph:
    """Describe the network as `pan3d export` writes it.

    Args:
        config: Its weights and device are those of `build`, the rest is not looked at.
        picture_hw: Rows and columns of the cameras' pictures; None = 480 x 640.

    Returns:
        The graph, of whichever member the checkpoint is.

    Raises:
        FileNotFoundError: As `build`.
        ValueError: As `build`.
    """
    model, name = _load(config)
    return _graphs_of(model, name)(network_size(OFFICIAL_PREPROCESS, picture_hw or USUAL_PICTURE))


def _load(config: ModelConfig) -> tuple[AnyViewDa3 | MonocularDa3 | NestedDa3, str]:
    """The network ready for inference on its device, and which member it is."""
    device = select_device(config.device)
    path = Path(named_weights(config, "a Depth Anything 3 checkpoint", LICENCE_NOTE))
    found = read_weights(path)
    name = variant_of(found, path, said_name(path))
    with torch.device("meta"):
        model = build_da3(name)
    assign_official(model, found, path)
    return model.eval().to(device), name


def _graphs_of(model: AnyViewDa3 | MonocularDa3 | NestedDa3, name: str) -> Callable[[tuple[int, int]], Graph]:
    """Rows and columns to graph."""

    @cache  # gigabytes of weights are summed up once
    def checksum() -> str:
        return checksum_of({key: value.cpu() for key, value in model.state_dict().items()}, {})

    def graph_of(hw: tuple[int, int]) -> Graph:
        content = {"member": name, "preprocess": to_plain(replace(OFFICIAL_PREPROCESS, height=hw[0], width=hw[1]))}
        return replace(da3_graph(model, hw, checksum()), metadata={"format": "da3/1", "content": json.dumps(content)})

    return graph_of
