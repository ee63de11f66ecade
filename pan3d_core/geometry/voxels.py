"""Connected components of a point cloud on a sparse voxel grid, and the cutting of what merely touches.

Everything here is numpy on the CPU: the arrays are small (one row per occupied voxel) and sorting dominates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# One of each pair of opposite directions among the 26 neighbours.
HALF_NEIGHBOURHOOD = np.array(
    [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (z, y, x) > (0, 0, 0)], dtype=np.int64
)

SMALL_PIECE = 12  # voxels: pieces of fewer belong to their neighbours
CONCAVE_FOLD, CONCAVE_SHARE = 0.1, 0.15  # sine of the fold, and the share of a border that has it, between two objects


@dataclass(frozen=True)
class VoxelGraph:
    """Occupied voxels and the pairs of them that touch by a face, an edge or a corner."""

    voxel_of_point: Ints  # (N,) int64 row of the voxel that holds each point
    centers: Floats  # (V, 3) mean of the points of each voxel
    counts: Ints  # (V,) points per voxel
    edges: Ints  # (E, 2) int64 rows of neighbouring voxels

    def mean_of(self, values: npt.NDArray[np.floating]) -> Floats:
        """Per-point values (N, C) -> their means per voxel (V, C)."""
        sums = np.stack([np.bincount(self.voxel_of_point, column, len(self.counts)) for column in values.T], axis=1)
        means: Floats = sums / self.counts[:, None]
        return means


def build_voxel_graph(points: npt.NDArray[np.floating], voxel_m: float) -> VoxelGraph:
    """Build the graph of occupied voxels; cost grows with their number, not with the extent.

    Args:
        points: (N, 3) metres.
        voxel_m: Side of a voxel.

    Returns:
        The graph, which knows the voxel of every point.
    """
    if len(points) == 0:
        empty = np.zeros(0, dtype=np.int64)
        return VoxelGraph(empty, np.zeros((0, 3)), empty, np.zeros((0, 2), dtype=np.int64))
    cells = np.floor((points - points.min(axis=0)) / voxel_m).astype(np.int64) + 1  # a free border: no wrap-around
    size = cells.max(axis=0) + 2
    strides = np.array([size[1] * size[2], size[2], 1])
    keys, voxel_of_point, counts = np.unique(cells @ strides, return_inverse=True, return_counts=True)
    voxel_of_point = voxel_of_point.reshape(-1)
    sums = np.stack([np.bincount(voxel_of_point, column, len(keys)) for column in points.T], axis=1)
    pairs = []
    for offset in HALF_NEIGHBOURHOOD @ strides:
        place = np.searchsorted(keys, keys + offset)
        hit = keys[np.minimum(place, len(keys) - 1)] == keys + offset
        pairs.append(np.stack([np.flatnonzero(hit), place[hit]], axis=1))
    return VoxelGraph(voxel_of_point, sums / counts[:, None], counts, np.concatenate(pairs))


def components(num_nodes: int, edges: Ints) -> Ints:
    """Number the connected components of an undirected graph.

    Args:
        num_nodes: How many nodes there are.
        edges: (E, 2) nodes.

    Returns:
        (num_nodes,) component of each node.
    """
    if num_nodes == 0:
        return np.zeros(0, dtype=np.int64)
    graph = coo_matrix((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(num_nodes, num_nodes))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def split_touching(
    graph: VoxelGraph,
    colors: npt.NDArray[np.floating],
    normals: npt.NDArray[np.floating],
    *,
    color_step: float,
    min_voxels: int,
) -> Ints:
    """Cut components where colour changes *and* the surface folds inwards.

    Neither sign is enough alone: a label on a can changes colour on a smooth surface, a mug and its handle meet in a concave
    fold of one colour. So voxels are first grouped by colour; two groups stay apart when more than `CONCAVE_SHARE` of their
    common border folds inwards.

    Args:
        graph: The voxels.
        colors: (V, 3) RGB 0..1.
        normals: (V, 3) unit vectors.
        color_step: Difference of colour that begins another group.
        min_voxels: Smaller groups join the neighbour with the longest common border.

    Returns:
        (V,) component number of each voxel.
    """
    return join_smooth_borders(graph, absorb_small(tone_groups(graph, colors, color_step), graph.edges, min_voxels), normals)


def tone_groups(graph: VoxelGraph, colors: npt.NDArray[np.floating], color_step: float) -> Ints:
    """Group voxels of like colour, the same paint in light and in shade nearly alike.

    Args:
        graph: The voxels.
        colors: (V, 3) RGB 0..1.
        color_step: Difference of colour that begins another group.

    Returns:
        (V,) group of each voxel.
    """
    return group_by_tone(colors / (colors.max(axis=1, keepdims=True) + 0.15), graph.edges, color_step)


def join_smooth_borders(graph: VoxelGraph, group: Ints, normals: npt.NDArray[np.floating], owner: Ints | None = None) -> Ints:
    """Join groups whose common border folds inwards on less than `CONCAVE_SHARE` of it: they are one surface.

    Args:
        graph: The voxels.
        group: (V,) group of each voxel.
        normals: (V, 3) unit vectors.
        owner: (V,) whose each voxel is known to be, 0 = nobody knows; a border that is mostly between two owners stays.

    Returns:
        (V,) number of the joined group of each voxel.
    """
    border = graph.edges[group[graph.edges[:, 0]] != group[graph.edges[:, 1]]]
    if len(border) == 0:
        return group
    # Normals and centres are averaged within each side first, since the border may lie a voxel off the crease.
    inner = graph.edges[group[graph.edges[:, 0]] == group[graph.edges[:, 1]]]
    sides = _smooth_over_edges(np.concatenate([graph.centers, normals], axis=1), inner, rounds=3)
    first, second = sides[border[:, 0]], sides[border[:, 1]]
    offset = second[:, :3] - first[:, :3]
    offset /= np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-9)
    # Positive when the surface opens towards its normals, as in an inner corner: the convexity of Stein et al. 2014
    # ("Object Partitioning using Local Convexity"), negated.
    fold = ((first[:, 3:] - second[:, 3:]) * offset).sum(axis=1)
    pairs, which = np.unique(np.sort(group[border], axis=1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    length = np.bincount(which)
    joins = np.bincount(which, fold > CONCAVE_FOLD) < CONCAVE_SHARE * length
    if owner is not None:
        known = owner[border]
        joins &= np.bincount(which, (known > 0).all(1) & (known[:, 0] != known[:, 1])) <= 0.5 * length
    joined = components(int(group.max()) + 1, pairs[joins])
    return joined[group]


def group_by_tone(tones: npt.NDArray[np.floating], edges: Ints, largest_step: float) -> Ints:
    """Join neighbours, the most alike first, while the means of their groups are alike.

    Comparing *means* keeps a gradient from chaining two colours together.

    Args:
        tones: (V, C) of each node.
        edges: (E, 2) neighbours.
        largest_step: In every channel, by which means of joined groups differ less.

    Returns:
        (V,) group of each node.
    """
    difference = np.abs(tones[edges[:, 0]] - tones[edges[:, 1]]).max(axis=1)
    order = np.argsort(difference, kind="stable")
    order = order[difference[order] < largest_step]
    parent, size, mean = list(range(len(tones))), [1] * len(tones), tones.tolist()

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for first, second in edges[order].tolist():
        large, small = root(first), root(second)
        if large == small or max(abs(a - b) for a, b in zip(mean[large], mean[small])) >= largest_step:
            continue
        if size[large] < size[small]:
            large, small = small, large
        size[large] += size[small]
        share = size[small] / size[large]
        mean[large] = [a + (b - a) * share for a, b in zip(mean[large], mean[small])]
        parent[small] = large
    return np.unique([root(node) for node in range(len(tones))], return_inverse=True)[1].reshape(-1)


def _smooth_over_edges(values: Floats, edges: Ints, rounds: int) -> Floats:
    count = len(values)
    weights = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count)).tocsr()
    weights = weights + weights.T
    degree = np.asarray(weights.sum(axis=1)) + 1.0
    for _ in range(rounds):
        values = (weights @ values + values) / degree
    return values


def absorb_small(group: Ints, edges: Ints, min_voxels: int) -> Ints:
    """Let each small group join the larger neighbour it shares most edges with; groups without one stay as they are.

    Args:
        group: (V,) group of each node.
        edges: (E, 2) neighbours.
        min_voxels: Groups of fewer nodes are small.

    Returns:
        (V,) group of each node.
    """
    sizes = np.bincount(group)
    ends = group[edges]
    border = ends[ends[:, 0] != ends[:, 1]]
    both = np.concatenate([border, border[:, ::-1]])
    both = both[(sizes[both[:, 0]] < min_voxels) & (sizes[both[:, 1]] >= min_voxels)]
    if len(both) == 0:
        return group
    pairs, shared = np.unique(both, axis=0, return_counts=True)
    target = np.arange(len(sizes))
    for small, large in pairs[np.argsort(shared, kind="stable")]:  # the longest border is written last and stays
        target[small] = large
    return target[group]


def nearest_group(graph: VoxelGraph, group: Ints, points: npt.NDArray[np.floating], reach_m: float) -> Ints:
    """Say which group points are next to.

    Args:
        graph: The voxels.
        group: (V,) group of each voxel.
        points: (N, 3) metres.
        reach_m: The farthest that the middle of a voxel may be.

    Returns:
        (N,) group of the nearest voxel, -1 where none is near.
    """
    if len(graph.counts) == 0 or len(points) == 0:
        return np.full(len(points), -1, dtype=np.int64)
    distance, row = cKDTree(graph.centers).query(points, distance_upper_bound=reach_m)
    near = np.isfinite(np.asarray(distance))
    found = np.full(len(points), -1, dtype=np.int64)
    found[near] = group[np.asarray(row)[near]]
    return found
