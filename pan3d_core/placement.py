"""Instances moved to where their masks in the other calibrated views say they are.

A depth network knows shapes better than distances. The masks of one instance in several calibrated views enclose it in
a visual hull (Laurentini 1994), which is as exact as the masks are, a few pixels. Along the ray of a pixel the hull is
an interval of depths, and the surface lies in it. In every plane through two camera centres (epipolar plane) the outline
in one view touches the surface that the other view sees: there the surface lies at the near end of the interval. So the
predicted surface of an instance in a view is scaled as a whole until it touches the near side of its hull in most
epipolar planes, which keeps its shape; then single pixels outside the hull are moved to its border.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

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
# Epipolar planes that an instance needs in a view to be moved there.
MIN_PLANES = 4
# Share of the rays of an epipolar plane about which a judge may be silent.
MAX_SILENT = 0.3


@dataclass(frozen=True)
class _Rays:
    """One ray per judged instance pixel, with the points that are tried on it."""

    row: Tensor  # (N,) row of the instance set
    view: Tensor  # (N,)
    y: Tensor  # (N,) full-resolution pixel
    x: Tensor  # (N,)
    points: Tensor  # (N, K, 3) world points at the tried depths
    log_ratios: Tensor  # (K,) logarithm of tried depth / predicted depth
    support_limit: Tensor  # (N,) log(depth of the support / predicted depth), infinity where there is none
    pixel_angle: float  # between neighbouring rays, radians


@dataclass(frozen=True)
class _Interval:
    """Where one judge's mask lies along each ray, as log ratios; NaN = the judge cannot say."""

    near: Tensor  # (N,) -infinity: nearer than all tried depths
    far: Tensor  # (N,) infinity: farther than all tried depths
    some: Tensor  # (N,) bool: some tried depth lies in the mask


@dataclass(frozen=True)
class _Touches:
    """Log ratios at which instances touch the outline in a judge, one per epipolar plane."""

    group: Tensor  # (M,) instance row * number of views + view
    log_ratio: Tensor  # (M,)
    weight: Tensor  # (M,) sine of the angle between the two directions


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
    step = max(1, round(max(views.hw) / JUDGED_SIDE))
    owner = assign_pixels(instances, views.hw, config.mask_threshold)
    rays = _instance_rays(reconstruction, owner, step, views.support_height_m, config)
    if len(rays.row) == 0:
        return reconstruction

    near, far = torch.full_like(rays.support_limit, -torch.inf), torch.full_like(rays.support_limit, torch.inf)
    touches = []
    for judge in range(views.num_views):
        interval, angle = _judged_by(judge, reconstruction, instances, owner, rays, config)
        near = torch.maximum(near, interval.near.nan_to_num(-torch.inf, neginf=-torch.inf))
        far = torch.minimum(far, interval.far.nan_to_num(torch.inf, posinf=torch.inf))
        touches.append(_touches(interval, angle, _epipolar_plane(rays, reconstruction.world_from_cam, judge), rays))
    shift = _instance_shift(touches, rays, len(instances.scores), views.num_views)
    log.debug("instances move by %s of their depth", shift.exp() - 1)

    moved = shift[rays.row, rays.view]
    held = torch.where(near < far, torch.minimum(torch.maximum(moved, near), far), moved)
    held = torch.where(moved == 0.0, moved, torch.minimum(held, rays.support_limit.clamp_min(0.0)))
    return _apply(reconstruction, owner, rays, shift, held - moved, step)


