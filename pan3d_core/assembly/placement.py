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

from pan3d_core.assembly.ownership import OwnedMasks
from pan3d_core.config import PlacementConfig
from pan3d_core.geometry.cameras import pixel_rays
from pan3d_core.structures import Reconstruction, ViewBatch

log = logging.getLogger("pan3d.placement")

# Another instance may be this much farther by predicted depth and still count as covering: depths are a few % off.
COVER_TOLERANCE = 0.02
# Anything this much nearer than a point hides it, instance or not.
HIDDEN_FRACTION = 0.10
# Every n-th pixel is compared, so that the longer side has about this many; on all pixels of 144 x 112 the result was
# no better and took four times as long.
COMPARED_SIDE = 80
# Epipolar planes that an instance needs in a view to be moved there.
MIN_PLANES = 4
# Share of the rays of an epipolar plane whose samples a source view may not see.
MAX_UNSEEN = 0.3
# Rays are sampled in parts of so many.
PAIRS_AT_ONCE = 4096
# Epipolar planes of a group are counted from the middle one, this many to either side at most.
MAX_PLANE = 500


@dataclass(frozen=True)
class _Rays:
    """One ray per compared instance pixel; its view is the reference view."""

    row: Tensor  # (N,) row of the instance set
    view: Tensor  # (N,)
    group: Tensor  # (N,) row * number of views + view
    pixel: Tensor  # (N, 2) full-resolution x, y
    origin: Tensor  # (N, 3) camera centre, world
    reach: Tensor  # (N, 3) from there to the predicted point, world
    support_limit: Tensor  # (N,) log(depth of the support / predicted depth), infinity where there is none


@dataclass(frozen=True)
class _Sources:
    """The S views as source views, in which samples of the rays are looked up."""

    mask_probs: Tensor  # (S, Q, h, w)
    mask_threshold: float
    owner: Tensor  # (S, h, w) row + 1, 0 = none
    hides_from: Tensor  # (S, h, w) what lies deeper than this may be occluded here; infinity where no depth is known
    pixel_from_world: Tensor  # (S, 3, 4) homogeneous
    centers: Tensor  # (S, 3)


@dataclass(frozen=True)
class _Pairs:
    """Each ray with each source view that can say something about it."""

    source: Tensor  # (P,) view
    ray: Tensor  # (P,) index of the ray
    angle: Tensor  # (P,) at which the two look at the predicted point


@dataclass(frozen=True)
class _Samples:
    """K depths along each of P rays, as a source view sees them."""

    probs: Tensor  # (K, P) mask probability of the ray's own instance
    unseen: Tensor  # (K, P) bool: outside the image, occluded, or under another instance that may be nearer


@dataclass(frozen=True)
class _Interval:
    """Where a source view's mask lies along each ray, as log ratios to the predicted depth; NaN = it is not visible there."""

    near: Tensor  # (P,) -infinity: nearer than all samples
    far: Tensor  # (P,) infinity: farther than all samples
    some: Tensor  # (P,) bool: some sample lies in the mask


@dataclass(frozen=True)
class _Planes:
    """The epipolar plane of each pair: one of a source view, of an instance in a reference view."""

    member: Tensor  # (P,) row of the plane
    group: Tensor  # (P,) instance and reference view, as of `_Rays`


@dataclass(frozen=True)
class _Touches:
    """Log ratios at which instances touch the outline in a source view, one per epipolar plane."""

    group: Tensor  # (M,)
    log_ratio: Tensor  # (M,)
    weight: Tensor  # (M,) sine of the angle between the two directions


