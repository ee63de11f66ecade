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
from pan3d_core.geometry.cameras import pixel_rays
from pan3d_core.pixel_owners import OwnedPixels, own_pixels
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
    """One ray per judged instance pixel."""

    row: Tensor  # (N,) row of the instance set
    view: Tensor  # (N,)
    group: Tensor  # (N,) row * number of views + view
    pixel: Tensor  # (N, 2) full-resolution x, y
    origin: Tensor  # (N, 3) camera centre, world
    reach: Tensor  # (N, 3) from there to the predicted point, world
    support_limit: Tensor  # (N,) log(depth of the support / predicted depth), infinity where there is none

    def __getitem__(self, choice: Tensor) -> _Rays:
        # index_select copies rows several times faster than indexing with a tensor does.
        return _Rays(*(getattr(self, name).index_select(0, choice) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class _Judge:
    """One view that says where instances can be."""

    index: int
    mask_probs: Tensor  # (Q, h, w)
    owner: Tensor  # (h, w) row + 1, 0 = none
    depth: Tensor  # (h, w)
    pixel_from_world: Tensor  # (3, 4) homogeneous
    center: Tensor  # (3,)


@dataclass(frozen=True)
class _Interval:
    """Where a judge's mask lies along each ray, as log ratios to the predicted depth; NaN = the judge cannot say."""

    near: Tensor  # (N,) -infinity: nearer than all tried depths
    far: Tensor  # (N,) infinity: farther than all tried depths
    some: Tensor  # (N,) bool: some tried depth lies in the mask


@dataclass(frozen=True)
class _Touches:
    """Log ratios at which instances touch the outline in a judge, one per epipolar plane."""

    group: Tensor  # (M,)
    log_ratio: Tensor  # (M,)
    weight: Tensor  # (M,) sine of the angle between the two directions


def refine_placement(
    reconstruction: Reconstruction,
    instances: InstanceSet,
    views: ViewBatch,
    config: PlacementConfig | None = None,
    owned: OwnedPixels | None = None,
) -> Reconstruction:
    """The reconstruction with the depth of instance pixels made consistent with the masks of all calibrated views.

    Needs a metric reconstruction in given cameras and predicted (not measured) depth. A view says nothing about a
    point outside its image, hidden by something nearer or covered by another instance, nor about an instance that it
    sees from nearly the same direction. Instances that no other view can judge keep their depth, as do all
    pixels without instance. No depth is moved below the support.
    """
    config = config or PlacementConfig()
    possible = reconstruction.is_metric and views.cam_from_world is not None and views.num_views > 1
    if not (config.enabled and possible) or len(instances.scores) == 0:
        return reconstruction
    if owned is None or owned.mask_threshold != config.mask_threshold:
        owned = own_pixels(instances, views.hw, config.mask_threshold)
    judges, owner = _judges(reconstruction, owned), owned.owner
    step = max(1, round(max(views.hw) / JUDGED_SIDE))
    rays = _instance_rays(reconstruction, owner, step, views.support_height_m)
    if len(rays.row) == 0:
        return reconstruction

    ends = math.log(1 - config.search_fraction), math.log(1 + config.search_fraction)
    log_ratios = torch.linspace(*ends, config.num_hypotheses, device=owner.device)
    near, far = torch.full_like(rays.support_limit, -torch.inf), torch.full_like(rays.support_limit, torch.inf)
    touches = []
    for judge in judges:
        angle = _view_angle(rays, judge)
        useful = torch.nonzero(angle >= math.radians(config.min_baseline_deg))[:, 0]
        if len(useful) == 0:
            continue
        judged = rays[useful]
        interval = _interval(*_testimony(judged, judge, log_ratios), log_ratios, config.mask_threshold)
        near[useful] = torch.maximum(near[useful], torch.where(interval.near.isnan(), -torch.inf, interval.near))
        far[useful] = torch.minimum(far[useful], torch.where(interval.far.isnan(), torch.inf, interval.far))
        plane = _epipolar_plane(judged, judge.center, step / float(reconstruction.intrinsics[0, 0, 0]))
        touches.append(_touches(interval, angle[useful], plane))
    if not touches:
        return reconstruction

    shift = _instance_shift(touches, rays, len(instances.scores), views.num_views)
    log.debug("instances move by %s of their depth", shift.exp() - 1)
    moved = shift[rays.row, rays.view]
    held = torch.where(near < far, torch.minimum(torch.maximum(moved, near), far), moved)
    held = torch.where(moved == 0.0, moved, torch.minimum(held, rays.support_limit.clamp_min(0.0)))
    return _apply(reconstruction, owner, rays, shift, held - moved, step)


def _judges(reconstruction: Reconstruction, owned: OwnedPixels) -> list[_Judge]:
    pixel_from_world = reconstruction.intrinsics @ reconstruction.cam_from_world[:, :3]
    centers = reconstruction.world_from_cam[:, :3, 3]
    parts = zip(owned.mask_probs, owned.owner, reconstruction.depth, pixel_from_world, centers)
    return [_Judge(view, *part) for view, part in enumerate(parts)]


def _instance_rays(reconstruction: Reconstruction, owner: Tensor, step: int, support_height_m: float | None) -> _Rays:
    view, y, x = torch.nonzero((owner > 0)[:, ::step, ::step] & (reconstruction.depth > 0)[:, ::step, ::step], as_tuple=True)
    y, x = y * step, x * step
    depth, row, pixel = reconstruction.depth[view, y, x], owner[view, y, x] - 1, torch.stack([x, y], dim=-1)
    world_from_cam = reconstruction.world_from_cam
    directions = pixel_rays(reconstruction.intrinsics[view], pixel.float()[:, None])[:, 0]
    reach = (world_from_cam[view, :3, :3] * (directions * depth[:, None])[:, None]).sum(-1)
    origin = world_from_cam[view, :3, 3]
    limit = torch.full_like(depth, torch.inf)
    if support_height_m is not None:
        ratio = (support_height_m - origin[:, 2]) / reach[:, 2].clamp_max(-1e-6)
        limit = torch.where((reach[:, 2] < -1e-6) & (ratio > 0), ratio.clamp_min(1e-6).log(), limit)
    return _Rays(row, view, row * len(owner) + view, pixel, origin, reach, limit)


def _view_angle(rays: _Rays, judge: _Judge) -> Tensor:
    """(N,) angle under which ray and judge look at the predicted point; 0 for the judge's own rays and what it has not seen."""
    seen = torch.bincount(judge.owner.flatten(), minlength=len(judge.mask_probs) + 1)[1:] > 0
    theirs = normalize(rays.origin + rays.reach - judge.center, dim=-1)
    cosine = (normalize(rays.reach, dim=-1) * theirs).sum(-1).clamp(-1, 1)
    return torch.where(seen[rays.row] & (rays.view != judge.index), torch.arccos(cosine), 0.0)


def _testimony(rays: _Rays, judge: _Judge, log_ratios: Tensor) -> tuple[Tensor, Tensor]:
    """Mask probability (N, K) of each ray's own instance at the tried depths, and where the judge must be silent.

    Silent: outside the image, hidden by something nearer, or under another instance that may be nearer.
    """
    height, width = judge.owner.shape
    start = rays.origin @ judge.pixel_from_world[:, :3].T + judge.pixel_from_world[:, 3]
    slope = rays.reach @ judge.pixel_from_world[:, :3].T
    z = torch.addcmul(start[:, 2:], slope[:, 2:], log_ratios.exp())
    inverse = 1.0 / z.clamp_min(1e-6)
    x = torch.addcmul(start[:, :1], slope[:, :1], log_ratios.exp()) * inverse
    y = torch.addcmul(start[:, 1:2], slope[:, 1:2], log_ratios.exp()) * inverse
    silent = (z <= 0) | (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)

    left, top = x.long().clamp_max(width - 2), y.long().clamp_max(height - 2)
    corner = (rays.row[:, None] * height + top) * width + left
    across, down = x - left, y - top
    upper = torch.lerp(judge.mask_probs.take(corner), judge.mask_probs.take(corner + 1), across)
    lower = torch.lerp(judge.mask_probs.take(corner + width), judge.mask_probs.take(corner + width + 1), across)

    pixel = (y + 0.5).long() * width + (x + 0.5).long()
    there, depth_there = judge.owner.take(pixel), judge.depth.take(pixel)
    factor = torch.where(there > 0, 1 + COVER_TOLERANCE, 1 - HIDDEN_FRACTION)
    silent |= (there != rays.row[:, None] + 1) & (depth_there > 0) & (depth_there < z * factor)
    return torch.lerp(upper, lower, down), silent


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


def _epipolar_plane(rays: _Rays, judge_center: Tensor, pixel_angle: float) -> Tensor:
    """(N,) numbers that are equal for rays of one instance and view in one plane with the judge, a ray's distance wide."""
    baseline = normalize(judge_center - rays.origin, dim=-1)
    across = torch.linalg.cross(baseline, normalize(rays.reach, dim=-1))
    middle = across.new_zeros(int(rays.group.max()) + 1, 3).index_add_(0, rays.group, across)[rays.group]
    first = normalize(middle, dim=-1)
    second = torch.linalg.cross(baseline, first)
    turn = torch.atan2((across * second).sum(-1), (across * first).sum(-1))
    plane = (turn * across.norm(dim=-1) / pixel_angle).round().long().clamp(-500, 500)
    return rays.group * 1024 + plane + 512


def _touches(interval: _Interval, angle: Tensor, plane: Tensor) -> _Touches:
    """The surface touches the outline where, in its epipolar plane, the mask begins last along the ray.

    On flat objects that is at the outline of the view itself, which lies on average half a ray beyond the last ray; so
    the last two are continued by half their difference. Where the surface is round they are equal.
    """
    plane, near, angle = plane[interval.some], interval.near[interval.some], angle[interval.some]
    if len(near) == 0:
        return _Touches(plane, near, angle)
    known = torch.where(near.isnan(), -torch.inf, near)
    order = known.argsort(descending=True)
    order = order[plane[order].argsort(stable=True)]
    planes, member, size = plane[order].unique_consecutive(return_inverse=True, return_counts=True)
    first = size.cumsum(0) - size
    last = known[order[first]]
    second = torch.where(size > 1, known[order[(first + 1).clamp_max(len(order) - 1)]], last)
    step = torch.where(torch.isfinite(second), last - second, 0.0)
    unknown = size.new_zeros(len(size)).index_add_(0, member, near[order].isnan().long())
    leverage = near.new_zeros(len(size)).index_add_(0, member, angle[order].sin()) / size
    good = torch.isfinite(last) & (unknown <= MAX_SILENT * size)
    return _Touches(planes[good] // 1024, (last + 0.5 * step)[good], leverage[good])


def _instance_shift(touches: list[_Touches], rays: _Rays, num_instances: int, num_views: int) -> Tensor:
    """(Q, S) logarithm of the factor by which an instance's depth changes in a view; 0 where nothing is known.

    Where only some views of an instance can be judged, the others follow their median: the errors of a network that sees
    all views together have a common part.
    """
    count = num_instances * num_views
    group = torch.cat([item.group for item in touches])
    log_ratio = torch.cat([item.log_ratio for item in touches])
    weight = torch.cat([item.weight for item in touches])
    touching = _group_quantile(log_ratio, weight, group, count, 0.5)
    ground = _group_quantile(rays.support_limit, torch.ones_like(rays.support_limit), rays.group, count, 0.1)
    enough = torch.bincount(group, minlength=count) >= MIN_PLANES
    shift = torch.where(enough, torch.minimum(touching, ground), torch.nan).reshape(num_instances, num_views)
    common = shift.nanmedian(dim=1, keepdim=True).values
    return torch.where(shift.isnan(), common.expand_as(shift), shift).nan_to_num(0.0)


def _group_quantile(values: Tensor, weights: Tensor, group: Tensor, count: int, share: float) -> Tensor:
    """(count,) weighted quantile of the values of each group, infinity for empty groups."""
    order = values.argsort()
    order = order[group[order].argsort(stable=True)]
    total = weights.new_zeros(count).index_add_(0, group, weights)
    sums = weights[order].double().cumsum(0)
    passed = sums - (total.double().cumsum(0) - total)[group[order]] >= share * total[group[order]]
    reached = torch.where(passed, values[order], torch.inf)
    return values.new_full((count,), torch.inf).scatter_reduce_(0, group[order], reached, "amin")


def _apply(
    reconstruction: Reconstruction, owner: Tensor, rays: _Rays, shift: Tensor, correction: Tensor, step: int
) -> Reconstruction:
    """Depth times exp(shift of its instance and view), and of each judged pixel times exp(correction)."""
    table = torch.cat([shift.new_zeros(1, shift.shape[1]), shift])
    view_index = torch.arange(owner.shape[0], device=owner.device)[:, None, None].expand_as(owner)
    log_change = table[owner, view_index]
    coarse = torch.zeros_like(log_change[:, ::step, ::step])
    coarse[rays.view, rays.pixel[:, 1] // step, rays.pixel[:, 0] // step] = correction
    if step > 1:
        height, width = owner.shape[1:]
        fine = coarse.repeat_interleave(step, 1).repeat_interleave(step, 2)[:, :height, :width]
        same = owner == owner[:, ::step, ::step].repeat_interleave(step, 1).repeat_interleave(step, 2)[:, :height, :width]
        coarse = torch.where(same, fine, 0.0)
    return replace(reconstruction, depth=reconstruction.depth * (log_change + coarse).exp())