def _instance_rays(
    reconstruction: Reconstruction, owner: Tensor, step: int, support_height_m: float | None, config: PlacementConfig
) -> _Rays:
    view, y, x = torch.nonzero((owner > 0)[:, ::step, ::step] & (reconstruction.depth > 0)[:, ::step, ::step], as_tuple=True)
    y, x = y * step, x * step
    depth = reconstruction.depth[view, y, x]
    ends = math.log(1 - config.search_fraction), math.log(1 + config.search_fraction)
    log_ratios = torch.linspace(*ends, config.num_hypotheses, device=depth.device)

    intrinsics, world_from_cam = reconstruction.intrinsics, reconstruction.world_from_cam
    directions = pixel_rays(intrinsics[view], torch.stack([x, y], dim=-1).float()[:, None])[:, 0]
    points_cam = directions[:, None] * (depth[:, None] * log_ratios.exp())[..., None]
    points = transform_points(world_from_cam[view], points_cam)
    limit = torch.full_like(depth, torch.inf)
    if support_height_m is not None:
        fall = -(world_from_cam[view, 2, :3] * directions).sum(-1)
        height = world_from_cam[view, 2, 3] - support_height_m
        limit = torch.where((fall > 1e-6) & (height > 0), (height / fall.clamp_min(1e-6) / depth).log(), limit)
    pixel_angle = step / float(intrinsics[:, 0, 0].mean())
    return _Rays(owner[view, y, x] - 1, view, y, x, points, log_ratios, limit, pixel_angle)


