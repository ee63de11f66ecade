"""What a grasp search knows of the scene: the target's surface, cleaned, and everything the hand must not touch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.grasping.completion import complete_surface
from pan3d_core.structures import Panoptic3D

_SMOOTHING_RADIUS_M = 0.010
_OUTLIER_RADIUS_M = 0.015
_MIN_NEIGHBOURS = 4
BODY_POINTS = 1680
_MAX_OBJECT_POINTS, _MAX_GUESSED_POINTS = 420, 260
_OBSTACLE_REACH_M = 0.22
_OBSTACLE_VOXEL_M = 0.004
# Points of no instance this close to the target are taken for its own fringe, which masks tend to miss.
_FRINGE_M = 0.010
_SKIRT_M = 0.022
_MIN_SOLID = 8  # voxels
_COVER_CELL_M, _COVER_M = 0.010, 0.005
_SHADE_M, _SHADE_STEP_M = 0.05, 0.012
_UNDERSIDE = -0.3  # upward component of normals below which a surface hangs over
_SUPPORT_LAYER_M = 0.006
_SUPPORT_NOISE_M = 0.014  # points of no instance up to this height are the support, measured badly


@dataclass(frozen=True)
class ObjectCloud:
    """The target and its surroundings; float32 arrays, metres, world frame."""

    points: np.ndarray  # (N, 3) smoothed surface points of the target, seen ones first, then guessed ones
    normals: np.ndarray  # (N, 3) unit, outward
    seen: np.ndarray  # (N,) bool: measured, not guessed
    obstacles: np.ndarray  # (M, 3) points of everything else nearby, without the support plane
    box: OrientedBox
    center: np.ndarray  # (3,) estimate of the centre of mass
    support_height_m: float | None
    body: np.ndarray  # (K, 3) the same surface in more points, seen ones first, for what must not be hit
    covered: float = 0.0  # share of its outline from above that other objects lie over
    body_normals: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))  # (K, 3) of `body`, unit, outward
    body_seen: int = 0  # points of `body` that were measured


def build_object_cloud(
    panoptic: Panoptic3D, instance_id: int, support_height_m: float | None, most: int = BODY_POINTS
) -> ObjectCloud:
    """Cut the target out of the scene, with at most `most` points of its seen surface in `body`. Raises `KeyError` for an unknown
    id. `points` is empty when too few are left."""
    segment = panoptic.segment(instance_id)
    all_points = panoptic.points.cpu().numpy().astype(np.float32)
    ids = panoptic.point_instance_id.cpu().numpy()
    all_normals = panoptic.point_normals.cpu().numpy().astype(np.float32)
    others, other_ids, facing = (values[ids != instance_id] for values in (all_points, ids, all_normals[:, 2]))
    points, normals = clean_surface(all_points[ids == instance_id], all_normals[ids == instance_id], support_height_m, most)
    box_axes = segment.box.world_from_box[:3, :3].cpu().numpy()
    guessed, guessed_normals = complete_surface(points, normals, box_axes, support_height_m)
    guessed, guessed_normals = thin_surface(guessed, guessed_normals, _MAX_GUESSED_POINTS)
    body, body_normals, body_seen = np.concatenate([points, guessed]), np.concatenate([normals, guessed_normals]), len(points)
    points, normals = thin_surface(points, normals, _MAX_OBJECT_POINTS)
    known = np.isfinite(others).all(1)
    undersides = known & (facing < _UNDERSIDE)
    obstacles = _obstacles(others[known], other_ids[known], undersides[known], points, support_height_m)
    seen = np.arange(len(points) + len(guessed)) < len(points)
    points, normals = np.concatenate([points, guessed]), np.concatenate([normals, guessed_normals])
    center = _mass_center(points, support_height_m)
    covered = _covered(body, others[known & (other_ids > 0)])
    return ObjectCloud(
        points, normals, seen, obstacles, segment.box, center, support_height_m, body, covered, body_normals, body_seen
    )


def clean_surface(
    points: np.ndarray, normals: np.ndarray, support_height_m: float | None, most: int = BODY_POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """Take noise, strays and table out of what was seen of an object.

    Args:
        points: (N, 3) metres, world.
        normals: (N, 3) outward, of any length.
        support_height_m: World z of what objects stand on; None = unknown.
        most: Points that are left.

    Returns:
        (K, 3) points and unit normals; none where too few are left.
    """
    finite = np.isfinite(points).all(1) & np.isfinite(normals).all(1) & (np.abs(normals).sum(1) > 0.5)
    points, normals = _without_support(points[finite], normals[finite], support_height_m)
    points, normals = thin_surface(points, normals, most)
    points, normals = _without_outliers(points, normals)
    return smooth_surface(points, normals, _SMOOTHING_RADIUS_M)


def smooth_surface(points: np.ndarray, normals: np.ndarray, radius_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Project each point on the plane of its neighbours that face the same way; their mean normal becomes its normal.

    Neighbours with another orientation are left out, so that the two faces of a thin wall are not mixed (moving least
    squares after Levin 2003 with planes instead of polynomials).
    """
    if len(points) == 0:
        return points, normals
    tree = cKDTree(points)
    for factor in (1.0, 0.7):
        pairs = tree.query_pairs(radius_m * factor, output_type="ndarray")
        first = np.concatenate([pairs[:, 0], pairs[:, 1], np.arange(len(points))])
        second = np.concatenate([pairs[:, 1], pairs[:, 0], np.arange(len(points))])
        agreement = np.einsum("ij,ij->i", normals[first], normals[second])
        weight = np.where(agreement > 0.5, agreement, 0.0)
        columns = (*normals[second].T, *points[second].T)
        sums = np.stack([np.bincount(first, weight * column, len(points)) for column in columns], axis=1)
        total = np.bincount(first, weight, len(points))[:, None]
        normals = sums[:, :3] / np.maximum(np.linalg.norm(sums[:, :3], axis=1, keepdims=True), 1e-9)
    offset = np.einsum("ij,ij->i", sums[:, 3:] / total - points, normals)
    return (points + offset[:, None] * normals).astype(np.float32), normals.astype(np.float32)


