"""What `pan3d-mini` should have answered: targets from a batch's truth, in the shapes of the network's outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.geometry.cameras import pixel_rays
from pan3d_core.geometry.transforms import invert_rigid, transform_points
from training.data.arrays import VOID, SceneBatch

MIN_PIXELS = 16
MIN_DEPTH_M, MAX_DEPTH_M = 0.1, 3.0


@dataclass(frozen=True)
class SceneTargets:
    """The objects of one scene that its views show with at least `MIN_PIXELS` pixels altogether."""

    masks2: Tensor  # (G, S, H/2, W/2) share of each cell that the object covers
    masks4: Tensor  # (G, S, H/4, W/4)
    kind: Tensor  # (G,) int64, or `NAMELESS`


@dataclass(frozen=True)
class BatchTargets:
    """Dense targets of B scenes; `scenes` holds the objects."""

    scenes: tuple[SceneTargets, ...]
    log_depth: Tensor  # (B, S, H, W)
    depth_valid: Tensor  # (B, S, H, W) bool
    foreground2: Tensor  # (B, S, H/2, W/2) share of each cell that objects cover
    center_offset: Tensor  # (B, S, H/4, W/4, 3) plane frame, metres
    offset_valid: Tensor  # (B, S, H/4, W/4) bool
    kind8: Tensor  # (B, S, H/8, W/8) int64 kind of the object at the cell's centre, negative = none
    view1_from_cam: Tensor  # (B, S, 9) first two columns of the rotation, translation
    on_object: Tensor  # (B, S, H, W) bool
    known2: Tensor  # (B, S, H/2, W/2) bool, False where more than half of a cell is void


def scene_targets(ids: Tensor, kinds: Tensor) -> SceneTargets:
    """Make the masks and kinds of one scene's objects that are seen by enough pixels.

    Args:
        ids: (S, H, W) index of the object at each pixel, 0 for none.
        kinds: (K,) kind of each index, `NAMELESS` of a thing without a name, `VOID` where nobody knows what it is.

    Returns:
        Masks at half and quarter resolution, and kinds, object by object.
    """
    counts = torch.bincount(ids.flatten(), minlength=len(kinds))[: len(kinds)]
    present = torch.nonzero((counts >= MIN_PIXELS) & (kinds != VOID))[:, 0]
    present = present[present > 0]
    full = (ids[None] == present[:, None, None, None]).float()
    masks2 = F.avg_pool2d(full, 2)
    return SceneTargets(masks2, F.avg_pool2d(masks2, 2), kinds[present])


def center_offsets(batch: SceneBatch, plane_from_world: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets (B, S, H/4, W/4, 3) from visible points to the mean visible point of their object, and where they count."""
    size, views, height, width = batch.ids.shape
    # The pixel up and left of each cell's centre stands for the cell.
    depth, ids = batch.depth[..., 1::4, 1::4], batch.ids[..., 1::4, 1::4]
    device = depth.device
    rows, columns = torch.arange(1.0, height, 4, device=device), torch.arange(1.0, width, 4, device=device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(-1, 2).expand(size, views, -1, 2)
    points_cam = pixel_rays(batch.intrinsics, pixels) * depth.flatten(2)[..., None]
    plane_from_cam = plane_from_world[:, None] @ invert_rigid(batch.cam_from_world)
    points = transform_points(plane_from_cam, points_cam).reshape(size, -1, 3)
    valid = (ids > 0) & (depth > MIN_DEPTH_M) & (depth < MAX_DEPTH_M)
    num_ids = batch.kinds.shape[1]
    slot = (ids.reshape(size, -1) + num_ids * torch.arange(size, device=device)[:, None]).flatten()
    weight = valid.reshape(-1).float()
    total = torch.zeros(size * num_ids, 3, device=device).index_add_(0, slot, points.reshape(-1, 3) * weight[:, None])
    count = torch.zeros(size * num_ids, device=device).index_add_(0, slot, weight)
    centers = (total / count.clamp_min(1)[:, None])[slot].reshape(points.shape)
    return (centers - points).reshape(*ids.shape, 3), valid


def batch_targets(batch: SceneBatch, plane_from_world: Tensor) -> BatchTargets:
    """Make the targets of a batch, in which void is no object, and not `known2`.

    Args:
        batch: Scenes with truth.
        plane_from_world: (B, 4, 4) as the network used it.

    Returns:
        What the network should have answered.
    """
    known2 = F.avg_pool2d(batch.void.float(), 2) <= 0.5
    batch = replace(batch, ids=torch.where(batch.void, 0, batch.ids))
    offset, offset_valid = center_offsets(batch, plane_from_world)
    ids8 = batch.ids[..., 3::8, 3::8]
    kind8 = batch.kinds.gather(1, ids8.flatten(1)).reshape(ids8.shape)
    foreground = (batch.ids > 0).float()
    view1_from_cam = batch.cam_from_world[:, :1] @ invert_rigid(batch.cam_from_world)
    columns = view1_from_cam[..., :3, :2].transpose(-1, -2).flatten(-2)
    return BatchTargets(
        scenes=tuple(scene_targets(ids, kinds) for ids, kinds in zip(batch.ids, batch.kinds, strict=True)),
        log_depth=batch.depth.clamp_min(1e-3).log(),
        depth_valid=(batch.depth > MIN_DEPTH_M) & (batch.depth < MAX_DEPTH_M),
        foreground2=F.avg_pool2d(foreground, 2),
        center_offset=offset,
        offset_valid=offset_valid,
        kind8=torch.where(ids8 > 0, kind8, -1),
        view1_from_cam=torch.cat([columns, view1_from_cam[..., :3, 3]], dim=-1),
        on_object=batch.ids > 0,
        known2=known2,
    )
