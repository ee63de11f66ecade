"""Closed meshes over outlines: prisms, and columns of different heights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_closing, binary_fill_holes, grey_dilation
from scipy.spatial import ConvexHull, QhullError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
THINNEST_M = 1e-3
MOST_COLUMNS = 40  # along a side; a wide object has wider ones
AROUND = np.ones((3, 3), bool)


def prism(points: Floats, padding_m: Floats, bottom_m: float) -> tuple[Floats, Ints]:
    """Close the convex outline of points from above, down to a level.

    Args:
        points: (N, 3) metres, z up; one or more.
        padding_m: (3,) by which it is wider along x and y, on both sides, and higher.
        bottom_m: z of its lower face.

    Returns:
        (V, 3) corners and (T, 3) triangles, counter-clockwise as seen from outside.
    """
    x, y = np.maximum(padding_m[:2], THINNEST_M / 2)
    flat = np.concatenate([points[:, :2] + (sx * x, sy * y) for sx in (-1, 1) for sy in (-1, 1)])
    try:
        flat = flat[ConvexHull(flat).vertices]
    except QhullError:  # so thin that rounding makes it a line
        low, high = flat.min(0) - THINNEST_M, flat.max(0) + THINNEST_M
        flat = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    count, rows = len(flat), np.arange(len(flat))
    top_m = max(float(points[:, 2].max()) + float(padding_m[2]), bottom_m + THINNEST_M)
    corners = np.concatenate([np.column_stack([flat, np.full(count, level)]) for level in (bottom_m, top_m)])
    after = (rows + 1) % count
    fan = np.column_stack([np.zeros(count - 2, int), rows[1:-1], rows[2:]])
    sides = [np.column_stack([rows, after, after + count]), np.column_stack([rows, after + count, rows + count])]
    return corners, np.concatenate([fan[:, ::-1], fan + count, *sides]).astype(np.int64)


class Columns:
    """A grid of columns seen from above.

    Args:
        low: (2,) least x and y, metres.
        high: (2,) greatest.
        column_m: Side of a column, more where the area is wide.
    """

    def __init__(self, low: Floats, high: Floats, column_m: float) -> None:
        self.side_m = max(column_m, float((high - low).max()) / MOST_COLUMNS)
        self.origin = low - 2 * self.side_m  # a rim, so that closing does not end at the edge
        self.shape = tuple(int(n) for n in np.ceil((high - self.origin) / self.side_m).astype(int) + 3)

    def heights(self, points: Floats, padding_m: Floats) -> Floats:
        """Measure how high points reach in each column.

        Args:
            points: (N, 3) metres.
            padding_m: (3,) by which what they show is wider and higher.

        Returns:
            (X, Y) metres, -inf where nothing stands. Holes in an outline, into which nobody looked, are as high as the highest
            point.
        """
        index = np.floor((points[:, :2] - self.origin) / self.side_m).astype(int)
        index = np.clip(index, 0, np.array(self.shape) - 1)
        top = np.full(self.shape, -np.inf)
        np.maximum.at(top, (index[:, 0], index[:, 1]), points[:, 2] + padding_m[2])
        reach = np.maximum(np.ceil(padding_m[:2] / self.side_m - 0.5), 0).astype(int)
        top = grey_dilation(top, size=tuple(2 * reach + 1), mode="nearest") if reach.any() else top
        filled = np.isfinite(top)
        closed = binary_closing(filled, AROUND)
        near = grey_dilation(top, footprint=AROUND, mode="nearest")
        top = np.where(closed & ~filled, near, top)
        holes = binary_fill_holes(closed) & ~np.isfinite(top)
        return np.where(holes, points[:, 2].max() + padding_m[2], top)

    def mesh(self, low: Floats, high: Floats) -> tuple[Floats, Ints]:
        """Close columns that reach from one height to another.

        Args:
            low: (X, Y) metres.
            high: (X, Y) metres; where it is not above `low` there is no column.

        Returns:
            (V, 3) corners and (T, 3) triangles, counter-clockwise as seen from outside.
        """
        stands = high > low
        low, high = np.where(stands, low, np.inf), np.where(stands, high, -np.inf)
        quads = [self._lids(stands, high), self._lids(stands, low)[:, ::-1]]
        for axis in (0, 1):
            for step in (-1, 1):
                quads += self._walls(low, high, axis, step)
        corners = np.concatenate(quads).reshape(-1, 3)
        corners, index = np.unique(np.round(corners, 6), axis=0, return_inverse=True)
        square = index.reshape(-1, 4)
        triangles: Ints = np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]]]).astype(np.int64)
        return corners, triangles

    def _lids(self, stands: npt.NDArray[np.bool_], level: Floats) -> Floats:
        """(Q, 4, 3) faces that look up."""
        x, y = np.nonzero(stands)
        around = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
        return np.stack([self._corner(i, j, level[x, y]) for i, j in around], axis=1)

    def _walls(self, low: Floats, high: Floats, axis: int, step: int) -> list[Floats]:
        """(Q, 4, 3) faces between columns and their neighbours on one side, where these leave them open: above, and below."""
        next_low, next_high = _shifted(low, axis, step, np.inf), _shifted(high, axis, step, -np.inf)
        alone = ~(next_high > next_low)
        above = np.where(alone, low, np.clip(next_high, low, high)), high
        below = low, np.where(alone, low, np.clip(next_low, low, high))
        walls = []
        for begin, end in (above, below):
            x, y = np.nonzero((high > low) & (end > begin))
            first = [x, y]
            first[axis] = first[axis] + (step > 0)
            second = list(first)
            second[1 - axis] = second[1 - axis] + 1
            ends = [second, first] if (axis == 0) == (step < 0) else [first, second]
            bottom, top = begin[x, y], end[x, y]
            ring = [(ends[0], bottom), (ends[1], bottom), (ends[1], top), (ends[0], top)]
            corners = [self._corner(place[0], place[1], level) for place, level in ring]
            walls.append(np.stack(corners, axis=1).reshape(-1, 4, 3))
        return walls

    def _corner(self, i: npt.NDArray[np.intp], j: npt.NDArray[np.intp], level: Floats) -> Floats:
        return np.stack([self.origin[0] + i * self.side_m, self.origin[1] + j * self.side_m, level], axis=-1)


def _shifted(values: Floats, axis: int, step: int, outside: float) -> Floats:
    """What the neighbour on one side has."""
    moved = np.roll(values, -step, axis)
    edge: list[int | slice] = [slice(None), slice(None)]
    edge[axis] = -1 if step > 0 else 0
    moved[tuple(edge)] = outside
    return moved