def refine_placement(
    reconstruction: Reconstruction, masks: OwnedMasks, views: ViewBatch, config: PlacementConfig | None = None
) -> Reconstruction:
    """Make the depth of instance pixels consistent with the instance's masks in all calibrated views.

    A source view says nothing about a point outside its image, occluded by something nearer or covered by another instance,
    nor about an instance that it sees from nearly the same direction. Instances that no other view sees keep their depth, as
    do all pixels without instance. No depth is moved below the support.

    Args:
        reconstruction: predicted (not measured) depth (S, h, w); without metres or given cameras it stays as it is.
        masks: instances, their masks (S, Q, h, w) and the pixels that each owns.
        views: of which the cameras and the support's height count.
        config: how far and how finely depths are tried.

    Returns:
        The reconstruction with other depth, metres.
    """
    config = config or PlacementConfig()
    possible = reconstruction.is_metric and views.cam_from_world is not None and views.num_views > 1
    num_instances = len(masks.instances.scores)
    if not (config.enabled and possible) or num_instances == 0:
        return reconstruction
    sources, owner = _sources(reconstruction, masks), masks.owner
    step = max(1, round(max(views.hw) / COMPARED_SIDE))
    rays = _instance_rays(reconstruction, owner, step, views.support_height_m)
    pairs = _pairs(rays, sources, math.radians(config.min_baseline_deg))
    if len(pairs.ray) == 0:
        return reconstruction

    ends = math.log(1 - config.search_fraction), math.log(1 + config.search_fraction)
    log_ratios = torch.linspace(*ends, config.num_hypotheses, device=owner.device)
    interval = _intervals(rays, pairs, sources, log_ratios)
    endless = torch.full_like(rays.support_limit, torch.inf)
    near = (-endless).scatter_reduce_(0, pairs.ray, _known(interval.near, -torch.inf), "amax")
    far = endless.scatter_reduce_(0, pairs.ray, _known(interval.far, torch.inf), "amin")
    plane = _epipolar_planes(rays, pairs, sources, step / float(reconstruction.intrinsics[0, 0, 0]))
    touches = _touches(interval, pairs.angle, plane)

    shift = _instance_shift(touches, rays, num_instances, views.num_views)
    log.debug("instances move by %s of their depth", shift.exp() - 1)
    moved = shift[rays.row, rays.view]
    held = torch.where(near < far, torch.minimum(torch.maximum(moved, near), far), moved)
    held = torch.where(moved == 0.0, moved, torch.minimum(held, rays.support_limit.clamp_min(0.0)))
    return _apply(reconstruction, owner, rays, shift, held - moved, step)


def _known(values: Tensor, otherwise: float) -> Tensor:
    return values.nan_to_num(nan=otherwise, posinf=torch.inf, neginf=-torch.inf)


def _sources(reconstruction: Reconstruction, masks: OwnedMasks) -> _Sources:
    depth = reconstruction.depth
    # Division by the factor here, once per pixel, instead of multiplication at every sample.
    hides_from = depth / ((1 - HIDDEN_FRACTION) + (COVER_TOLERANCE + HIDDEN_FRACTION) * (masks.owner > 0))
    return _Sources(
        mask_probs=masks.mask_probs,
        mask_threshold=masks.mask_threshold,
        owner=masks.owner,
        hides_from=hides_from.masked_fill_(depth <= 0, torch.inf),
        pixel_from_world=reconstruction.intrinsics @ reconstruction.cam_from_world[:, :3],
        centers=reconstruction.world_from_cam[:, :3, 3],
    )


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


def _pairs(rays: _Rays, sources: _Sources, min_angle: float) -> _Pairs:
    """No source of a ray are its own view, views that have not seen its instance, and those from nearly the same direction."""
    count = sources.mask_probs.shape[1] + 1
    seen = torch.stack([torch.bincount(view.flatten(), minlength=count)[1:] for view in sources.owner]) > 0
    theirs = normalize(rays.origin + rays.reach - sources.centers[:, None], dim=-1)
    cosine = (normalize(rays.reach, dim=-1) * theirs).sum(-1).clamp(-1, 1)
    angle = torch.arccos(cosine)  # (S, N)
    other = rays.view != torch.arange(len(angle), device=angle.device)[:, None]
    source, ray = torch.nonzero(seen[:, rays.row] & other & (angle >= min_angle), as_tuple=True)
    return _Pairs(source, ray, angle[source, ray])


def _intervals(rays: _Rays, pairs: _Pairs, sources: _Sources, log_ratios: Tensor) -> _Interval:
    """The mask of each source view along each of its rays; in parts, which bounds memory and keeps it in the cache."""
    ends = torch.cat([rays.origin.T, torch.ones_like(rays.origin[:, :1]).T, rays.reach.T, torch.zeros_like(rays.origin[:, :1]).T])
    start, slope = (sources.pixel_from_world @ half for half in ends.split(4))  # (S, 3, N)
    found = []
    for source, ray in zip(pairs.source.split(PAIRS_AT_ONCE), pairs.ray.split(PAIRS_AT_ONCE)):
        line = start[source, :, ray].T, slope[source, :, ray].T
        samples = _sampled(line, source, rays.row[ray], sources, log_ratios)
        found.append(_interval(samples, log_ratios, sources.mask_threshold))
    return _Interval(*(torch.cat([getattr(part, name) for part in found]) for name in _Interval.__dataclass_fields__))