def _without_support(points: np.ndarray, normals: np.ndarray, support_height_m: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Drop upward-facing points at the support's height: table that leaked into the mask. A flat object keeps its top."""
    if support_height_m is None or len(points) == 0:
        return points, normals
    height = points[:, 2] - support_height_m
    layer = min(_SUPPORT_LAYER_M, 0.35 * float(np.percentile(height, 95)))
    keep = (height > layer) | ((height > -layer) & (normals[:, 2] < 0.7))
    return points[keep], normals[keep]


def _without_outliers(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop lonely points and far small groups."""
    if len(points) < 2 * _MIN_NEIGHBOURS:
        return points[:0], normals[:0]
    counts = cKDTree(points).query_ball_point(points, _OUTLIER_RADIUS_M, return_length=True)
    keep = counts > _MIN_NEIGHBOURS
    if keep.sum() < 2 * _MIN_NEIGHBOURS:
        return points[:0], normals[:0]
    center = np.median(points[keep], axis=0)
    spread = np.percentile(np.abs(points[keep] - center), 90, axis=0)
    keep &= (np.abs(points - center) < 3.0 * spread + 0.01).all(1)
    return points[keep], normals[keep]


def thin_surface(points: np.ndarray, normals: np.ndarray, at_most: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep one point per voxel and facing direction; the voxel grows until few enough points are left."""
    voxel = 0.003
    while len(points) > at_most:
        facing = np.abs(normals).argmax(1) * 2 + (np.take_along_axis(normals, np.abs(normals).argmax(1)[:, None], 1)[:, 0] > 0)
        keep = _first_of_each(np.floor(points / voxel).astype(np.int64), facing)
        points, normals = points[keep], normals[keep]
        voxel *= 1.25
    return points, normals


def _obstacles(
    others: np.ndarray, ids: np.ndarray, undersides: np.ndarray, target: np.ndarray, support_height_m: float | None
) -> np.ndarray:
    """Other points near the target, thinned; the support plane is left to a formula."""
    if len(target) == 0 or len(others) == 0:
        return np.zeros((0, 3), np.float32)
    lowest, highest = target.min(0) - _OBSTACLE_REACH_M, target.max(0) + _OBSTACLE_REACH_M
    near = ((others > lowest) & (others < highest)).all(1)
    if support_height_m is not None:
        near &= others[:, 2] > support_height_m + np.where(ids > 0, _SUPPORT_LAYER_M, _SUPPORT_NOISE_M)
    others, ids, undersides = others[near], ids[near], undersides[near]
    neighbours, undersides = others[ids > 0], undersides[ids > 0]
    if len(neighbours):
        low = float(others[:, 2].min()) if support_height_m is None else support_height_m
        neighbours = _one_per_voxel(_with_shade(neighbours, undersides, low))
    unowned = _one_per_voxel(others[ids == 0])
    return np.concatenate([neighbours, unowned[_is_solid(unowned, np.concatenate([target, neighbours]))]])


def _with_shade(points: np.ndarray, undersides: np.ndarray, low: float) -> np.ndarray:
    """Points and copies a few centimetres below them: the space under a seen surface was not seen, but is rarely empty.

    Where an underside was seen there is nothing to guess.
    """
    cells = np.floor(points[:, :2] / _COVER_CELL_M).astype(np.int64) @ np.array([1_000_003, 1])
    unseen = points[~np.isin(cells, cells[undersides])]
    layers = [points]
    for drop in np.arange(_SHADE_STEP_M, min(_SHADE_M, points[:, 2].max() - low), _SHADE_STEP_M):
        lowered = unseen - np.array([0.0, 0.0, drop], np.float32)
        layers.append(lowered[lowered[:, 2] > low + _SUPPORT_LAYER_M])
    return np.concatenate(layers)


def _one_per_voxel(points: np.ndarray) -> np.ndarray:
    cells = np.floor(points / _OBSTACLE_VOXEL_M).astype(np.int64)
    thinned: np.ndarray = points[_first_of_each(cells, np.zeros(len(points), np.int64))]
    return thinned


def _first_of_each(cells: np.ndarray, facing: np.ndarray) -> np.ndarray:
    """Rows of the first point of each cell (N, 3) and facing direction (N,); one number for both sorts many times faster."""
    if len(cells) == 0:
        return np.zeros(0, np.int64)
    cells = cells - cells.min(0)
    size = cells.max(0) + 1
    keys = ((cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]) * 6 + facing
    rows: np.ndarray = np.unique(keys, return_index=True)[1]
    return rows


def _is_solid(unowned: np.ndarray, owned: np.ndarray) -> np.ndarray:
    """(K,) bool: points of no instance that belong to something of their own.

    Masks end a little inside their objects, and between object and table depth is blurred. That leaves skirts of points around
    every object, which would forbid its grasps: groups that hardly leave the neighbourhood of the instances are taken for such.
    """
    if len(unowned) == 0:
        return np.zeros(0, bool)
    skirt = cKDTree(owned).query(unowned, distance_upper_bound=_SKIRT_M)[0] < _SKIRT_M
    pairs = cKDTree(unowned).query_pairs(2 * _OBSTACLE_VOXEL_M, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(unowned), len(unowned)))
    group = connected_components(graph, directed=False)[1]
    free_share = np.bincount(group, ~skirt) / np.bincount(group)
    far_enough = cKDTree(owned).query(unowned, distance_upper_bound=_FRINGE_M)[0] > _FRINGE_M
    return (free_share[group] > 0.4) & (np.bincount(group)[group] >= _MIN_SOLID) & far_enough


def _covered(body: np.ndarray, neighbours: np.ndarray) -> float:
    """Share of the cells of the object, seen from above, in which a neighbour is higher than the object is there."""
    if len(body) == 0 or len(neighbours) == 0:
        return 0.0
    low = body[:, :2].min(0)
    size = np.floor((body[:, :2].max(0) - low) / _COVER_CELL_M).astype(np.int64) + 1
    tops = []
    for points in (body, neighbours):
        cells = np.floor((points[:, :2] - low) / _COVER_CELL_M).astype(np.int64)
        inside = ((cells >= 0) & (cells < size)).all(1)
        top = np.full(size, -np.inf)
        np.maximum.at(top, tuple(cells[inside].T), points[inside, 2])
        tops.append(top)
    own, other = tops
    return float((other > own + _COVER_M)[np.isfinite(own)].mean())


def _mass_center(points: np.ndarray, support_height_m: float | None) -> np.ndarray:
    """Between the surface's mean, drawn towards the cameras, and the middle of the extent, drawn by handles."""
    if len(points) == 0:
        return np.zeros(3, np.float32)
    low, high = np.percentile(points, 2, axis=0), np.percentile(points, 98, axis=0)
    if support_height_m is not None and low[2] < support_height_m + 0.4 * (high[2] - support_height_m):
        low[2] = support_height_m  # stands on the support, whatever was seen of its foot
    center: np.ndarray = 0.5 * points.mean(0) + 0.25 * (low + high)
    center[2] = 0.5 * (low[2] + high[2])
    return center.astype(np.float32)
