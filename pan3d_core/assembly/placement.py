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
from pan3d_core.assembly.visual_hull import Interval, Pairs, Rays, Sources, hull_intervals, instance_rays, ray_pairs, source_views
from pan3d_core.config import PlacementConfig
from pan3d_core.structures import Reconstruction, ViewBatch

log = logging.getLogger("pan3d.placement")

# Every n-th pixel is compared, so that the longer side has about this many; on all pixels of 144 x 112 the result was
# no better and took four times as long.
COMPARED_SIDE = 80
# Epipolar planes that an instance needs in a view to be moved there.
MIN_PLANES = 4
# Share of the rays of an epipolar plane whose samples a source view may not see.
MAX_UNSEEN = 0.3
# Epipolar planes of a group are counted from the middle one, this many to either side at most.
MAX_PLANE = 500


@dataclass(frozen=True)
class _Planes:
    """The epipolar plane of each pair: one of a source view, of an instance in a reference view."""

    member: Tensor  # (P,) equal for pairs of one plane alone
    group: Tensor  # (P,) instance and reference view, as of `Rays`


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
    sources, owner = source_views(reconstruction, masks), masks.owner
    step = max(1, round(max(views.hw) / COMPARED_SIDE))
    rays = instance_rays(reconstruction, owner, step, views.support_height_m)
    pairs = ray_pairs(rays, sources, math.radians(config.min_baseline_deg))
    if len(pairs.ray) == 0:
        return reconstruction

    ends = math.log(1 - config.search_fraction), math.log(1 + config.search_fraction)
    log_ratios = torch.linspace(*ends, config.num_hypotheses, device=owner.device)
    interval = hull_intervals(rays, pairs, sources, log_ratios)
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


def _epipolar_planes(rays: Rays, pairs: Pairs, sources: Sources, pixel_angle: float) -> _Planes:
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


def _touches(interval: Interval, angle: Tensor, planes: _Planes) -> _Touches:
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


def _instance_shift(touches: _Touches, rays: Rays, num_instances: int, num_views: int) -> Tensor:
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
    reconstruction: Reconstruction, owner: Tensor, rays: Rays, shift: Tensor, correction: Tensor, step: int
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