def _sampled(line: tuple[Tensor, Tensor], source: Tensor, row: Tensor, sources: _Sources, log_ratios: Tensor) -> _Samples:
    """Samples of the masks of rows `row` (P,) in the views `source` (P,). The homogeneous pixel at a depth ratio r is the first
    of `line` (3, P) + r times the second (3, P)."""
    start, slope = line
    _, count, height, width = sources.mask_probs.shape
    ratios = log_ratios.exp()[:, None]
    z = torch.addcmul(start[2], slope[2], ratios)
    inverse = z.clamp_min(1e-6).reciprocal_()
    x, y = (torch.addcmul(start[k], slope[k], ratios).mul_(inverse) for k in (0, 1))
    inside_x, inside_y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    unseen = (inside_x != x) | (inside_y != y) | (z <= 0)

    kind = torch.int32 if sources.mask_probs.numel() < 2**31 else torch.int64
    left, top = inside_x.to(kind).clamp_max_(width - 2), inside_y.to(kind).clamp_max_(height - 2)
    across, down = inside_x - left, inside_y - top
    corner = (top.add_(((source * count + row) * height).to(kind)).mul_(width).add_(left)).flatten()
    flat = sources.mask_probs.flatten()
    upper = torch.lerp(flat.index_select(0, corner), flat.index_select(0, corner + 1), across.flatten())
    corner += width
    lower = torch.lerp(flat.index_select(0, corner), flat.index_select(0, corner + 1), across.flatten())

    pixel = ((inside_y + 0.5).to(kind).add_((source * height).to(kind)).mul_(width).add_((inside_x + 0.5).to(kind))).flatten()
    there = sources.owner.flatten().index_select(0, pixel).view_as(z)
    occluded = sources.hides_from.flatten().index_select(0, pixel).view_as(z) < z
    probs = torch.lerp(upper, lower, down.flatten()).view_as(z)
    return _Samples(probs, unseen | ((there != row + 1) & occluded))


