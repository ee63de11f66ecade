"""Convex pieces of a modelled object for physics: its surface is cut in two, again and again, while that makes it slimmer."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError, cKDTree

MAX_CUTS = 4  # along a line of descent: up to 16 pieces
_WORTHWHILE = 0.92  # of the volume: a cut must leave less in the two halves
_PROBES, _DENT, _DENTED_SHARE = 400, 0.1, 0.05  # on the hull; how deep dents may be, of the longest extent, and how frequent
_FEWEST = 16  # points of a piece
_THICKNESS_M = 0.002  # what is thinner is made so thick, or physics would fall through it
_CORNERS = 40  # of a piece, at most


def convex_pieces(points: np.ndarray) -> tuple[np.ndarray, ...]:
    """Cut a surface into convex pieces.

    Args:
        points: (N, 3) on the surface, dense, metres.

    Returns:
        Corners (K, 3) of each piece. Together the pieces hold all points; bowls stay hollow, roughly.
    """
    whole = [points] if _fills_its_hull(points) else _cut(points, MAX_CUTS)
    return tuple(_corners(own) for own in whole)


def _fills_its_hull(points: np.ndarray) -> bool:
    """Whether the object reaches its convex hull everywhere, but for shallow dents."""
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):
        return True
    a, b, c = (points[hull.simplices[:, k]] for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    rng = np.random.default_rng(0)
    chosen = np.searchsorted(np.cumsum(areas), rng.random(_PROBES) * areas.sum()).clip(max=len(areas) - 1)
    u, v = np.sqrt(rng.random((_PROBES, 1))), rng.random((_PROBES, 1))
    probes = (1 - u) * a[chosen] + u * (1 - v) * b[chosen] + u * v * c[chosen]
    distances = cKDTree(points).query(probes)[0]
    return bool((distances > _DENT * np.ptp(points, axis=0).max()).mean() < _DENTED_SHARE)


def _cut(points: np.ndarray, cuts: int) -> list[np.ndarray]:
    """Cut as often as possible, then keep what made the whole slimmer: a bowl cut once is no slimmer than before."""
    if cuts == 0 or len(points) < 2 * _FEWEST:
        return [points]
    volume, extents = _volume(points), np.ptp(points, axis=0)
    best: tuple[float, list[np.ndarray]] | None = None
    for axis in np.argsort(-extents):
        middle = 0.5 * (points[:, axis].min() + points[:, axis].max())
        halves = [points[points[:, axis] < middle], points[points[:, axis] >= middle]]
        if min(len(half) for half in halves) >= _FEWEST:
            total = sum(_volume(half) for half in halves)
            if best is None or total < 0.97 * best[0]:  # the longest axis where they are alike
                best = total, halves
    if best is None:
        return [points]
    pieces = [piece for half in best[1] for piece in _cut(half, cuts - 1)]
    return pieces if sum(_volume(piece) for piece in pieces) < _WORTHWHILE * volume else [points]


def _volume(points: np.ndarray) -> float:
    try:
        return float(ConvexHull(points).volume)
    except (QhullError, ValueError):
        return 0.0


def _corners(points: np.ndarray) -> np.ndarray:
    """Corners of the hull, of which those are left out that hardly matter; thin pieces are thickened."""
    flat = np.ptp(points, axis=0) < _THICKNESS_M
    if flat.any():
        points = np.concatenate([points + 0.5 * _THICKNESS_M * flat, points - 0.5 * _THICKNESS_M * flat])
    try:
        corners = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # flat, but along none of the axes
        corners = np.concatenate([points + 0.5 * _THICKNESS_M, points - 0.5 * _THICKNESS_M])
        corners = corners[ConvexHull(corners, qhull_options="QJ").vertices]
    if len(corners) <= _CORNERS:
        return corners
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(3 * _CORNERS, 3))
    kept: np.ndarray = corners[np.unique((corners @ directions.T).argmax(0))[:_CORNERS]]
    return kept
