"""The engine `eps3d`: checkpoints of EPS3D (Zhu et al. 2026), views without poses to panoptic Gaussians and objects.

An official network tells objects apart but knows no names by itself: its semantics are compared with texts by the encoder that
they were distilled from (`text_space.encoder`). What it finds includes walls, floor and tables. A file of one's own training
names sizes, text space and the words that were learnt, by which objects are named.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.mini import NAME_TEMPERATURE, NameTable
from pan3d_core.engines.parts.foreign_weights import named_weights
from pan3d_core.engines.parts.gaussian_objects import rendered_objects
from pan3d_core.engines.parts.picture_sizes import network_size
from pan3d_core.labels import LabelSpace
from pan3d_core.language.known_names import KnownNames
from pan3d_core.language.text_space import TextSpace
from pan3d_core.models.eps3d.cameras import counted_from_centers
from pan3d_core.models.eps3d.files import FORMAT, load_own_eps3d
from pan3d_core.models.eps3d.graph import eps3d_graph, eps3d_output
from pan3d_core.models.eps3d.heads import LOGIT_SCALE
from pan3d_core.models.eps3d.network import Eps3d, Eps3dOutput, load_eps3d, render_panoptic
from pan3d_core.models.eps3d.recorded import RecordedEps3d
from pan3d_core.runtime.checksums import checksum_of
from pan3d_core.runtime.device import autocast_dtype, select_device
from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph
from pan3d_core.runtime.networks.sized import SizedNetworks, networks_of_large
from pan3d_core.runtime.weights import read_metadata
from pan3d_core.settings import to_plain
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch, present

logger = logging.getLogger("pan3d.engines.eps3d")

LICENCE_NOTE = (
    "EPS3D weights are not part of pan3d. They build on VGGT and AnySplat, whose licences restrict use, and their own terms are "
    "set by their authors: read all of them before using results, above all commercially."
)
# The published evaluation: the short side to 448 pixels, then the middle square.
OFFICIAL_PREPROCESS = PreprocessConfig(height=448, width=448, mode="cover", resample="area")


@dataclass(frozen=True)
class Eps3dEngine:
    """Views at network size -> geometry in the frame of the first camera (unknown unit), Gaussians and objects without names.

    Cameras and depth of the views are not used by this network: aligning to them is the next stage's work.
    """

    network: Callable[[Tensor], Eps3dOutput]  # (1, S, 3, H, W) RGB 0..1 on the device
    text_space: TextSpace
    facts: EngineFacts
    min_score: float
    max_instances: int
    readout: str
    names: NameTable | None = None  # of a network that has learnt some

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        output = self.network(views.images[None].to(self.facts.device))
        cam_from_world, intrinsics = (cameras[0] for cameras in output.geometry.cameras())
        gaussians = output.gaussians[0]
        reconstruction = Reconstruction(
            depth=output.geometry.depth[0],
            depth_conf=output.geometry.depth_conf[0],
            intrinsics=intrinsics,
            cam_from_world=cam_from_world,
            is_metric=False,
            gaussians=gaussians,
        )
        rendering = render_panoptic(gaussians, cam_from_world, counted_from_centers(intrinsics), views.hw)
        objects = rendered_objects(rendering, self.text_space, self.readout)
        rows = objects.certainty.argsort(descending=True)[: self.max_instances]
        rows = rows[objects.certainty[rows] >= self.min_score]
        vectors, scores = objects.vectors[rows], objects.certainty[rows]
        named = None if self.names is None else self.names.class_logits(vectors, torch.logit(scores, eps=1e-4))
        instances = InstanceSet(
            mask_logits=objects.mask_logits[rows],
            class_logits=named,
            scores=scores,
            labels=self.facts.labels,
            text_embeddings=vectors,
        )
        return reconstruction, instances


@dataclass(frozen=True)
class LoadedEps3d:
    """A checkpoint of either kind, ready for inference on its device."""

    model: Eps3d
    preprocess: PreprocessConfig = OFFICIAL_PREPROCESS
    encoder: str = "lseg"
    known: KnownNames | None = None


def text_space_of(model: Eps3d, encoder: str = "lseg") -> TextSpace:
    """Return the space in which semantics are compared with texts: of an official checkpoint LSeg's, always at its scale."""
    expand = model.text_decoder.expand
    bias = present("bias", expand.bias).detach()
    return TextSpace(expand.weight.detach().flatten(1), bias, encoder=encoder, temperature=1 / LOGIT_SCALE)