def _interval(samples: _Samples, log_ratios: Tensor, threshold: float) -> _Interval:
    """The run of samples in the mask that is nearest to the prediction.

    Its ends are where the probability crosses the threshold, interpolated, so they are finer than the samples.
    Masks are multiplied, because choosing element by element (`where`) costs many times as much.
    """
    probs, unseen = samples.probs, samples.unseen
    count = probs.shape[0]
    index = torch.arange(count, device=probs.device, dtype=torch.int32)[:, None]
    outside_mask = unseen | (probs < threshold)
    beyond = count * count
    # The sample in the mask nearest to the middle, the lower one of two: both numbers in one, so that a minimum finds it.
    nearest = ((index - count // 2).abs() * count + index + outside_mask * beyond).amin(dim=0)
    some, start = nearest < beyond, nearest % count
    before = ((index + 1) * (outside_mask & (index < start))).amax(dim=0).long() - 1
    after = count - ((count - index) * (outside_mask & (index > start))).amax(dim=0).long()

    def crossing(outside: Tensor, inside: Tensor, beyond: float) -> Tensor:
        on_grid, inside = outside.clamp(0, count - 1), inside.clamp(0, count - 1)
        outer, inner = (probs.gather(0, place[None])[0] for place in (on_grid, inside))
        share = ((threshold - outer) / (inner - outer).clamp_min(1e-6)).clamp(0, 1)
        value = torch.lerp(log_ratios[on_grid], log_ratios[inside], share)
        value = torch.where(on_grid == outside, value, beyond)
        unknown = unseen.gather(0, on_grid[None])[0] & (on_grid == outside)
        return torch.where(unknown | ~some, torch.nan, value)

    return _Interval(crossing(before, before + 1, -torch.inf), crossing(after, after - 1, torch.inf), some)


def _epipolar_planes(rays: _Rays, pairs: _Pairs, sources: _Sources, pixel_angle: float) -> _Planes:
    """Rays of one instance and view in one plane with the source view, a ray's distance wide, are of one plane."""
    num_groups = sources.mask_probs.shape[0] * sources.mask_probs.shape[1]
    own = rays.group[pairs.ray]
    seen = pairs.source * num_groups + own  # the group, as one source view sees it
    baseline = normalize(sources.centers[pairs.source] - rays.origin[pairs.ray], dim=-1)
    across = torch.linalg.cross(baseline, normalize(rays.reach, dim=-1)[pairs.ray])
    middle = across.new_zeros(len(sources.centers) * num_groups, 3).index_add_(0, seen, across)[seen]
    first = normalize(middle, dim=-1)
    second = torch.linalg.cross(baseline, first)
    turn = torch.atan2((across * second).sum(-1), (across * first).sum(-1))
    plane = (turn * across.norm(dim=-1) / pixel_angle).round().long().clamp(-MAX_PLANE, MAX_PLANE)
    return _Planes(seen * (2 * MAX_PLANE + 1) + plane + MAX_PLANE, own)


def _touches(interval: _Interval, angle: Tensor, planes: _Planes) -> _Touches:
    """The surface touches the outline where, in its epipolar plane, the mask begins last along the ray.

    On flat objects that is at the outline of the view itself, which lies on average half a ray beyond the last ray; so
    the last two are continued by half their difference. Where the surface is round they are equal.
    """
    near, angle, own = interval.near[interval.some], angle[interval.some], planes.group[interval.some]
    known = _known(near, -torch.inf)
    member, size = planes.member[interval.some].unique(return_inverse=True, return_counts=True)[1:]
    lowest = near.new_full((len(size),), -torch.inf)
    last = lowest.scatter_reduce(0, member, known, "amax")
    is_last = known == last[member]
    alone = torch.bincount(member[is_last], minlength=len(size)) == 1
    second = lowest.scatter_reduce(0, member, known.masked_fill(is_last, -torch.inf), "amax")
    step = torch.where(alone & (size > 1) & torch.isfinite(second), last - second, 0.0)
    unknown = size.new_zeros(len(size)).index_add_(0, member, near.isnan().long())
    leverage = near.new_zeros(len(size)).index_add_(0, member, angle.sin()) / size
    group = size.new_zeros(len(size)).index_copy_(0, member, own)  # equal for all members
    good = torch.isfinite(last) & (unknown <= MAX_UNSEEN * size)
    return _Touches(group[good], (last + 0.5 * step)[good], leverage[good])


def _instance_shift(touches: _Touches, rays: _Rays, num_instances: int, num_views: int) -> Tensor:
    """(Q, S) logarithm of the factor by which an instance's depth changes in a view; 0 where nothing is known.

    Views of an instance that no source view sees follow the median of its others: the errors of a network that sees all views
    together have a common part.
    """
    count = num_instances * num_views
    touching = _group_quantile(touches.log_ratio, touches.weight, touches.group, count, 0.5)
    ground = _group_quantile(rays.support_limit, torch.ones_like(rays.support_limit), rays.group, count, 0.1)
    enough = torch.bincount(touches.group, minlength=count) >= MIN_PLANES
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
    """Depth times exp(shift of its instance and view), and of each compared pixel times exp(correction)."""
    num_views, height, width = owner.shape
    table = torch.cat([shift.new_zeros(1, num_views), shift]).flatten()
    view_index = torch.arange(num_views, device=owner.device)[:, None, None]
    log_change = table.index_select(0, (owner * num_views + view_index).flatten()).view_as(reconstruction.depth)
    coarse = torch.zeros_like(log_change[:, ::step, ::step])
    coarse[rays.view, rays.pixel[:, 1] // step, rays.pixel[:, 0] // step] = correction
    if step > 1:
        same = owner == _enlarged(owner[:, ::step, ::step], step)[:, :height, :width]
        coarse = _enlarged(coarse, step)[:, :height, :width] * same
    return replace(reconstruction, depth=reconstruction.depth * (log_change + coarse).exp())


def _enlarged(values: Tensor, step: int) -> Tensor:
    """(S, h, w) -> (S, h * step, w * step), every value `step` x `step` times."""
    num_views, height, width = values.shape
    tiled = values[:, :, None, :, None].expand(-1, -1, step, -1, step)
    return tiled.reshape(num_views, height * step, width * step)