def _judged_by(
    judge: int,
    reconstruction: Reconstruction,
    instances: InstanceSet,
    owner: Tensor,
    rays: _Rays,
    config: PlacementConfig,
) -> tuple[_Interval, Tensor]:
    """What the masks of view `judge` say about every ray, and the angle (N,) between its and the ray's own direction."""
    world_from_cam = reconstruction.world_from_cam
    pixels, z = project(transform_points(reconstruction.cam_from_world[judge], rays.points), reconstruction.intrinsics[judge])
    mask_probs = upsampled_probs(instances.mask_logits[:, judge], owner.shape[1:])
    probs = _bilinear(mask_probs, rays.row, pixels)
    silent = _cannot_judge(pixels, z, owner[judge], reconstruction.depth[judge], rays.row)

    middle = rays.points[:, len(rays.log_ratios) // 2]
    own = normalize(middle - world_from_cam[rays.view, :3, 3], dim=-1)
    other = normalize(middle - world_from_cam[judge, :3, 3], dim=-1)
    angle = torch.where(rays.view == judge, 0.0, torch.arccos((own * other).sum(-1).clamp(-1, 1)))
    seen = torch.bincount(owner[judge].flatten(), minlength=len(mask_probs) + 1)[1:] > 0
    useful = seen[rays.row] & (angle >= math.radians(config.min_baseline_deg))
    return _interval(probs, silent | ~useful[:, None], rays.log_ratios, config.mask_threshold), angle


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


def _interval(probs: Tensor, silent: Tensor, log_ratios: Tensor, threshold: float) -> _Interval:
    """The run of tried depths in the mask that is nearest to the prediction, from (N, K) probabilities.

    Its ends are where the probability crosses the threshold, interpolated, so they are finer than the tried depths.
    """
    count = probs.shape[1]
    index = torch.arange(count, device=probs.device)
    agrees = ~silent & (probs >= threshold)
    start = torch.where(agrees, (index - count // 2).abs(), count).argmin(dim=1, keepdim=True)
    before = torch.where(~agrees & (index < start), index, -1).amax(dim=1, keepdim=True)
    after = torch.where(~agrees & (index > start), index, count).amin(dim=1, keepdim=True)
    some = agrees.any(dim=1)

    def crossing(outside: Tensor, inside: Tensor, beyond: float) -> Tensor:
        on_grid = outside.clamp(0, count - 1)
        outer, inner = probs.gather(1, on_grid), probs.gather(1, inside.clamp(0, count - 1))
        share = ((threshold - outer) / (inner - outer).clamp_min(1e-6)).clamp(0, 1)
        value = torch.lerp(log_ratios[on_grid], log_ratios[inside.clamp(0, count - 1)], share)
        value = torch.where(on_grid == outside, value, beyond)
        unknown = silent.gather(1, on_grid) & (on_grid == outside)
        return torch.where(unknown[:, 0] | ~some, torch.nan, value[:, 0])

    return _Interval(crossing(before, before + 1, -torch.inf), crossing(after, after - 1, torch.inf), some)


def _epipolar_plane(rays: _Rays, world_from_cam: Tensor, judge: int) -> Tensor:
    """(N,) numbers that are equal for rays of one instance and view in one plane with the judge, a pixel wide."""
    own = world_from_cam[rays.view, :3, 3]
    baseline = normalize(world_from_cam[judge, :3, 3] - own, dim=-1)
    across = torch.linalg.cross(baseline, normalize(rays.points[:, 0] - own, dim=-1))
    group = rays.row * len(world_from_cam) + rays.view
    middle = torch.zeros(int(group.max()) + 1, 3, device=group.device).index_add_(0, group, across)[group]
    first = normalize(middle, dim=-1)
    second = torch.linalg.cross(baseline, first)
    turn = torch.atan2((across * second).sum(-1), (across * first).sum(-1))
    plane = (turn * across.norm(dim=-1) / rays.pixel_angle).round().long().clamp(-500, 500)
    return group * 1024 + plane + 512


def _touches(interval: _Interval, angle: Tensor, plane: Tensor, rays: _Rays) -> _Touches:
    """The surface touches the outline where, in its epipolar plane, the mask begins last along the ray.

    On flat objects that is at the outline of the view itself, which lies on average half a ray beyond the last ray; so
    the last two are continued by half their difference. Where the surface is round they are equal.
    """
    plane, near, angle = plane[interval.some], interval.near[interval.some], angle[interval.some]
    known = near.nan_to_num(-torch.inf, neginf=-torch.inf)
    order = known.argsort(descending=True)
    order = order[plane[order].argsort(stable=True)]
    planes, size = plane[order].unique_consecutive(return_counts=True)
    first = size.cumsum(0) - size
    last = known[order[first]]
    second = torch.where(size > 1, known[order[(first + 1).clamp_max(max(len(order) - 1, 0))]], last)
    step = torch.where(torch.isfinite(second), last - second, 0.0)
    member = torch.repeat_interleave(size)
    unknown = size.new_zeros(len(size)).index_add_(0, member, near[order].isnan().long())
    leverage = near.new_zeros(len(size)).index_add_(0, member, angle[order].sin()) / size
    good = torch.isfinite(last) & (unknown <= MAX_SILENT * size)
    return _Touches(planes[good] // 1024, (last + 0.5 * step)[good], leverage[good])


def _instance_shift(touches: list[_Touches], rays: _Rays, num_instances: int, num_views: int) -> Tensor:
    """(Q, S) logarithm of the factor by which an instance's depth changes in a view; 0 where nothing is known.

    Where only some views of an instance can be judged, the others follow their median: the errors of a network that sees
    all views together have a common part.
    """
    group = torch.cat([item.group for item in touches])
    log_ratio = torch.cat([item.log_ratio for item in touches])
    weight = torch.cat([item.weight for item in touches])
    ray_group = rays.row * num_views + rays.view
    shift = log_ratio.new_full((num_instances * num_views,), torch.nan)
    for key in group.unique().tolist():
        mine = group == key
        if int(mine.sum()) >= MIN_PLANES:
            ground = rays.support_limit[ray_group == key].quantile(0.1)
            shift[key] = torch.minimum(_weighted_median(log_ratio[mine], weight[mine]), ground)
    shift = shift.reshape(num_instances, num_views)
    common = shift.nanmedian(dim=1, keepdim=True).values
    return torch.where(shift.isnan(), common.expand_as(shift), shift).nan_to_num(0.0)


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    order = values.argsort()
    total = weights[order].cumsum(0)
    return values[order[int((total < total[-1] / 2).sum())]]


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
