"""From masks and depth to objects: every pixel and every point belongs to one instance at most."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from pan3d_core.config import CloudConfig, MergeConfig, WorkspaceConfig
from pan3d_core.geometry.boxes import OrientedBox, trimmed_extent, upright_box
from pan3d_core.geometry.cameras import normals_from_points
from pan3d_core.structures import InstanceSet, Panoptic3D, Reconstruction, Segment, ViewBatch

# Points this close to the others are measurement noise, not outliers.
MIN_DEVIATION_M = 0.004
# Without metres the cloud is thinned to cells of this fraction of the median depth.
UNMETRIC_VOXEL_FRACTION = 0.005
# Boxes whose bottom is this close to the support are extended to it.
MAX_UNSEEN_BOTTOM_M = 0.03
# A view counts as having seen an instance from this many pixels on.
MIN_VIEW_PIXELS = 8


@dataclass(frozen=True)
class _Pixels:
    """The pixels that stay, as points."""

    index: Tensor  # (N,) into the flattened (S, h, w) images
    points: Tensor  # (N, 3) world
    owner: Tensor  # (N,) 0 = none, k = row k - 1 of the instance set

    def __getitem__(self, choice: Tensor) -> _Pixels:
        # index_select copies rows several times faster than indexing with a tensor does.
        return _Pixels(*(x.index_select(0, choice) for x in (self.index, self.points, self.owner)))


def merge_panoptic(
    reconstruction: Reconstruction,
    instances: InstanceSet,
    views: ViewBatch,
    config: MergeConfig | None = None,
    cloud: CloudConfig | None = None,
    workspace: WorkspaceConfig | None = None,
) -> Panoptic3D:
    """Objects and coloured cloud of one view set, in the world frame of the reconstruction.

    A pixel goes to the instance with the largest score x mask probability among those above the mask threshold. Points
    between two surfaces (depth jumps on both sides), far from their camera, outside the workspace, on the support or far
    outside their instance are dropped; limits in metres apply only to metric reconstructions. Instance ids are
    1, 2, ... by falling score; the box stands upright on world z.
    """
    config, cloud, workspace = config or MergeConfig(), cloud or CloudConfig(), workspace or WorkspaceConfig()
    support_height_m = views.support_height_m if workspace.support_height_m is None else workspace.support_height_m
    if not reconstruction.is_metric:
        support_height_m = None
    owner = assign_pixels(instances, views.hw, config.mask_threshold)
    world_points = reconstruction.world_points
    valid = _valid(reconstruction, world_points, config, cloud, workspace)
    normals = normals_from_points(world_points, reconstruction.world_from_cam[:, :3, 3])
    pixels = _pixels(valid, world_points, owner, support_height_m, config)
    pixels = _thin(pixels, _voxel_size(reconstruction, cloud))
    colors = views.images.permute(0, 2, 3, 1).reshape(-1, 3)
    segments, rank = _segments(pixels, colors, owner, instances, config, support_height_m)

    instance_id = rank[owner]
    class_id = torch.full((len(segments) + 1,), -1, device=owner.device)
    for segment in segments:
        class_id[segment.instance_id] = segment.class_id
    kept = _at_most(pixels, cloud.max_points)
    return Panoptic3D(
        semantic_id=class_id[instance_id],
        instance_id=instance_id,
        segments=segments,
        points=kept.points,
        point_colors=colors.index_select(0, kept.index),
        point_instance_id=rank[kept.owner],
        point_normals=normals.reshape(-1, 3).index_select(0, kept.index),
        labels=instances.labels,
        stamp_ns=max(views.stamps_ns),
        world_frame_id=views.world_frame_id,
    )


def assign_pixels(instances: InstanceSet, hw: tuple[int, int], mask_threshold: float) -> Tensor:
    """(S, h, w) int64: 0 = none, k = row k - 1 of `instances`. View by view, so memory does not grow with S."""
    views = range(instances.mask_logits.shape[1])
    probs = (upsampled_probs(instances.mask_logits[:, view], hw) for view in views)
    return torch.stack([owner_of_pixels(each, instances.scores, mask_threshold) for each in probs])


def owner_of_pixels(mask_probs: Tensor, scores: Tensor, mask_threshold: float) -> Tensor:
    """(Q, h, w) and (Q,) -> (h, w) int64: the row + 1 of largest score x probability, 0 where none is above the threshold."""
    if len(scores) == 0:
        return torch.zeros(mask_probs.shape[1:], dtype=torch.int64, device=mask_probs.device)
    support = torch.where(mask_probs >= mask_threshold, mask_probs * scores[:, None, None], 0.0)
    best, row = support.max(dim=0)
    return torch.where(best > 0, row + 1, 0)


def upsampled_probs(mask_logits: Tensor, hw: tuple[int, int]) -> Tensor:
    """(Q, hm, wm) logits -> (Q, h, w) probabilities."""
    if len(mask_logits) == 0:
        return mask_logits.new_zeros(0, *hw)
    if mask_logits.shape[-2:] != hw:
        mask_logits = interpolate(mask_logits[None].float(), hw, mode="bilinear", align_corners=False)[0]
    return mask_logits.float().sigmoid()


def between_surfaces(depth: Tensor, edge_fraction: float) -> Tensor:
    """(S, h, w) bool: pixels that hang between a nearer and a farther neighbour, along a row or a column."""
    framed = pad(depth[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    limit = edge_fraction * depth
    hanging = torch.zeros_like(depth, dtype=torch.bool)
    for before, after in ((framed[:, 1:-1, :-2], framed[:, 1:-1, 2:]), (framed[:, :-2, 1:-1], framed[:, 2:, 1:-1])):
        known = (before > 0) & (after > 0)
        falls, rises = torch.minimum(before - depth, depth - after), torch.minimum(depth - before, after - depth)
        hanging |= known & (torch.maximum(falls, rises) > limit)
    return hanging


def _valid(
    reconstruction: Reconstruction, world_points: Tensor, config: MergeConfig, cloud: CloudConfig, workspace: WorkspaceConfig
) -> Tensor:
    """(S, h, w) bool: pixels that become points."""
    depth = reconstruction.depth
    valid = (depth > 0) & (reconstruction.depth_conf >= cloud.min_confidence)
    valid &= ~between_surfaces(depth, config.edge_fraction)
    if reconstruction.is_metric:
        valid &= depth <= cloud.max_range_m
        if workspace.lower_m:
            valid &= (world_points >= world_points.new_tensor(workspace.lower_m)).all(-1)
        if workspace.upper_m:
            valid &= (world_points <= world_points.new_tensor(workspace.upper_m)).all(-1)
    return valid


def _pixels(valid: Tensor, world_points: Tensor, owner: Tensor, support_height_m: float | None, config: MergeConfig) -> _Pixels:
    """The valid pixels; what lies on the support belongs to no instance, outliers of instances are left out."""
    owner, valid, points = owner.flatten(), valid.flatten(), world_points.reshape(-1, 3)
    if support_height_m is not None:
        owner = torch.where(points[:, 2] < support_height_m + config.support_clearance_m, 0, owner)
    owned = torch.nonzero(valid & (owner > 0))[:, 0]
    valid[owned[_outliers(points[owned], owner[owned], config.outlier_fraction)]] = False
    index = torch.nonzero(valid)[:, 0]
    return _Pixels(index, points.index_select(0, index), owner.index_select(0, index))


def _outliers(points: Tensor, owner: Tensor, outlier_fraction: float) -> Tensor:
    """(N,) bool: points far outside the middle 90 % of their instance along any axis.

    Quantiles, not deviations from the median: most points of a low box are on its top, where all deviations are 0.
    """
    outlying = torch.zeros_like(owner, dtype=torch.bool)
    order = owner.argsort()
    for mine in order.split(torch.bincount(owner).tolist()):
        if len(mine) > 0:
            low, high = trimmed_extent(points[mine].T.contiguous(), 0.05)
            reach = outlier_fraction * (high - low) + MIN_DEVIATION_M
            outlying[mine] = ((points[mine] < low - reach) | (points[mine] > high + reach)).any(-1)
    return outlying


def _voxel_size(reconstruction: Reconstruction, cloud: CloudConfig) -> float:
    if reconstruction.is_metric or cloud.voxel_size_m == 0:
        return cloud.voxel_size_m
    known = reconstruction.depth[reconstruction.depth > 0]
    return UNMETRIC_VOXEL_FRACTION * float(known.median()) if known.numel() else 0.0


def _thin(pixels: _Pixels, voxel_size_m: float) -> _Pixels:
    """The first point of each instance in each cell. No means: normals of two sides of a thin wall would cancel."""
    count = len(pixels.points)
    if voxel_size_m == 0 or count == 0:
        return pixels
    # Rounded, not cut: a table at height 0 lies in one layer of cells.
    cells = (pixels.points / voxel_size_m).round().long().add_(2**15).clamp_(0, 2**16 - 1)
    keys = (cells[:, 0] << 46) | (cells[:, 1] << 30) | (cells[:, 2] << 14) | pixels.owner
    ordered, order = keys.sort(stable=True)
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return pixels[order[is_first]]


def _at_most(pixels: _Pixels, max_points: int) -> _Pixels:
    count = len(pixels.points)
    if count <= max_points:
        return pixels
    return pixels[torch.linspace(0, count - 1, max_points, device=pixels.points.device).long()]


def _segments(
    pixels: _Pixels,
    colors: Tensor,
    owner: Tensor,
    instances: InstanceSet,
    config: MergeConfig,
    support_height_m: float | None,
) -> tuple[tuple[Segment, ...], Tensor]:
    """Segments by falling score, and the table (Q + 1,) from rows of the instance set to their ids."""
    num_instances = len(instances.scores)
    owned = pixels[torch.nonzero(pixels.owner)[:, 0]]
    counts = torch.bincount(owned.owner, minlength=num_instances + 1)
    seen = torch.stack([torch.bincount(view.flatten(), minlength=num_instances + 1) for view in owner])
    num_views = (seen >= MIN_VIEW_PIXELS).sum(0).clamp_min(1).tolist()
    class_id, class_score = _best_class(instances)
    rank = torch.zeros(num_instances + 1, dtype=torch.int64, device=owner.device)
    segments: list[Segment] = []
    for row in instances.scores.argsort(descending=True).tolist():
        if int(counts[row + 1]) < config.min_points:
            continue
        mine = owned[torch.nonzero(owned.owner == row + 1)[:, 0]]
        points = mine.points
        box = upright_box(points.cpu(), config.trim_fraction)
        if support_height_m is not None:
            box = _standing(box, support_height_m)
        rank[row + 1] = len(segments) + 1
        segments.append(
            Segment(
                instance_id=len(segments) + 1,
                class_id=class_id[row],
                class_score=class_score[row],
                score=float(instances.scores[row]),
                num_points=len(points),
                num_views=num_views[row + 1],
                centroid=points.mean(0).cpu(),
                box=box,
                color_rgb=colors[mine.index].median(dim=0).values.cpu(),
                text_embedding=None if instances.text_embeddings is None else instances.text_embeddings[row].cpu(),
            )
        )
    return tuple(segments), rank


def _standing(box: OrientedBox, support_height_m: float) -> OrientedBox:
    """The box down to the support, when so little is missing that the object can only stand on it.

    Cameras look from above: the underside of a ball or a can's bottom edge is never seen.
    """
    gap = float(box.world_from_box[2, 3] - box.size_m[2] / 2) - support_height_m
    if not 0.0 < gap < min(MAX_UNSEEN_BOTTOM_M, 0.5 * float(box.size_m[2])):
        return box
    world_from_box, size_m = box.world_from_box.clone(), box.size_m.clone()
    world_from_box[2, 3] -= gap / 2
    size_m[2] += gap
    return OrientedBox(world_from_box, size_m)


def _best_class(instances: InstanceSet) -> tuple[list[int], list[float]]:
    count = len(instances.scores)
    if instances.class_logits is None or len(instances.labels) == 0:
        return [-1] * count, [0.0] * count
    best = instances.class_logits.float().softmax(-1)[:, :-1].max(dim=-1)
    return best.indices.tolist(), best.values.tolist()
