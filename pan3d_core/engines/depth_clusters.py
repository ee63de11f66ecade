"""An engine without a network: what stands on the support surface, cut out of sensor depth.

The views' depth is fused in the world frame, the support plane removed, and what remains above it is grouped by
connectivity on a voxel grid; groups that merely touch are cut where colour and surface both break. It needs calibrated
cameras with depth, knows no names and gives none (`class_logits` is None): the baseline to stand beside every network.
"""

from __future__ import annotations

import logging
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.config import ModelConfig, OutlineConfig, PreprocessConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.geometry.standing import ObjectLimits, StandingPoints, standing_points
from pan3d_core.geometry.voxels import SMALL_PIECE, components, nearest_group, split_touching
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

logger = logging.getLogger("pan3d.engines.depth_clusters")

SATURATED_LOGIT = 20.0  # a mask of this engine is certain: sigmoid(20) is 1 in float32


def build(config: ModelConfig) -> DepthClusters:
    """Build the engine; it has no weights and no settings of its own."""
    return DepthClusters()


@dataclass(frozen=True)
class DepthClusters:
    """Callable engine. Lengths in metres.

    `voxel_m` is also the gap that separates two objects (between one and two voxels). `clearance_m` is the least height
    above the plane that counts as object; noise found on the plane itself raises it. Groups wider than `max_extent_m`
    (walls, arms) or with fewer than `min_points` pixels are dropped, as are groups that start more than `max_gap_m`
    above the plane.
    """

    preprocess: PreprocessConfig = PreprocessConfig(height=240, width=320, mode="whole", multiple=4)
    _: KW_ONLY
    voxel_m: float = OutlineConfig.voxel_m
    clearance_m: float = OutlineConfig.clearance_m
    min_points: int = OutlineConfig.min_points
    max_extent_m: float = OutlineConfig.max_extent_m
    max_gap_m: float = OutlineConfig.max_gap_m
    color_step: float = 0.3
    seed: int = 0

    @property
    def facts(self) -> EngineFacts:
        """It needs depth, and has no network."""
        return EngineFacts(self.preprocess, needs_depth=True)

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        """Views with depth, intrinsics and poses -> sensor geometry (metric) and unnamed instances, highest score first.

        Raises `ValueError` naming what is missing.
        """
        reconstruction = sensor_reconstruction(views)
        standing = standing_points(
            reconstruction.depth,
            reconstruction.intrinsics,
            reconstruction.cam_from_world,
            views.support_height_m,
            clearance_m=self.clearance_m,
            ceiling_m=self.max_extent_m + self.max_gap_m,
            margin_m=self.voxel_m,
            seed=self.seed,
        )
        if standing.plane is None:
            logger.warning("no level support plane found: everything measured is grouped")
        if standing.level_m is not None and views.support_height_m is not None:
            logger.warning(
                "hardly anything lies at %.3f m, the support is taken at %.3f m", views.support_height_m, standing.level_m
            )
        sure = np.flatnonzero(standing.sure)
        pixel_ids = torch.zeros(reconstruction.depth.numel(), dtype=torch.int64)
        pixel_ids[torch.from_numpy(standing.pixel[sure])] = torch.from_numpy(self._groups(standing, sure, views.images))
        return reconstruction, instances_of_pixels(
            pixel_ids.view_as(reconstruction.depth).to(views.images.device), self.min_points
        )

    def _groups(self, standing: StandingPoints, sure: np.ndarray, images: Tensor) -> np.ndarray:
        """Number of the object, 0 = none, of each of the points `sure`."""
        steady = standing.steady(sure)
        if steady.sum() < self.min_points:
            return np.zeros(len(sure), dtype=np.int64)
        surface = standing.surface(sure[steady], images, self.voxel_m)
        graph = surface.graph
        if self.color_step > 0:
            group = split_touching(graph, surface.colors, surface.normals, color_step=self.color_step, min_voxels=SMALL_PIECE)
        else:
            group = components(len(graph.counts), graph.edges)
        group_of_point = nearest_group(graph, group, standing.points[sure], self.voxel_m)
        group_of_point[steady] = group[graph.voxel_of_point]
        limits = ObjectLimits(self.min_points, self.max_extent_m, self.max_gap_m)
        ids = np.zeros(len(sure), dtype=np.int64)
        for index in range(int(group.max()) + 1):
            members = group_of_point == index
            if standing.is_object(sure[members], limits):
                ids[members] = ids.max() + 1
        return ids


def instances_of_pixels(pixel_ids: Tensor, min_points: int) -> InstanceSet:
    """Turn ids of pixels into instances without names.

    Args:
        pixel_ids: (S, h, w) int64, the same object having the same id in all views, 0 = none.
        min_points: Pixels that count as half of a well measured object.

    Returns:
        Saturated masks, the largest first; a score says only how much of an object was measured.
    """
    counts = torch.bincount(pixel_ids.flatten())
    ids = torch.argsort(counts[1:], descending=True, stable=True) + 1
    masks = pixel_ids[None] == ids[:, None, None, None]
    sizes = counts[ids].float()
    logits = torch.where(masks, SATURATED_LOGIT, -SATURATED_LOGIT)
    return InstanceSet(
        mask_logits=logits, class_logits=None, scores=sizes / (sizes + 4 * min_points), labels=LabelSpace.things(())
    )


def sensor_reconstruction(views: ViewBatch) -> Reconstruction:
    """Make a metric reconstruction of the measured depth and the given cameras; `ValueError` names what is missing."""
    depth = _of_every_view("depth", views.depth)
    intrinsics = _of_every_view("intrinsics", views.intrinsics)
    cam_from_world = _of_every_view("cam_from_world", views.cam_from_world)
    measured = depth > 0
    if not bool(measured.any()):
        raise ValueError("ViewBatch.depth: expected some measured pixels, got none above 0")
    return Reconstruction(depth, measured.to(depth.dtype), intrinsics, cam_from_world, is_metric=True)


def _of_every_view(name: str, value: Tensor | None) -> Tensor:
    if value is None:
        raise ValueError(f"ViewBatch.{name}: expected {name} of every view (this engine works on sensor depth), got None")
    return value
