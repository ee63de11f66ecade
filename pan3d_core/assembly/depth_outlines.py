"""Outlines from measured depth, names and scores from the network.

What stands on the support is cut out of the depth of all views, as the engine `depth_clusters` does; the network's masks say what
of it is which object. Two objects that touch are kept apart where the network tells them apart and the surface folds between
them, or where it is certain of both; a print that it takes for an object ends on a smooth surface, and joins it. What no mask
claims becomes an object without a name, of which little is believed: most such surfaces are walls, arms and noise. Where depth
cannot tell (no measurement, or no higher than the noise of the support), the network's masks stand. So do all of them where
views contradict each other: when cameras are not where they are said to be, each view puts an object somewhere else and the
others look through it, so that surfaces fall apart, which masks do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pan3d_core.assembly.ownership import own_pixels
from pan3d_core.config import OutlineConfig
from pan3d_core.geometry.arrays import Bools, Floats, Ints
from pan3d_core.geometry.standing import ObjectLimits, StandingPoints, VoxelSurface, standing_points
from pan3d_core.geometry.voxels import (
    SMALL_PIECE,
    VoxelGraph,
    absorb_small,
    components,
    join_smooth_borders,
    nearest_group,
    tone_groups,
)
from pan3d_core.structures import InstanceSet, ViewBatch

SURE_LOGIT = 20.0  # a mask that was measured is certain: sigmoid(20) is 1 in float32
NO_ROW, NO_PART = -1, -2
MAX_GAP_M = 0.02  # pieces of one mask this close are one object
MANY_HOLES = 0.4  # a mask with a larger share of pixels without depth is believed whatever lies between its pieces
LEAST_REST = 0.5  # a mask of which surfaces of other masks leave less is no object
COLOR_STEP = 0.3  # difference of colour that may divide what no mask claims
CERTAIN_SCORE = 0.85  # two masks of which the network is so sure are two objects, whatever the surface between them
# Of what masks claim and depth shows above the support, other views look through at most 0.026 in any rendered world, and through
# 0.04 to 0.7 where cameras are 1 cm and 1 degree off. Up to the limit, outlines of depth are still worth more than they lose.
MOST_SEEN_THROUGH = 0.1
# Share of the measured score that remains for surfaces that no mask claims, and for further pieces of a mask: of the first one in
# thirty is an object of its own in rendered worlds, of the others one in five.
UNCLAIMED_SCORE, PIECE_SCORE = 0.3, 0.5


@dataclass(frozen=True)
class _Parts:
    """P surfaces that stand on the support, each of one object."""

    of_pixel: Ints  # (S, h, w) 0 = none, k = part k - 1
    points: tuple[Floats, ...]  # P times (V, 3) metres, a few of each
    row: Ints  # (P,) the network's instance, `NO_ROW` = none, `NO_PART` = it has become a piece of another part


@dataclass(frozen=True)
class FusedOutlines:
    """Instances with the outlines of measured depth, or as the network gave them where views contradict each other."""

    instances: InstanceSet
    share_seen_through: float  # of what masks claim and depth shows above the support, by other views

    @property
    def contradicted(self) -> bool:
        """Whether views contradict each other, and the network's masks stand."""
        return self.share_seen_through > MOST_SEEN_THROUGH

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong where views contradict each other."""
        if not self.contradicted:
            return ()
        share = f"{self.share_seen_through:.0%} of what objects show in one view is looked through by another"
        return (f"measured depth: {share}; check camera poses; outlines are the network's",)


def can_fuse(views: ViewBatch, config: OutlineConfig) -> bool:
    """Whether outlines can be cut out of measured depth: it is there, and so is where each camera stood."""
    return config.from_depth and all(item is not None for item in (views.depth, views.intrinsics, views.cam_from_world))


def fuse_outlines(
    instances: InstanceSet, views: ViewBatch, detailed: ViewBatch, mask_threshold: float, config: OutlineConfig
) -> FusedOutlines:
    """Give instances the outlines that depth shows.

    Args:
        instances: Of the network, masks of S views at any size.
        views: At network size, with depth, intrinsics and poses.
        detailed: The same views at a whole multiple of that size, or the same.
        mask_threshold: Probability, 0..1, from which a pixel is in a mask.
        config: Limits of what counts as an object.

    Returns:
        Instances with masks at network size that do not overlap; those of the network first, in their order, then what it did
        not find, without names. Where views contradict each other, the given ones.
    """
    depth, intrinsics, cam_from_world = _calibrated_depth(detailed)
    standing = standing_points(
        depth,
        intrinsics,
        cam_from_world,
        views.support_height_m,
        clearance_m=config.clearance_m,
        ceiling_m=config.max_extent_m + config.max_gap_m,
        margin_m=config.voxel_m,
    )
    factor = detailed.hw[0] // views.hw[0]
    owner = own_pixels(instances, views.hw, mask_threshold).owner.cpu()
    claimed = owner.repeat_interleave(factor, 1).repeat_interleave(factor, 2).numpy()
    share = _share_seen_through(standing, claimed)
    as_given = FusedOutlines(instances, share)
    if as_given.contradicted:
        return as_given
    certain = np.append(False, instances.scores.numpy(force=True) >= CERTAIN_SCORE)
    parts = _parts(standing, claimed, certain, detailed.images, config)
    parts = _completed(parts, standing, claimed, (depth > 0).cpu().numpy())
    sizes = np.bincount(parts.of_pixel.reshape(-1), minlength=len(parts.row) + 1)[1:]
    middle = slice(factor // 2, None, factor)
    outlined = _with_outlines(
        instances,
        replace(parts, of_pixel=parts.of_pixel[:, middle, middle]),
        owner.numpy(),
        sizes / (sizes + 4.0 * config.min_points),
    )
    return FusedOutlines(outlined, share)


def _calibrated_depth(views: ViewBatch) -> tuple[Tensor, Tensor, Tensor]:
    if views.depth is None or views.intrinsics is None or views.cam_from_world is None:
        raise ValueError("ViewBatch: expected depth, intrinsics and cam_from_world of every view, got none of one of them")
    return views.depth, views.intrinsics, views.cam_from_world


def _parts(standing: StandingPoints, claimed: Ints, certain: Bools, images: Tensor, config: OutlineConfig) -> _Parts:
    """Surfaces of one object each, out of what stands on the support for sure. `certain` tells of each claim, 0 = none, whether
    it keeps what it claims from others."""
    of_pixel = np.zeros(claimed.size, dtype=np.int64)
    sure = np.flatnonzero(standing.sure)
    is_steady = standing.steady(sure)
    steady = sure[is_steady]
    if len(steady) < config.min_points:
        return _Parts(of_pixel.reshape(claimed.shape), (), np.zeros(0, dtype=np.int64))
    surface = standing.surface(steady, images, config.voxel_m)
    graph = surface.graph
    label = _majority(graph, claimed.reshape(-1)[standing.pixel[steady]])
    group = _grouped(surface, label, np.where(certain[label], label, 0))

    limits = ObjectLimits(config.min_points, config.max_extent_m, config.max_gap_m)
    group_of_point = nearest_group(graph, group, standing.points[sure], config.voxel_m)
    group_of_point[is_steady] = group[graph.voxel_of_point]
    rows: list[int] = []
    clouds = []
    for index in range(int(group.max()) + 1):
        members = sure[group_of_point == index]
        if standing.is_object(members, limits):
            rows.append(_row_of(label[group == index]))
            clouds.append(graph.centers[group == index])
            of_pixel[standing.pixel[members]] = len(rows)
    return _Parts(of_pixel.reshape(claimed.shape), tuple(clouds), np.array(rows, dtype=np.int64))


def _grouped(surface: VoxelSurface, label: Ints, owner: Ints) -> Ints:
    """(V,) number of the surface of each voxel: pieces that one mask claims, or of one colour where none does, joined where
    nothing folds between them and they have not two owners."""
    graph = surface.graph
    key = np.where(label > 0, label, -1 - tone_groups(graph, surface.colors, COLOR_STEP))
    first, second = graph.edges.T
    piece = components(len(label), graph.edges[key[first] == key[second]])
    return join_smooth_borders(graph, absorb_small(piece, graph.edges, SMALL_PIECE), surface.normals, owner)


def _majority(graph: VoxelGraph, labels: Ints) -> Ints:
    """(N,) labels of points -> (V,) the most frequent one of each voxel."""
    count = int(labels.max(initial=0)) + 1
    pairs, votes = np.unique(graph.voxel_of_point * count + labels, return_counts=True)
    order = np.argsort(votes, kind="stable")
    best = np.zeros(len(graph.counts), dtype=np.int64)
    best[pairs[order] // count] = pairs[order] % count  # the largest is written last
    return best


def _row_of(label: Ints) -> int:
    """The instance that claims most of the voxels of a surface."""
    votes = np.bincount(label)
    votes[0] = 0
    return int(votes.argmax()) - 1 if votes.sum() > 0 else NO_ROW


def _completed(parts: _Parts, standing: StandingPoints, claimed: Ints, measured: Bools) -> _Parts:
    """Parts of one object under one number, and with what the network's mask adds where depth cannot tell."""
    untold = ~measured.reshape(-1)
    untold[standing.pixel[~standing.sure]] = True
    untold &= parts.of_pixel.reshape(-1) == 0
    mask = claimed.reshape(-1)
    count = int(mask.max(initial=0)) + 1
    holes = np.bincount(mask[untold], minlength=count) / np.maximum(np.bincount(mask, minlength=count), 1)

    number, rows = np.arange(len(parts.row) + 1), parts.row.copy()
    largest = np.zeros(count, dtype=np.int64)  # part of each row + 1, to which its mask adds; 0 = none
    order = np.argsort([-len(points) for points in parts.points], kind="stable")
    for part in order[parts.row[order] >= 0].tolist():
        row = int(parts.row[part])
        main = int(largest[row + 1])
        if main == 0:
            largest[row + 1] = part + 1
        elif holes[row + 1] > MANY_HOLES or _gap(parts.points[main - 1], parts.points[part]) < MAX_GAP_M:
            number[part + 1], rows[part] = main, NO_PART
    of_pixel = number[parts.of_pixel.reshape(-1)]
    of_pixel[untold] = largest[mask[untold]]
    return replace(parts, of_pixel=of_pixel.reshape(claimed.shape), row=rows)


