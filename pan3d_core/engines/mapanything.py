"""The engine `mapanything`: metric geometry of views with whatever is known of their cameras and depth, and no objects."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.engines.parts.foreign_weights import named_weights
from pan3d_core.models.mapanything import MapAnything, cameras_of_output, known_of_views, read_map_anything, z_depth_of_output
from pan3d_core.runtime.device import autocast_dtype, select_device
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

logger = logging.getLogger("pan3d.engines.mapanything")

LICENCE_NOTE = (
    "Weights of MapAnything are not part of pan3d. Their authors give facebook/map-anything-apache the licence Apache-2.0, and "
    "facebook/map-anything CC-BY-NC-4.0, which forbids commercial use; the files do not say which they are."
)
# The rule of the official programs: long side 518, both sides in multiples of 14.
OFFICIAL_PREPROCESS = PreprocessConfig(height=518, width=518, mode="longest", multiple=14, resample="opencv")


@dataclass(frozen=True)
class MapAnythingEngine:
    """Views at network size -> geometry in metres in the frame of the first view, and no instances because it looks for none."""

    model: MapAnything
    facts: EngineFacts
    backbone_dtype: torch.dtype | None = None

    @torch.inference_mode()
    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        device = self.facts.device
        images = views.images[None].to(device)
        told = (None if item is None else item.to(device) for item in (views.intrinsics, views.cam_from_world, views.depth))
        output = self.model(images, known_of_views(views.hw, *told), backbone_dtype=self.backbone_dtype)
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


def build(config: ModelConfig) -> MapAnythingEngine:
    """Build the engine with an official checkpoint, whose sizes follow from its tensors.

    Args:
        config: `weights`, the path of the checkpoint, and where and how it runs.

    Returns:
        The engine, which finds no objects. Errors are those of `da3.build`.
    """
    device = select_device(config.device)
    model = read_map_anything(named_weights(config, "a MapAnything checkpoint", LICENCE_NOTE)).to(device)
    logger.warning("%s It finds no objects: depth and cameras are all that it gives", LICENCE_NOTE)
    if config.threads:
        torch.set_num_threads(config.threads)
    facts = EngineFacts(OFFICIAL_PREPROCESS, finds_objects=False, device=str(device))
    return MapAnythingEngine(model, facts, autocast_dtype(config.precision))
