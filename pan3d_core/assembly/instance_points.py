"""The points of each instance: which of them do not belong to it, and the segment that the others make.

NumPy on the CPU: an instance has some hundred to some thousand points, for which a tensor library is mostly overhead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pan3d_core.config import MergeConfig
from pan3d_core.geometry.boxes import OrientedBox, trimmed_extent, upright_box
from pan3d_core.geometry.voxels import build_voxel_graph, components
from pan3d_core.structures import InstanceSet, Segment

# Points this close to the others are measurement noise, not outliers.
MIN_DEVIATION_M = 0.004
# Parts of an instance this many pixels apart are still one: surfaces seen at a flat angle are sampled sparsely.
MAX_GAP_PIXELS = 3.0
# Boxes whose bottom is this close to the support are extended to it.
MAX_UNSEEN_BOTTOM_M = 0.03
# Less than this is no name.
LEAST_CLASS_SCORE = 1e-6


@dataclass(frozen=True)
class InstancePoints:
    """Points that belong to instances."""

    points: np.ndarray  # (N, 3) float32 world
    owner: np.ndarray  # (N,) int64 k = row k - 1 of the instance set

    def each(self) -> Iterator[tuple[int, np.ndarray]]:
        """(k, indices of its points) of every instance that has some, by rising k."""
        order = self.owner.astype(np.int16).argsort(kind="stable")  # 16 bits are sorted by counting
        counts = np.bincount(self.owner)
        ends = counts.cumsum()
        for k in np.flatnonzero(counts).tolist():
            yield k, order[ends[k] - counts[k] : ends[k]]


def stray_points(instances: InstancePoints, spacing: np.ndarray, config: MergeConfig, smallest_gap: float) -> np.ndarray:
    """(N,) bool: points that do not belong to the object; arguments as of `_in_small_parts`."""
    stray = _in_small_parts(instances, spacing, config.min_part_share, smallest_gap)
    kept = np.flatnonzero(~stray)
    stray[kept] = _outlying(InstancePoints(instances.points[kept], instances.owner[kept]), config.outlier_fraction)
    return stray


def _in_small_parts(instances: InstancePoints, spacing: np.ndarray, min_share: float, smallest_gap: float) -> np.ndarray:
    """(N,) bool: points in small parts of their instance that are apart from the rest.

    Where a mask reaches over an outline, its pixels land on what stands in front or behind. With depth from a sensor, which
    is sharp, they make a little cloud of their own, too many for outliers. Parts are apart when a gap of `smallest_gap` and
    of `MAX_GAP_PIXELS` separates them; `spacing` (N,) is how far neighbouring pixels are apart at each point. What an
    occluder splits stays as long as each part has `min_share` of the points of the largest.
    """
    owner = instances.owner
    if min_share == 0 or len(owner) == 0:
        return np.zeros(len(owner), dtype=bool)
    mean_spacing = np.bincount(owner, spacing) / np.maximum(np.bincount(owner), 1)
    cell = np.maximum(MAX_GAP_PIXELS * mean_spacing, smallest_gap).clip(1e-9)
    # All instances at once, side by side in units of their own cells, so that they cannot touch.
    local = instances.points / cell[owner, None]
    local -= local.min(axis=0)
    local[:, 0] += owner * (np.ceil(local[:, 0].max()) + 2)
    graph = build_voxel_graph(local, 1.0)
    part = components(len(graph.counts), graph.edges)[graph.voxel_of_point]
    size = np.bincount(part)
    owner_of_part = np.zeros(len(size), dtype=np.int64)
    owner_of_part[part] = owner
    largest = np.zeros(len(cell))
    np.maximum.at(largest, owner_of_part, size)
    return (size < min_share * largest[owner_of_part])[part]


def _outlying(instances: InstancePoints, outlier_fraction: float) -> np.ndarray:
    """(N,) bool: points far outside the middle 90 % of their instance along any axis.

    Quantiles, not deviations from the median: most points of a low box are on its top, where all deviations are 0.
    """
    outlying = np.zeros(len(instances.owner), dtype=bool)
    for _, mine in instances.each():
        columns = instances.points[mine].T.copy()
        low, high = (end[:, None] for end in trimmed_extent(columns, 0.05))
        reach = outlier_fraction * (high - low) + np.float32(MIN_DEVIATION_M)
        outlying[mine] = ((columns < low - reach) | (columns > high + reach)).any(axis=0)
    return outlying


def segments_of(
    found: InstancePoints,
    colors: np.ndarray,
    instances: InstanceSet,
    num_views: Sequence[int],
    config: MergeConfig,
    support_height_m: float | None,
) -> tuple[tuple[Segment, ...], list[int]]:
    """Segments by falling score, and which rows of the instance set they are.

    `colors` (N, 3) 0..1 belong to the points of `found`; `num_views` of row k - 1 is entry k.
    """
    scores = instances.scores.tolist()
    class_id, class_score = _best_class(instances)
    mine_of = dict(found.each())
    rows = [
        row for row in instances.scores.argsort(descending=True).tolist() if len(mine_of.get(row + 1, ())) >= config.min_points
    ]
    segments: list[Segment] = []
    for row in rows:
        mine = mine_of[row + 1]
        points = found.points[mine]
        box = upright_box(torch.from_numpy(points), config.trim_fraction)
        if support_height_m is not None:
            box = _standing(box, support_height_m)
        segments.append(
            Segment(
                instance_id=len(segments) + 1,
                class_id=class_id[row],
                class_score=class_score[row],
                score=scores[row],
                num_points=len(points),
                num_views=num_views[row + 1],
                centroid=torch.from_numpy(points.mean(axis=0, dtype=np.float64)).float(),
                box=box,
                color_rgb=torch.from_numpy(_median(colors[mine])),
                text_embedding=_embedding(instances, row),
            )
        )
    return tuple(segments), rows


def _median(rows: np.ndarray) -> np.ndarray:
    """(N, C) -> (C,) lower median of each column."""
    return np.sort(rows.T.copy(), axis=-1)[:, (len(rows) - 1) // 2]


def _standing(box: OrientedBox, support_height_m: float) -> OrientedBox:
    """The box down to the support, when so little is missing that the object can only stand on it.

    Cameras look from above: the underside of a ball or a can's bottom edge is never seen.
    """
    middle, height = float(box.world_from_box[2, 3]), float(box.size_m[2])
    gap = middle - height / 2 - support_height_m
    if not 0.0 < gap < min(MAX_UNSEEN_BOTTOM_M, 0.5 * height):
        return box
    world_from_box, size_m = box.world_from_box.clone(), box.size_m.clone()
    world_from_box[2, 3], size_m[2] = middle - gap / 2, height + gap
    return OrientedBox(world_from_box, size_m)


def _best_class(instances: InstanceSet) -> tuple[list[int], list[float]]:
    count = len(instances.scores)
    if instances.class_logits is None or len(instances.labels) == 0:
        return [-1] * count, [0.0] * count
    best = instances.class_logits.float().softmax(-1)[:, :-1].max(dim=-1)
    named = best.values >= LEAST_CLASS_SCORE
    return best.indices.where(named, -1).tolist(), best.values.where(named, 0.0).tolist()


def _embedding(instances: InstanceSet, row: int) -> torch.Tensor | None:
    """What the instance means, None where the engine does not say; zeros say nothing."""
    if instances.text_embeddings is None or not bool(instances.text_embeddings[row].any()):
        return None
    return instances.text_embeddings[row].cpu()