def build(config: ModelConfig) -> Eps3dEngine:
    """Build the engine with an official checkpoint or an exported file; on a GPU its network is recorded and replayed.

    Args:
        config: `weights`, the path of the checkpoint; `readout`, how objects are read; limits, device, precision and threads.

    Returns:
        The engine.

    Raises:
        FileNotFoundError: The checkpoint is not there.
        ValueError: None is named, or it is damaged or that of another model; or the device is unknown.
    """
    loaded = _load(config)
    model, device = loaded.model, next(loaded.model.parameters()).device
    logger.warning("%s", LICENCE_NOTE)
    if config.threads:
        torch.set_num_threads(config.threads)
    dtype = autocast_dtype(config.precision)
    size, wanted = network_size(loaded.preprocess), Wanted(torch.get_num_threads(), config.precision)
    networks = networks_of_large("eps3d", _graphs_of(loaded), size, config.runtime, wanted)
    network: Callable[[Tensor], Eps3dOutput] = partial(model, aggregator_dtype=dtype)
    if networks is not None:
        network = partial(_answered, model, networks)
    elif device.type == "cuda":
        network = RecordedEps3d(model, dtype)
    space, runtime = text_space_of(model, loaded.encoder), None if networks is None else networks.facts
    names = None if loaded.known is None else NameTable.of(loaded.known, NAME_TEMPERATURE, device)
    labels = LabelSpace.things(()) if names is None else names.labels
    return Eps3dEngine(
        network=network,
        text_space=space,
        facts=EngineFacts(
            loaded.preprocess, labels, known_names=loaded.known, text_space=space, device=str(device), runtime=runtime
        ),
        min_score=config.min_score,
        max_instances=config.max_instances,
        readout=config.readout,
        names=names,
    )


def graph(config: ModelConfig, picture_hw: tuple[int, int] | None = None) -> Graph:
    """Describe the network up to its Gaussians as `pan3d export` writes it.

    Args:
        config: As for `build`; only weights and device count.
        picture_hw: Not looked at: every picture is cut to one size for this network, an official one's being a square of 448.

    Returns:
        The graph.

    Raises:
        FileNotFoundError: The checkpoint is not there.
        ValueError: It cannot be used, as for `build`.
    """
    loaded = _load(config)
    return _graphs_of(loaded)(network_size(loaded.preprocess, picture_hw))


def _load(config: ModelConfig) -> LoadedEps3d:
    """The network ready for inference on its device, and what goes with it."""
    device = select_device(config.device)
    weights = named_weights(config, "an official EPS3D checkpoint or an exported file", LICENCE_NOTE)
    if Path(weights).is_file() and read_metadata(weights).get("format") == FORMAT:
        model, content, known = load_own_eps3d(weights)
        preprocess = replace(OFFICIAL_PREPROCESS, height=content.height, width=content.width)
        return LoadedEps3d(model.to(device), preprocess, content.encoder, known)
    return LoadedEps3d(load_eps3d(weights).to(device))


def _answered(model: Eps3d, networks: SizedNetworks, images: Tensor) -> Eps3dOutput:
    """What `model` gives for images (1, S, 3, H, W), from its graph."""
    return eps3d_output(model, networks((images.shape[-2], images.shape[-1]))({"images": images}))


def _graphs_of(loaded: LoadedEps3d) -> Callable[[tuple[int, int]], Graph]:
    """Rows and columns to graph."""
    model = loaded.model

    @cache  # gigabytes of weights are summed up once
    def checksum() -> str:
        return checksum_of({key: value.cpu() for key, value in model.state_dict().items()}, {})

    def graph_of(hw: tuple[int, int]) -> Graph:
        content = {
            "preprocess": to_plain(replace(loaded.preprocess, height=hw[0], width=hw[1])),
            "voxel_size": model.voxel_size,
        }
        beside = {f"text_decoder.{key}": value for key, value in model.text_decoder.expand.state_dict().items()}
        metadata = {"format": "eps3d/1", "content": json.dumps(content)}
        return replace(eps3d_graph(model, hw, checksum()), metadata=metadata, beside=beside)

    return graph_of
