"""Points of a surface as a few convex parts that together follow it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

WALL_M = 0.003  # surfaces are this thick at least
OVERLAP_M = 0.003  # parts reach across a cut by this, so that no gap is between them
TOLERANCE_M = 0.005  # points may lie this far inside of a part
FEWEST = 12  # points of a part
STRAYS = 3  # points may lie deeper: noise


@dataclass(frozen=True)
class _Piece:
    """Some of the points, and how badly their hull follows them."""

    rows: np.ndarray  # (K,) of the points
    depth: np.ndarray  # (K,) metres inside of the hull
    corners: np.ndarray  # (V, 3) of the hull
    volume_m3: float

    @property
    def excess(self) -> float:
        """Summed metres by which points are deeper than they may be."""
        return float(np.maximum(np.sort(self.depth)[:-STRAYS] - TOLERANCE_M, 0.0).sum())


@dataclass(frozen=True)
class ConvexParts:
    """Corners of convex pieces, and how much they hold; pieces overlap a little."""

    corners: tuple[np.ndarray, ...]  # (V, 3) each
    guessed: tuple[float, ...]  # share of each one's points that nobody saw
    volumes_m3: tuple[float, ...]


def convex_parts(
    points: np.ndarray, normals: np.ndarray, guessed: np.ndarray, axes: np.ndarray, most: int
) -> ConvexParts:
    """Cut a surface at its hollows until each part is nearly convex.

    The deepest point inside of a part's convex hull tells where to cut; of planes through it along the axes the one is taken
    after which the least is inside of both hulls. It is approximate convex decomposition as by Lien and Amato 2007, on points.

    Args:
        points: (N, 3) metres, of both sides of walls where both were seen.
        normals: (N, 3) unit, outward.
        guessed: (N,) bool, those that nobody saw.
        axes: (3, 3) columns are directions across which it may be cut.
        most: Parts at most.

    Returns:
        The parts; none where there are too few points for a solid.
    """
    solid = np.concatenate([points, points - WALL_M * normals]).astype(np.float64)
    whole = _piece(solid, np.arange(len(solid)))
    pieces = [] if whole is None else [whole]
    while 0 < len(pieces) < most:
        worst = max(range(len(pieces)), key=lambda index: pieces[index].excess)
        halves = _halves(solid, pieces[worst], axes) if pieces[worst].excess > 0 else None
        if halves is None:
            break
        pieces[worst : worst + 1] = halves
    unseen = np.tile(guessed, 2)
    return ConvexParts(
        tuple(piece.corners for piece in pieces),
        tuple(float(unseen[piece.rows].mean()) for piece in pieces),
        tuple(piece.volume_m3 for piece in pieces),
    )


def _halves(solid: np.ndarray, piece: _Piece, axes: np.ndarray) -> list[_Piece] | None:
    """The best cut of a piece; None where no cut leaves enough on both sides."""
    places = solid[piece.rows]
    deep = piece.depth > TOLERANCE_M
    best: list[_Piece] | None = None
    for axis in axes.T:
        along = places @ axis
        for level in (along[piece.depth.argmax()], along[deep].mean()):
            halves = [_piece(solid, piece.rows[side]) for side in (along < level + OVERLAP_M, along > level - OVERLAP_M)]
            found = [half for half in halves if half is not None and len(half.rows) < len(piece.rows)]
            if len(found) == 2 and (best is None or sum(h.excess for h in found) < sum(h.excess for h in best)):
                best = found
    return best


def _piece(solid: np.ndarray, rows: np.ndarray) -> _Piece | None:
    """A piece of the points in these rows; None where they are too few or lie in a plane."""
    if len(rows) < FEWEST:
        return None
    places = solid[rows]
    try:
        hull = ConvexHull(places)
    except QhullError:
        return None
    depth = -(places @ hull.equations[:, :3].T + hull.equations[:, 3]).max(1)
    return _Piece(rows, depth, places[hull.vertices], float(hull.volume))
