"""The engine `eps3d`: official checkpoints of EPS3D (Zhu et al. 2026), views without poses to panoptic Gaussians and objects.

The network tells objects apart but knows no names by itself: its semantics are compared with texts by the encoder that they were
distilled from (`text_space.encoder`). What it finds includes walls, floor and tables.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.foreign_weights import named_weights
from pan3d_core.engines.gaussian_objects import rendered_objects
from pan3d_core.language.text_space import TextSpace
from pan3d_core.models.eps3d.cameras import counted_from_centers
from pan3d_core.models.eps3d.heads import LOGIT_SCALE
from pan3d_core.models.eps3d.network import Eps3d, Eps3dOutput, load_eps3d, render_panoptic
from pan3d_core.models.eps3d.recorded import RecordedEps3d
from pan3d_core.runtime.device import autocast_dtype, select_device
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
        instances = InstanceSet(
            mask_logits=objects.mask_logits[rows],
            class_logits=None,
            scores=objects.certainty[rows],
            labels=self.facts.labels,
            text_embeddings=objects.vectors[rows],
        )
        return reconstruction, instances


def text_space_of(model: Eps3d) -> TextSpace:
    """Return the space in which the semantics of an official checkpoint are compared with texts: LSeg's encoder and scale."""
    expand = model.text_decoder.expand
    bias = present("bias", expand.bias).detach()
    return TextSpace(expand.weight.detach().flatten(1), bias, encoder="lseg", temperature=1 / LOGIT_SCALE)


def build(config: ModelConfig) -> Eps3dEngine:
    """Build the engine with an official checkpoint; on a GPU its network is recorded and replayed.

    Args:
        config: `weights`, the path of the checkpoint; `readout`, how objects are read; limits, device, precision and threads.

    Returns:
        The engine.

    Raises:
        FileNotFoundError: The checkpoint is not there.
        ValueError: None is named, or it is damaged or that of another model; or the device is unknown.
    """
    device = select_device(config.device)
    weights = named_weights(config, "an official EPS3D checkpoint", LICENCE_NOTE)
    model = load_eps3d(weights).to(device)
    logger.warning("%s", LICENCE_NOTE)
    if config.threads:
        torch.set_num_threads(config.threads)
    dtype = autocast_dtype(config.precision)
    recorded = device.type == "cuda"
    space = text_space_of(model)
    return Eps3dEngine(
        network=RecordedEps3d(model, dtype) if recorded else partial(model, aggregator_dtype=dtype),
        text_space=space,
        facts=EngineFacts(OFFICIAL_PREPROCESS, text_space=space, device=str(device)),
        min_score=config.min_score,
        max_instances=config.max_instances,
        readout=config.readout,
    )
