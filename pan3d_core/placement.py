"""Instances moved to where their masks in the other calibrated views say they are.

A depth network knows shapes better than distances. The masks of one instance in several calibrated views enclose it in
a visual hull (Laurentini 1994), which is as exact as the masks are, a few pixels. Along the ray of a pixel the hull is
an interval of depths: the surface lies in it, and where a silhouette of another view touches the visible surface it lies
at its near end. So the predicted surface of an instance in a view is scaled as a whole until it touches the near side of
its hull, which keeps its shape, and then single pixels outside the hull are moved to its border.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pan3d_core.config import PlacementConfig
from pan3d_core.geometry.cameras import pixel_rays, project
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.merging import assign_pixels, upsampled_probs
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

log = logging.getLogger("pan3d.placement")

# Another instance may be this much farther by predicted depth and still count as covering: depths are a few % off.
COVER_TOLERANCE = 0.02
# Anything this much nearer than a point hides it, instance or not.
HIDDEN_FRACTION = 0.10
# Every n-th pixel is judged, so that the longer side has about this many; on all pixels of 144 x 112 the result was
# no better and took four times as long.
JUDGED_SIDE = 80
# Rays with a near side of the hull that an instance needs in a view to be moved there.
MIN_RAYS = 8
# Share of the rays whose predicted depth is in front of the hull after scaling. Touching rays are a part of all rays:
# the more views cut the hull, the larger. Found on ray-cast scenes with masks wrong by up to a pixel.
TOUCH_QUANTILE = {1: 0.9, 2: 0.85}
TOUCH_QUANTILE_MANY = 0.8


@dataclass(frozen=True)
class _Rays:
    """One ray per judged instance pixel."""

    row: Tensor  # (N,) row of the instance set
    view: Tensor  # (N,)
    y: Tensor  # (N,) full-resolution pixel
    x: Tensor  # (N,)
    depth: Tensor  # (N,) predicted
    log_ratio_limit: Tensor  # (N,) log(depth of the support / predicted depth), infinity where there is none


def refine_placement(
    reconstruction: Reconstruction, instances: InstanceSet, views: ViewBatch, config: PlacementConfig | None = None
) -> Reconstruction:
    """The reconstruction with the depth of instance pixels made consistent with the masks of all calibrated views.

    Needs a metric reconstruction in given cameras and predicted (not measured) depth. A view says nothing about a
    point outside its image, hidden by something nearer or covered by another instance, nor about an instance that it
    sees from nearly the same direction. Instances that no other view can judge keep their depth, as do all
    pixels without instance. No depth is moved below the support.
    """
    config = config or PlacementConfig()
    judged = reconstruction.is_metric and views.cam_from_world is not None and views.num_views > 1
    if not (config.enabled and judged) or len(instances.scores) == 0:
        return reconstruction
    hw = views.hw
    step = max(1, round(max(hw) / JUDGED_SIDE))
    owner = assign_pixels(instances, hw, config.mask_threshold)
    rays = _instance_rays(reconstruction, owner, step, views.support_height_m)
    if len(rays.row) == 0:
        return reconstruction

    log_ratios = _hypotheses(config, rays.depth)
    agreement, num_judges = _agreement(reconstruction, instances, owner, rays, log_ratios, config)
    near, far = _hull_interval(agreement, log_ratios, config.mask_threshold)
    shift = _instance_shift(rays, near, far, num_judges, len(instances.scores), views.num_views)
    log.debug("instances move by %s of their depth", shift.exp() - 1)

    moved = shift[rays.row, rays.view]
    held = torch.minimum(torch.maximum(moved, near.nan_to_num(-torch.inf)), far.nan_to_num(torch.inf))
    held = torch.where(moved == 0.0, moved, torch.minimum(held, rays.log_ratio_limit.clamp_min(0.0)))
    return _apply(reconstruction, owner, rays, shift, held - moved, step)


def _instance_rays(reconstruction: Reconstruction, owner: Tensor, step: int, support_height_m: float | None) -> _Rays:
    view, y, x = torch.nonzero((owner > 0)[:, ::step, ::step] & (reconstruction.depth > 0)[:, ::step, ::step], as_tuple=True)
    y, x = y * step, x * step
    depth = reconstruction.depth[view, y, x]
    limit = torch.full_like(depth, torch.inf)
    if support_height_m is not None:
        world_from_cam = reconstruction.world_from_cam[view]
        directions = pixel_rays(reconstruction.intrinsics[view], torch.stack([x, y], dim=-1).float()[:, None])[:, 0]
        fall = -(world_from_cam[:, 2, :3] * directions).sum(-1)
        height = world_from_cam[:, 2, 3] - support_height_m
        limit = torch.where((fall > 1e-6) & (height > 0), (height / fall.clamp_min(1e-6) / depth).log(), limit)
    return _Rays(owner[view, y, x] - 1, view, y, x, depth, limit)


def _hypotheses(config: PlacementConfig, like: Tensor) -> Tensor:
    """(K,) evenly spaced logarithms of depth ratios around 0."""
    ends = math.log(1 - config.search_fraction), math.log(1 + config.search_fraction)
    return torch.linspace(*ends, config.num_hypotheses, device=like.device)


def _agreement(
    reconstruction: Reconstruction,
    instances: InstanceSet,
    owner: Tensor,
    rays: _Rays,
    log_ratios: Tensor,
    config: PlacementConfig,
) -> tuple[Tensor, Tensor]:
    """Least mask probability over the views that can judge, (N, K), 1 where none can; and the number of judges (N,)."""
    intrinsics = reconstruction.intrinsics
    world_from_cam = reconstruction.world_from_cam
    directions = pixel_rays(intrinsics[rays.view], torch.stack([rays.x, rays.y], dim=-1).float()[:, None])[:, 0]
    points_cam = directions[:, None] * (rays.depth[:, None] * log_ratios.exp())[..., None]
    points = transform_points(world_from_cam[rays.view], points_cam)
    least = torch.ones(points.shape[:2], device=points.device)
    num_judges = torch.zeros(len(rays.row), device=points.device)
    for judge in range(owner.shape[0]):
        pixels, z = project(transform_points(reconstruction.cam_from_world[judge], points), intrinsics[judge])
        mask_probs = upsampled_probs(instances.mask_logits[:, judge], owner.shape[1:])
        probs = _bilinear(mask_probs, rays.row, pixels)
        silent = _cannot_judge(pixels, z, owner[judge], reconstruction.depth[judge], rays.row)
        silent |= _same_direction(points, world_from_cam, rays.view, judge, config.min_baseline_deg)[:, None]
        seen = torch.bincount(owner[judge].flatten(), minlength=len(mask_probs) + 1)[1:] > 0
        silent |= ~seen[rays.row][:, None]
        least = torch.where(silent, least, torch.minimum(least, probs))
        num_judges += (~silent).any(dim=1)
    return least, num_judges


def _bilinear(maps: Tensor, row: Tensor, pixels: Tensor) -> Tensor:
    """(Q, h, w) maps, map index (N,) and pixels (N, K, 2) -> (N, K); clamped to the border."""
    height, width = maps.shape[-2:]
    x, y = pixels[..., 0].clamp(0, width - 1), pixels[..., 1].clamp(0, height - 1)
    left, top = x.long().clamp_max(width - 2), y.long().clamp_max(height - 2)
    corner = (row[:, None] * height + top) * width + left
    upper = torch.lerp(maps.take(corner), maps.take(corner + 1), x - left)
    lower = torch.lerp(maps.take(corner + width), maps.take(corner + width + 1), x - left)
    return torch.lerp(upper, lower, y - top)


def _cannot_judge(pixels: Tensor, z: Tensor, owner: Tensor, depth: Tensor, row: Tensor) -> Tensor:
    """(N, K) bool: the point is outside the image, hidden by something nearer or under another, nearer instance."""
    height, width = owner.shape
    x, y = pixels[..., 0], pixels[..., 1]
    outside = (z <= 0) | (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    pixel = (y.clamp(0, height - 1) + 0.5).long() * width + (x.clamp(0, width - 1) + 0.5).long()
    there, depth_there = owner.take(pixel), depth.take(pixel)
    covered = (there > 0) & (there != row[:, None] + 1) & (depth_there < z * (1 + COVER_TOLERANCE))
    hidden = (depth_there > 0) & (there != row[:, None] + 1) & (depth_there < z * (1 - HIDDEN_FRACTION))
    return outside | covered | hidden


def _same_direction(points: Tensor, world_from_cam: Tensor, view: Tensor, judge: int, min_angle_deg: float) -> Tensor:
    """(N,) bool: the judge sees the middle of the ray under nearly the same angle (or is the same view)."""
    middle = points[:, points.shape[1] // 2]
    own = torch.nn.functional.normalize(middle - world_from_cam[view][:, :3, 3], dim=-1)
    other = torch.nn.functional.normalize(middle - world_from_cam[judge, :3, 3], dim=-1)
    return (view == judge) | ((own * other).sum(-1) > math.cos(math.radians(min_angle_deg)))


def _hull_interval(agreement: Tensor, log_ratios: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Ends (N,) of the run of agreeing hypotheses nearest to the prediction; NaN where an end is open or none agrees.

    The crossing of the threshold is interpolated between hypotheses, so the result is finer than their spacing.
    """
    count = agreement.shape[1]
    index = torch.arange(count, device=agreement.device)
    agrees = agreement >= threshold
    start = torch.where(agrees, (index - count // 2).abs(), count).argmin(dim=1, keepdim=True)
    before = torch.where(~agrees & (index < start), index, -1).amax(dim=1, keepdim=True)
    after = torch.where(~agrees & (index > start), index, count).amin(dim=1, keepdim=True)
    some = agrees.any(dim=1)

    def crossing(outside: Tensor, inside: Tensor) -> Tensor:
        outer = agreement.gather(1, outside.clamp(0, count - 1))
        inner = agreement.gather(1, inside.clamp(0, count - 1))
        share = ((threshold - outer) / (inner - outer).clamp_min(1e-6)).clamp(0, 1)
        value = torch.lerp(log_ratios[outside.clamp(0, count - 1)], log_ratios[inside.clamp(0, count - 1)], share)
        open_end = (outside < 0) | (outside >= count)
        return torch.where(open_end[:, 0] | ~some, torch.nan, value[:, 0])

    return crossing(before, before + 1), crossing(after, after - 1)


def _instance_shift(
    rays: _Rays, near: Tensor, far: Tensor, num_judges: Tensor, num_instances: int, num_views: int
) -> Tensor:
    """(Q, S) logarithm of the factor by which an instance's depth changes in a view; 0 where nothing is known.

    Where only some views of an instance can be judged, the others follow their median: the errors of a network that sees
    all views together have a common part.
    """
    shift = near.new_full((num_instances, num_views), torch.nan)
    group = rays.row * num_views + rays.view
    for key in group.unique().tolist():
        mine = group == key
        touching = near[mine & ~near.isnan()]
        if len(touching) < MIN_RAYS:
            continue
        judges = round(float(num_judges[mine].median()))
        value = touching.quantile(TOUCH_QUANTILE.get(judges, TOUCH_QUANTILE_MANY))
        beyond = far[mine & ~far.isnan()]
        if len(beyond) >= MIN_RAYS:
            value = torch.minimum(value, beyond.quantile(0.5))
        ground = rays.log_ratio_limit[mine].quantile(0.1)
        shift[key // num_views, key % num_views] = torch.minimum(value, ground)
    common = shift.nanmedian(dim=1, keepdim=True).values
    return torch.where(shift.isnan(), common.expand_as(shift), shift).nan_to_num(0.0)


def _apply(
    reconstruction: Reconstruction, owner: Tensor, rays: _Rays, shift: Tensor, correction: Tensor, step: int
) -> Reconstruction:
    """Depth times exp(shift of its instance and view), and of each judged pixel times exp(correction)."""
    table = torch.cat([shift.new_zeros(1, shift.shape[1]), shift])
    view_index = torch.arange(owner.shape[0], device=owner.device)[:, None, None].expand_as(owner)
    log_change = table[owner, view_index]
    coarse = torch.zeros_like(log_change[:, ::step, ::step])
    coarse[rays.view, rays.y // step, rays.x // step] = correction
    if step > 1:
        height, width = owner.shape[1:]
        fine = coarse.repeat_interleave(step, 1).repeat_interleave(step, 2)[:, :height, :width]
        same = owner == owner[:, ::step, ::step].repeat_interleave(step, 1).repeat_interleave(step, 2)[:, :height, :width]
        coarse = torch.where(same, fine, 0.0)
    return replace(reconstruction, depth=reconstruction.depth * (log_change + coarse).exp())