def _gap(first: Floats, second: Floats) -> float:
    """Smallest distance between two clouds (N, 3) and (M, 3), metres."""
    return float(np.min(cKDTree(first).query(second)[0]))


def _share_seen_through(standing: StandingPoints, claimed: Ints) -> float:
    """Of what masks claim and depth shows above the support."""
    inside = claimed.reshape(-1) > 0
    lost, left = (int(inside[pixels].sum()) for pixels in (standing.seen_through, standing.pixel[standing.sure]))
    return lost / max(lost + left, 1)


def _with_outlines(instances: InstanceSet, parts: _Parts, owner: Ints, measured_scores: Floats) -> InstanceSet:
    """The network's instances with the outlines of their largest parts, and one more for each other part, whose score says only
    how much of it was measured."""
    count, device = len(instances.scores), instances.mask_logits.device
    outlines = _largest_parts(parts, measured_scores)
    masks = [
        parts.of_pixel == outlines[row] + 1 if row in outlines else _left_over(owner == row + 1, parts.of_pixel)
        for row in range(count)
    ]
    scores, sources = instances.scores.tolist(), list(range(count))
    for part in np.argsort(-measured_scores, kind="stable").tolist():
        row = int(parts.row[part])
        if row != NO_PART and outlines.get(row) != part:
            masks.append(parts.of_pixel == part + 1)
            scores.append(float(measured_scores[part]) * (UNCLAIMED_SCORE if row == NO_ROW else PIECE_SCORE))
            sources.append(row)
    kept = [index for index, mask in enumerate(masks) if mask.any()]
    table = torch.from_numpy(np.stack([masks[index] for index in kept])) if kept else torch.zeros(0, *owner.shape).bool()
    chosen = torch.tensor([sources[index] for index in kept], dtype=torch.int64, device=device)
    return InstanceSet(
        mask_logits=torch.where(table.to(device), SURE_LOGIT, -SURE_LOGIT),
        class_logits=_rows_or_nothing(instances.class_logits, chosen, last=SURE_LOGIT),
        scores=torch.tensor([scores[index] for index in kept], device=device),
        labels=instances.labels,
        text_embeddings=_rows_or_nothing(instances.text_embeddings, chosen, last=0.0),
    )


def _largest_parts(parts: _Parts, measured_scores: Floats) -> dict[int, int]:
    """Row of an instance -> the part of it of which most was measured."""
    largest: dict[int, int] = {}
    for part in np.argsort(-measured_scores, kind="stable").tolist():
        if parts.row[part] >= 0:
            largest.setdefault(int(parts.row[part]), part)
    return largest


def _left_over(mask: Bools, of_pixel: Ints) -> Bools:
    """What parts leave of a mask; nothing where they took most of it, since then it was of their objects."""
    rest: Bools = mask & (of_pixel == 0)
    return rest if rest.sum() > LEAST_REST * mask.sum() else np.zeros_like(mask)


def _rows_or_nothing(values: Tensor | None, chosen: Tensor, *, last: float) -> Tensor | None:
    """Rows of the network's instances; for `NO_ROW` zeros that end with `last`, the logit of being none of the classes."""
    if values is None:
        return None
    empty = values.new_zeros(1, values.shape[1])
    empty[:, -1] = last
    return torch.cat([values, empty])[chosen]
