"""Where the masks of other views lie along the rays of an instance's pixels: its visual hull, ray by ray."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pan3d_core.assembly.ownership import OwnedMasks
from pan3d_core.geometry.cameras import pixel_rays
from pan3d_core.structures import Reconstruction

# Another instance may be this much farther by predicted depth and still count as covering: depths are a few % off.
COVER_TOLERANCE = 0.02
# Anything this much nearer than a point hides it, instance or not.
HIDDEN_FRACTION = 0.10
# Rays are sampled in parts of so many.
PAIRS_AT_ONCE = 4096


@dataclass(frozen=True)
class Rays:
    """One ray per compared instance pixel; its view is the reference view."""

    row: Tensor  # (N,) row of the instance set
    view: Tensor  # (N,)
    group: Tensor  # (N,) row * number of views + view
    pixel: Tensor  # (N, 2) full-resolution x, y
    origin: Tensor  # (N, 3) camera centre, world
    reach: Tensor  # (N, 3) from there to the predicted point, world
    support_limit: Tensor  # (N,) log(depth of the support / predicted depth), infinity where there is none


@dataclass(frozen=True)
class Sources:
    """The S views as source views, in which samples of the rays are looked up."""

    mask_probs: Tensor  # (S, Q, h, w)
    mask_threshold: float
    owner: Tensor  # (S, h, w) row + 1, 0 = none
    hides_from: Tensor  # (S, h, w) what lies deeper than this may be occluded here; infinity where no depth is known
    pixel_from_world: Tensor  # (S, 3, 4) homogeneous
    centers: Tensor  # (S, 3)


@dataclass(frozen=True)
class Pairs:
    """Each ray with each source view that can say something about it."""

    source: Tensor  # (P,) view
    ray: Tensor  # (P,) index of the ray
    angle: Tensor  # (P,) at which the two look at the predicted point


@dataclass(frozen=True)
class Samples:
    """K depths along each of P rays, as a source view sees them."""

    probs: Tensor  # (K, P) mask probability of the ray's own instance
    unseen: Tensor  # (K, P) bool: outside the image, occluded, or under another instance that may be nearer


@dataclass(frozen=True)
class Interval:
    """Where a source view's mask lies along each ray, as log ratios to the predicted depth; NaN = it is not visible there."""

    near: Tensor  # (P,) -infinity: nearer than all samples
    far: Tensor  # (P,) infinity: farther than all samples
    some: Tensor  # (P,) bool: some sample lies in the mask


def source_views(reconstruction: Reconstruction, masks: OwnedMasks) -> Sources:
    """Views with their masks and what may be occluded in them."""
    depth = reconstruction.depth
    # Division by the factor here, once per pixel, instead of multiplication at every sample.
    hides_from = depth / ((1 - HIDDEN_FRACTION) + (COVER_TOLERANCE + HIDDEN_FRACTION) * (masks.owner > 0))
    return Sources(
        mask_probs=masks.mask_probs,
        mask_threshold=masks.mask_threshold,
        owner=masks.owner,
        hides_from=hides_from.masked_fill_(depth <= 0, torch.inf),
        pixel_from_world=reconstruction.intrinsics @ reconstruction.cam_from_world[:, :3],
        centers=reconstruction.world_from_cam[:, :3, 3],
    )


def instance_rays(reconstruction: Reconstruction, owner: Tensor, step: int, support_height_m: float | None) -> Rays:
    """Rays of every `step`-th pixel that belongs to an instance and has depth; `owner` (S, h, w) as of `OwnedPixels`."""
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
    return Rays(row, view, row * len(owner) + view, pixel, origin, reach, limit)


def ray_pairs(rays: Rays, sources: Sources, min_angle: float) -> Pairs:
    """No source of a ray are its own view, views that have not seen its instance, and those from nearly the same direction."""
    count = sources.mask_probs.shape[1] + 1
    seen = torch.stack([torch.bincount(view.flatten(), minlength=count)[1:] for view in sources.owner]) > 0
    theirs = normalize(rays.origin + rays.reach - sources.centers[:, None], dim=-1)
    cosine = (normalize(rays.reach, dim=-1) * theirs).sum(-1).clamp(-1, 1)
    angle = torch.arccos(cosine)  # (S, N)
    other = rays.view != torch.arange(len(angle), device=angle.device)[:, None]
    source, ray = torch.nonzero(seen[:, rays.row] & other & (angle >= min_angle), as_tuple=True)
    return Pairs(source, ray, angle[source, ray])


def hull_intervals(rays: Rays, pairs: Pairs, sources: Sources, log_ratios: Tensor) -> Interval:
    """The mask of each source view along each of its rays; in parts, which bounds memory and keeps it in the cache."""
    ends = torch.cat([rays.origin.T, torch.ones_like(rays.origin[:, :1]).T, rays.reach.T, torch.zeros_like(rays.origin[:, :1]).T])
    start, slope = (sources.pixel_from_world @ half for half in ends.split(4))  # (S, 3, N)
    found = []
    for source, ray in zip(pairs.source.split(PAIRS_AT_ONCE), pairs.ray.split(PAIRS_AT_ONCE)):
        line = start[source, :, ray].T, slope[source, :, ray].T
        samples = _sampled(line, source, rays.row[ray], sources, log_ratios)
        found.append(_interval(samples, log_ratios, sources.mask_threshold))
    return Interval(*(torch.cat([getattr(part, name) for part in found]) for name in Interval.__dataclass_fields__))


def _sampled(line: tuple[Tensor, Tensor], source: Tensor, row: Tensor, sources: Sources, log_ratios: Tensor) -> Samples:
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
    return Samples(probs, unseen | ((there != row + 1) & occluded))


def _interval(samples: Samples, log_ratios: Tensor, threshold: float) -> Interval:
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

    return Interval(crossing(before, before + 1, -torch.inf), crossing(after, after - 1, torch.inf), some)
