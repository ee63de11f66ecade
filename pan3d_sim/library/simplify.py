"""Fewer triangles: vertices that share a cell of a grid become one, where the planes of their triangles meet (Lindstrom 2000)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FINEST, _COARSEST = 96, 12  # cells along the longest extent
_FLAT = 1e-3  # singular values below this share of the largest do not move a vertex


@dataclass(frozen=True)
class Triangles:
    """Triangles of several parts over common vertices."""

    vertices: np.ndarray  # (V, 3)
    corners: np.ndarray  # (F, 3)
    texcoords: np.ndarray  # (F, 3, 2), zeros where there are none
    part: np.ndarray  # (F,) which part each belongs to


def simplified(mesh: Triangles, max_faces: int) -> Triangles:
    """Reduce to at most `max_faces` triangles, or to what the coarsest grid gives.

    Args:
        mesh: Triangles of an object.
        max_faces: Upper limit.

    Returns:
        The mesh itself where it is small enough; otherwise one with moved vertices and fewer triangles.
    """
    mesh = _cleaned(mesh)
    cells = float(_FINEST)
    while len(mesh.corners) > max_faces:
        found = _clustered(mesh, cells)
        if len(found.corners) <= max_faces or cells <= _COARSEST:
            return found
        cells *= max(0.6, min(0.95, (max_faces / len(found.corners)) ** 0.5))
    return mesh


def _clustered(mesh: Triangles, cells: float) -> Triangles:
    low = mesh.vertices.min(0)
    size = float((mesh.vertices.max(0) - low).max()) / cells
    keys = np.floor((mesh.vertices - low) / max(size, 1e-12)).astype(np.int64)
    cluster = unique_rows(keys)[1]
    vertices = _representatives(mesh, cluster, size)
    return _cleaned(Triangles(vertices, cluster[mesh.corners], mesh.texcoords, mesh.part))


def _representatives(mesh: Triangles, cluster: np.ndarray, size: float) -> np.ndarray:
    """(C, 3): for each cluster the point nearest to all planes of its triangles, not far from the mean of its vertices."""
    count = int(cluster.max()) + 1
    members = np.bincount(cluster, minlength=count)[:, None]
    mean = np.stack([np.bincount(cluster, mesh.vertices[:, axis], count) for axis in range(3)], axis=1) / members
    a, b, c = (mesh.vertices[mesh.corners[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)  # length: twice the area, so that large triangles count more
    matrix, vector = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for k in range(3):
        own = cluster[mesh.corners[:, k]]
        offset = ((a - mean[own]) * normals).sum(1)
        for i in range(3):
            vector[:, i] += np.bincount(own, normals[:, i] * offset, count)
            for j in range(3):
                matrix[:, i, j] += np.bincount(own, normals[:, i] * normals[:, j], count)
    moved = (np.linalg.pinv(matrix, rcond=_FLAT, hermitian=True) @ vector[..., None])[..., 0]
    return mean + np.clip(moved, -0.5 * size, 0.5 * size)


def _cleaned(mesh: Triangles) -> Triangles:
    """Without triangles that have collapsed or are there twice, and without unused vertices."""
    corners = mesh.corners
    kept = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 0] != corners[:, 2])
    kept = np.flatnonzero(kept)
    first = np.argmin(corners[kept], axis=1)  # turned so that the lowest index comes first
    turned = np.take_along_axis(corners[kept], (first[:, None] + np.arange(3)) % 3, axis=1)
    kept = kept[np.sort(unique_rows(np.column_stack([turned, mesh.part[kept]]))[0])]
    used, corners = np.unique(corners[kept], return_inverse=True)
    return Triangles(mesh.vertices[used], corners.reshape(-1, 3), mesh.texcoords[kept], mesh.part[kept])


def unique_rows(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) integers -> where each different row comes first, in the order of their values, and which each row is."""
    span = np.ptp(keys, axis=0) + 1 if len(keys) else np.ones(keys.shape[1], np.int64)
    if float(np.prod(span.astype(float))) < 2**62:  # one number per row sorts much faster
        keys = np.ravel_multi_index(tuple((keys - keys.min(0)).T), tuple(span)) if len(keys) else keys[:, 0]
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    else:
        _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)
