"""From masks and depth to objects: every pixel and every point belongs to one instance at most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from pan3d_core.assembly.instance_points import InstancePoints, segments_of, stray_points
from pan3d_core.assembly.ownership import OwnedPixels
from pan3d_core.assembly.uncertainty import with_uncertainty
from pan3d_core.config import CloudConfig, MergeConfig, PipelineConfig
from pan3d_core.geometry.cameras import normals_from_points
from pan3d_core.structures import Panoptic3D, Reconstruction, Segment, ViewBatch

# Without metres the cloud is thinned to cells of this fraction of the median depth.
UNMETRIC_VOXEL_FRACTION = 0.005
# Points of an instance closer than this are one part of it, whatever the resolution.
MIN_GAP_M = 0.02
# A view counts as having seen an instance from this many pixels on.
MIN_VIEW_PIXELS = 8


@dataclass(frozen=True)
class _Pixels:
    """The pixels that stay, as points."""

    index: Tensor  # (N,) into the flattened (S, h, w) images
    points: Tensor  # (N, 3) world
    owner: Tensor  # (N,) 0 = none, k = row k - 1 of the instance set

    def __getitem__(self, choice: Tensor) -> _Pixels:
        return _Pixels(*(_rows(x, choice) for x in (self.index, self.points, self.owner)))


@dataclass(frozen=True)
class _Surface:
    """Every pixel as a point."""

    valid: Tensor  # (S, h, w) bool: those that may stay
    world_points: Tensor  # (S, h, w, 3)
    owner: Tensor  # (S, h, w) as of `OwnedPixels`
    support_height_m: float | None  # None = unknown, or without metres


def merge_panoptic(
    reconstruction: Reconstruction, owned: OwnedPixels, views: ViewBatch, config: PipelineConfig | None = None
) -> Panoptic3D:
    """Make objects and a coloured cloud of one view set, in the world frame of the reconstruction.

    Points between two surfaces (depth jumps on both sides), of the robot, far from their camera, outside the workspace, on the
    support or far outside their instance are dropped; limits in metres apply only to metric reconstructions.

    Args:
        reconstruction: depth (S, h, w) and cameras.
        owned: instances and the pixels (S, h, w) that each owns.
        views: images (S, 3, h, w), stamps, and the support's height unless `config.workspace` says it.
        config: of which `merge`, `cloud` and `workspace` count.

    Returns:
        Segments whose ids are 1, 2, ... by falling score, with boxes that stand upright on world z, and points with their ids.
    """
    config = config or PipelineConfig()
    instances, owner, known = owned.instances, owned.owner, config.workspace.support_height_m
    support_height_m = views.support_height_m if known is None else known
    if not reconstruction.is_metric:
        support_height_m = None
    world_points = reconstruction.world_points
    valid = _valid(reconstruction, world_points, config)
    if owned.body is not None:
        valid &= ~owned.body
    normals = normals_from_points(world_points, reconstruction.world_from_cam[:, :3, 3])
    surface = _Surface(valid, world_points, owner, support_height_m)
    pixels = _pixels(surface, reconstruction, config)
    colors = views.images.permute(0, 2, 3, 1).reshape(-1, 3)
    segments, rank = _segments(pixels, colors, owned, config.merge, support_height_m)
    if reconstruction.is_metric:
        measured = views.depth is not None and config.align.depth_source != "model"
        segments = tuple(with_uncertainty(item, measured=measured) for item in segments)

    instance_id = _rows(rank, owner.flatten()).view_as(owner)
    class_id = torch.full((len(segments) + 1,), -1, device=owner.device)
    for segment in segments:
        class_id[segment.instance_id] = segment.class_id
    kept = _at_most(pixels, config.cloud.max_points)
    return Panoptic3D(
        semantic_id=_rows(class_id, instance_id.flatten()).view_as(owner),
        instance_id=instance_id,
        segments=segments,
        points=kept.points,
        point_colors=_rows(colors, kept.index),
        point_instance_id=_rows(rank, kept.owner),
        point_normals=_rows(normals.reshape(-1, 3), kept.index),
        labels=instances.labels,
        stamp_ns=max(views.stamps_ns),
        world_frame_id=views.world_frame_id,
    )


def _rows(values: Tensor, choice: Tensor) -> Tensor:
    """`values[choice]`, which `index_select` copies several times faster."""
    return values.index_select(0, choice)


def between_surfaces(depth: Tensor, edge_fraction: float) -> Tensor:
    """Find pixels that hang between a nearer and a farther neighbour, along a row or a column.

    Args:
        depth: (S, h, w) z-depth in any unit, 0 = none.
        edge_fraction: Share of the depth that both steps must exceed.

    Returns:
        (S, h, w) bool.
    """
    framed = pad(depth[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    limit = edge_fraction * depth
    hanging = torch.zeros_like(depth, dtype=torch.bool)
    for before, after in ((framed[:, 1:-1, :-2], framed[:, 1:-1, 2:]), (framed[:, :-2, 1:-1], framed[:, 2:, 1:-1])):
        known = (before > 0) & (after > 0)
        falls, rises = torch.minimum(before - depth, depth - after), torch.minimum(depth - before, after - depth)
        hanging |= known & (torch.maximum(falls, rises) > limit)
    return hanging


def _valid(reconstruction: Reconstruction, world_points: Tensor, config: PipelineConfig) -> Tensor:
    """(S, h, w) bool: pixels that become points."""
    cloud, workspace = config.cloud, config.workspace
    depth = reconstruction.depth
    valid = (depth > 0) & (reconstruction.depth_conf >= cloud.min_confidence)
    valid &= ~between_surfaces(depth, config.merge.edge_fraction)
    if reconstruction.is_metric:
        valid &= depth <= cloud.max_range_m
        if workspace.lower_m:
            valid &= (world_points >= world_points.new_tensor(workspace.lower_m)).all(-1)
        if workspace.upper_m:
            valid &= (world_points <= world_points.new_tensor(workspace.upper_m)).all(-1)
    return valid


def _pixels(surface: _Surface, reconstruction: Reconstruction, config: PipelineConfig) -> _Pixels:
    """What becomes points: what lies on the support belongs to no instance, strays of instances are left out, and of each
    instance one point stays in each cell."""
    owner, valid, support_height_m = surface.owner.flatten(), surface.valid.flatten(), surface.support_height_m
    points = surface.world_points.reshape(-1, 3)
    if support_height_m is not None:
        owner = owner.masked_fill(points[:, 2] < support_height_m + config.merge.support_clearance_m, 0)
    owned = torch.nonzero(valid & (owner > 0))[:, 0]
    found = InstancePoints(_array(_rows(points, owned)), _array(_rows(owner, owned)))
    spacing = (reconstruction.depth / reconstruction.intrinsics[:, :1, :1]).flatten()
    smallest_gap = MIN_GAP_M if reconstruction.is_metric else 0.0
    stray = stray_points(found, _array(_rows(spacing, owned)), config.merge, smallest_gap)
    valid[owned[torch.from_numpy(stray).to(owned.device)]] = False
    index = _one_per_cell(torch.nonzero(valid)[:, 0], points, owner, _voxel_size(reconstruction, config.cloud))
    return _Pixels(index, _rows(points, index), _rows(owner, index))


def _array(values: Tensor) -> np.ndarray:
    return values.numpy(force=True)


def _voxel_size(reconstruction: Reconstruction, cloud: CloudConfig) -> float:
    if reconstruction.is_metric or cloud.voxel_size_m == 0:
        return cloud.voxel_size_m
    known = reconstruction.depth[reconstruction.depth > 0]
    return UNMETRIC_VOXEL_FRACTION * float(known.median()) if known.numel() else 0.0


def _one_per_cell(index: Tensor, points: Tensor, owner: Tensor, voxel_size_m: float) -> Tensor:
    """The first of the pixels `index` of each instance in each cell. No means: normals of two sides of a thin wall would
    cancel."""
    if voxel_size_m == 0 or len(index) == 0:
        return index
    # Rounded, not cut: a table at height 0 lies in one layer of cells. Three 16-bit numbers fit into a double exactly; they are
    # counted from the middle of the points, which may be far from the world's origin.
    cells = _rows(points, index).div_(voxel_size_m).round_()
    cells = cells.sub_(cells.mean(0).round_()).clamp_(-(2**15), 2**15 - 1).double()
    cell = (cells @ cells.new_tensor([2.0**32, 2.0**16, 1.0])).long()
    ordered, order = (cell << 14).add_(_rows(owner, index)).sort(stable=True)
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return _rows(index, order[is_first])


def _at_most(pixels: _Pixels, max_points: int) -> _Pixels:
    count = len(pixels.points)
    if count <= max_points:
        return pixels
    return pixels[torch.linspace(0, count - 1, max_points, device=pixels.points.device).long()]


def _segments(
    pixels: _Pixels, colors: Tensor, owned: OwnedPixels, config: MergeConfig, support_height_m: float | None
) -> tuple[tuple[Segment, ...], Tensor]:
    """Segments by falling score, and the table (Q + 1,) from rows of the instance set to their ids."""
    instances, owner = owned.instances, owned.owner
    count = len(instances.scores) + 1
    mine = pixels[torch.nonzero(pixels.owner)[:, 0]]
    seen = torch.stack([torch.bincount(view.flatten(), minlength=count) for view in owner])
    num_views = (seen >= MIN_VIEW_PIXELS).sum(0).clamp_min(1).tolist()
    found = InstancePoints(_array(mine.points), _array(mine.owner))
    segments, rows = segments_of(found, _array(_rows(colors, mine.index)), instances, num_views, config, support_height_m)
    rank = torch.zeros(count, dtype=torch.int64)
    rank[torch.tensor(rows, dtype=torch.int64) + 1] = torch.arange(1, len(rows) + 1)
    return segments, rank.to(owner.device)
