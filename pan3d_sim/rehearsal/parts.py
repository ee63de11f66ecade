"""Points of a surface as a few convex parts that together follow it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

WALL_M = 0.003  # surfaces are this thick at least
OVERLAP_M = 0.003  # parts reach across a cut by this, so that no gap is between them
TOLERANCE_M = 0.006  # the way out of a part may be this long
LEAST_RISE = 0.1  # of a way out, towards a face
FEWEST = 12  # points of a part
STRAYS = 3  # ways out may be longer: noise


@dataclass(frozen=True)
class _Surface:
    """Points on surfaces, then the same a wall deeper."""

    solid: np.ndarray  # (2 N, 3) metres
    normals: np.ndarray  # (N, 3)


@dataclass(frozen=True)
class _Piece:
    """Some of the points, and how badly their hull follows them."""

    rows: np.ndarray  # (K,) of the solid
    ways: np.ndarray  # (K,) metres out of the hull along the normal; 0 of points within the wall
    corners: np.ndarray  # (V, 3) of the hull
    volume_m3: float

    @property
    def excess(self) -> float:
        """Summed metres by which ways out are longer than they may be."""
        return float(np.maximum(np.sort(self.ways)[:-STRAYS] - TOLERANCE_M, 0.0).sum())


@dataclass(frozen=True)
class ConvexParts:
    """Corners of convex pieces, and how much they hold; pieces overlap a little."""

    corners: tuple[np.ndarray, ...]  # (V, 3) each
    guessed: tuple[float, ...]  # share of each one's points that nobody saw
    volumes_m3: tuple[float, ...]


def convex_parts(points: np.ndarray, normals: np.ndarray, guessed: np.ndarray, axes: np.ndarray, most: int) -> ConvexParts:
    """Cut a surface at its hollows until each part is nearly convex.

    Where the way out of a part's convex hull is longest, along the normal of the surface, is where to cut; of planes through it
    along the axes the one is taken after which ways out of both hulls are shortest. It is approximate convex decomposition (Lien
    and Amato 2007, with their straight-line concavity), on points.

    Args:
        points: (N, 3) metres, of both sides of walls where both were seen.
        normals: (N, 3) unit, outward.
        guessed: (N,) bool, those that nobody saw.
        axes: (3, 3) columns are directions across which it may be cut.
        most: Parts at most.

    Returns:
        The parts, one at least.
    """
    surface = _Surface(np.concatenate([points, points - WALL_M * normals]).astype(np.float64), normals.astype(np.float64))
    pieces = [_whole(surface)]
    while len(pieces) < most:
        worst = max(range(len(pieces)), key=lambda index: pieces[index].excess)
        halves = _halves(surface, pieces[worst], axes) if pieces[worst].excess > 0 else None
        if halves is None:
            break
        pieces[worst : worst + 1] = halves
    unseen = np.tile(guessed, 2)
    return ConvexParts(
        tuple(piece.corners for piece in pieces),
        tuple(float(unseen[piece.rows].mean()) for piece in pieces),
        tuple(piece.volume_m3 for piece in pieces),
    )


def _halves(surface: _Surface, piece: _Piece, axes: np.ndarray) -> list[_Piece] | None:
    """The best cut of a piece; None where no cut leaves enough on both sides."""
    places = surface.solid[piece.rows]
    deep = piece.ways > TOLERANCE_M
    best: list[_Piece] | None = None
    for axis in axes.T:
        along = places @ axis
        for level in (along[piece.ways.argmax()], along[deep].mean()):
            halves = [_piece(surface, piece.rows[side]) for side in (along < level + OVERLAP_M, along > level - OVERLAP_M)]
            found = [half for half in halves if half is not None and len(half.rows) < len(piece.rows)]
            if len(found) == 2 and (best is None or sum(h.excess for h in found) < sum(h.excess for h in best)):
                best = found
    return best


def _whole(surface: _Surface) -> _Piece:
    rows = np.arange(len(surface.solid))
    piece = _piece(surface, rows)
    return _of_hull(surface, rows, ConvexHull(surface.solid, qhull_options="QJ")) if piece is None else piece


def _piece(surface: _Surface, rows: np.ndarray) -> _Piece | None:
    """A piece of the points in these rows; None where they are too few or lie in a plane."""
    if len(rows) < FEWEST:
        return None
    try:
        return _of_hull(surface, rows, ConvexHull(surface.solid[rows]))
    except QhullError:
        return None


def _of_hull(surface: _Surface, rows: np.ndarray, hull: ConvexHull) -> _Piece:
    places, outer = surface.solid[rows], rows < len(surface.normals)
    faces = np.unique(np.round(hull.equations, 6), axis=0)  # coplanar triangles have the same
    room = -(places[outer] @ faces[:, :3].T + faces[:, 3])
    rise = surface.normals[rows[outer]] @ faces[:, :3].T
    ways = np.zeros(len(rows))
    ways[outer] = np.where(rise > LEAST_RISE, np.maximum(room, 0.0) / np.maximum(rise, LEAST_RISE), np.inf).min(1)
    return _Piece(rows, ways, places[hull.vertices], float(hull.volume))
