"""The engine `fast3dis`: instances without names by 3D anchors on Depth Anything 3, in one forward pass.

Cameras that are known are given to the network. Depth and cameras come in the unit of Depth Anything 3; aligning them to known
cameras or measured depth is the next stage's work, and so is joining the views' masks in space.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines.da3 import LICENCE_NOTE, OFFICIAL_PREPROCESS, known_cameras, log_licence, reconstruction_of
from pan3d_core.engines.decoding import DecodingThresholds, instances_of_queries
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.foreign_weights import named_weights
from pan3d_core.models.fast3dis.files import load_fast3dis
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disOutput
from pan3d_core.runtime.device import autocast_dtype, select_device
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

logger = logging.getLogger("pan3d.engines.fast3dis")

MASK_PROB = 0.5


@dataclass(frozen=True)
class Fast3disEngine:
    """Views at network size -> geometry in an unknown unit, and instances, best first."""

    model: Fast3dis
    provenance: dict[str, Any]  # how the checkpoint was made
    facts: EngineFacts
    thresholds: DecodingThresholds
    backbone_dtype: torch.dtype | None = None

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        images = views.images[None].to(self.facts.device)
        cameras = known_cameras(views, images.device)
        output: Fast3disOutput = self.model(images, cameras=cameras, backbone_dtype=self.backbone_dtype)
        instances = instances_of_queries(
            output.class_logits[0], lambda rows: output.mask_logits(rows)[0], self.facts.labels, self.thresholds
        )
        return reconstruction_of(output.geometry), replace(instances, class_logits=None)


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
    device = select_device(config.device)
    weights = named_weights(config, "a FAST3DIS checkpoint", LICENCE_NOTE)
    model, provenance = load_fast3dis(weights)
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
    return Fast3disEngine(
        model=model.to(device),
        provenance=provenance,
        facts=EngineFacts(OFFICIAL_PREPROCESS, device=str(device)),
        thresholds=thresholds,
        backbone_dtype=autocast_dtype(config.precision),
    )
