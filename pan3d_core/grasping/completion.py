"""The sides of an object that no camera saw, guessed from those that one did.

Most things on a table are turned or extruded. A surface of revolution shows itself by its normals: they all meet one axis. Its
unseen sectors are then copies of the seen ones. Everything else is taken for an extrusion of its outline down to the support.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError, cKDTree

_MIN_ROUND_SHARE = 0.62  # of the surface whose normals must meet the axis
_MIN_ARC_SECTORS = 4
_BESIDE = 0.5  # radii by which an axis may be outside of what was seen: of a third of its turn, seen from the side
_HIGHER_M, _MIN_POSSIBLE = 0.01, 0.6  # copies stand on the support and are no higher than what was seen from above
_SECTORS = 16
_COPIES_PER_SECTOR = 30
_CELL_M = 0.004
_STEP_M = 0.008
_SEEN_M = 0.012
# An outline is measured too small by about the footprint of a pixel, where it ends in the air.
_ERODED_M = 0.006


@dataclass(frozen=True)
class Axis:
    """Axis of a surface of revolution."""

    point: np.ndarray  # (3,)
    direction: np.ndarray  # (3,) unit
    share: float  # of the surface that agrees


def complete_surface(
    points: np.ndarray, normals: np.ndarray, box_axes: np.ndarray, support_height_m: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Points and outward normals (K, 3) of the unseen sides; empty when all was seen or nothing can be said.

    `box_axes` (3, 3): columns are directions that a lying object's axis may have.
    """
    if len(points) < 30:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)
    low = float(points[:, 2].min()) if support_height_m is None else support_height_m
    directions = [np.array([0.0, 0.0, 1.0]), *(axis for axis in box_axes.T if abs(axis[2]) < 0.5)]
    axis = max((fit_axis(points, normals, direction) for direction in directions), key=lambda found: found.share)
    if axis.share >= _MIN_ROUND_SHARE:
        extra, extra_normals = _turned(points, normals, axis)
        possible = (extra[:, 2] > low + 0.001) & (extra[:, 2] < float(points[:, 2].max()) + _HIGHER_M)
        # The faces of a flat thing also meet an axis, far above it; most copies would then be where nothing was seen.
        if possible.sum() >= _MIN_POSSIBLE * len(extra):
            return extra[possible].astype(np.float32), extra_normals[possible].astype(np.float32)
    extra, extra_normals = _extruded(points, normals, low)
    above = extra[:, 2] > low + 0.001
    return extra[above].astype(np.float32), extra_normals[above].astype(np.float32)


def fit_axis(points: np.ndarray, normals: np.ndarray, direction: np.ndarray) -> Axis:
    """Axis of the given direction that the surface normals meet best, by reweighted least squares."""
    basis = np.linalg.svd(direction[None])[2][1:]  # (2, 3) across the direction
    flat, lines = points @ basis.T, normals @ basis.T
    length = np.linalg.norm(lines, axis=1)
    radial = length > 0.45
    if radial.sum() < 20:
        return Axis(points.mean(0), direction, 0.0)
    flat, lines, length = flat[radial], lines[radial] / length[radial, None], length[radial]
    across = np.stack([-lines[:, 1], lines[:, 0]], axis=1)
    offset = np.einsum("ij,ij->i", across, flat)
    weight, center = length.copy(), flat.mean(0)
    for _ in range(8):
        moment = np.einsum("i,ij,ik->jk", weight, across, across) + 1e-6 * np.eye(2)
        center = np.linalg.solve(moment, np.einsum("i,i,ij->j", weight, offset, across))
        miss = np.abs(across @ center - offset)
        weight = length / (1 + (miss / 0.005) ** 2)
    outward = np.einsum("ij,ij->i", flat - center, lines)
    radius = np.median(np.abs(outward))
    fits = (miss < np.clip(0.25 * radius, 0.004, 0.010)) & (np.abs(outward) > 0.3 * radius)
    sectors = np.unique(_sector(flat - center)[fits])
    # The sides of what is bent meet an axis, too, from outside: a banana is no sector of a ring.
    beside = _outside(center, flat) > _BESIDE * radius
    if beside or not 0.008 < radius < 0.15 or len(sectors) < _MIN_ARC_SECTORS:
        return Axis(points.mean(0), direction, 0.0)
    along = direction * (points @ direction).mean()
    return Axis(center @ basis + along, direction, float((length * fits).sum() / length.sum()))


def _outside(place: np.ndarray, flat: np.ndarray) -> float:
    """How far (2,) is outside the hull of (N, 2) points; below 0 = within."""
    try:
        sides = ConvexHull(flat).equations
    except QhullError:  # all in one line
        return float(cKDTree(flat).query(place)[0])
    return float((sides[:, :2] @ place + sides[:, 2]).max())


def _sector(flat: np.ndarray) -> np.ndarray:
    angle = np.arctan2(flat[:, 1], flat[:, 0])
    sector: np.ndarray = np.floor((angle + np.pi) / (2 * np.pi) * _SECTORS).astype(int) % _SECTORS
    return sector


def _turned(points: np.ndarray, normals: np.ndarray, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Copies of the seen sectors, turned into those where the outside was not seen."""
    basis = np.linalg.svd(axis.direction[None])[2][1:]
    flat, lines = (points - axis.point) @ basis.T, normals @ basis.T
    radius = np.linalg.norm(flat, axis=1)
    outward = np.einsum("ij,ij->i", flat, lines) / np.maximum(radius, 1e-6)
    miss = np.abs(flat[:, 0] * lines[:, 1] - flat[:, 1] * lines[:, 0]) / np.maximum(np.linalg.norm(lines, axis=1), 1e-6)
    sector = _sector(flat)
    outside = outward > 0.5
    counts = np.bincount(sector[outside], minlength=_SECTORS)
    missing = np.flatnonzero(counts < max(3, 0.3 * np.median(counts[counts > 0]) if (counts > 0).any() else 3))
    # Handles and spouts do not belong to the turned part: their normals miss the axis or they lie too far out.
    usual = np.median(radius[outside]) if outside.any() else np.median(radius)
    source = np.flatnonzero(~np.isin(sector, missing) & (miss < 0.010) & (radius < 1.6 * usual))
    if len(source) == 0 or len(missing) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3))
    copies: list[np.ndarray] = []
    copied_normals: list[np.ndarray] = []
    for index, target in enumerate(missing):
        rows = source[index % 3 :: max(1, len(source) // _COPIES_PER_SECTOR)]
        turn = 2 * np.pi / _SECTORS * (target - sector[rows])
        cosine, sine = np.cos(turn), np.sin(turn)
        for vectors, out in ((points[rows] - axis.point, copies), (normals[rows], copied_normals)):
            u, v = vectors @ basis[0], vectors @ basis[1]
            rest = vectors @ axis.direction
            turned = (cosine * u - sine * v)[:, None] * basis[0] + (sine * u + cosine * v)[:, None] * basis[1]
            out.append(turned + rest[:, None] * axis.direction)
    return np.concatenate(copies) + axis.point, np.concatenate(copied_normals)


def _extruded(points: np.ndarray, normals: np.ndarray, low: float) -> tuple[np.ndarray, np.ndarray]:
    """Upright walls below the border of the outline seen from above, where no camera saw a wall."""
    origin = points[:, :2].min(0) - 4 * _CELL_M
    cells = np.floor((points[:, :2] - origin) / _CELL_M).astype(int)
    outline = np.zeros(cells.max(0) + 8, bool)
    outline[tuple(cells.T)] = True
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(outline, iterations=3))
    soft = ndimage.gaussian_filter(filled.astype(float), 2.0)
    border = filled & ~ndimage.binary_erosion(filled)
    gradient: tuple[np.ndarray, ...] = tuple(np.gradient(soft))  # along both axes
    slope = -np.stack(gradient, axis=-1)[border]
    strength = np.linalg.norm(slope, axis=1)
    rows = strength > 0.05
    facing = slope[rows] / strength[rows, None]
    place = (np.argwhere(border)[rows] + 0.5) * _CELL_M + origin
    walls = np.abs(normals[:, 2]) < 0.7
    if walls.any():
        seen = _seen_from(place, facing, points[walls], normals[walls])
        place, facing = place[~seen], facing[~seen]
    if len(place) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3))
    nearby = cKDTree(points[:, :2]).query(place, k=min(6, len(points)))[1]
    place = place + _ERODED_M * facing
    top = points[:, 2][nearby].max(1)
    extra, extra_normals = [np.zeros((0, 3))], [np.zeros((0, 3))]  # of what is flatter than the first step there is no wall
    for height in np.arange(low + 0.004, points[:, 2].max(), _STEP_M):
        rows = height < top - 0.002
        extra.append(np.column_stack([place[rows], np.full(rows.sum(), height)]))
        extra_normals.append(np.column_stack([facing[rows], np.zeros(rows.sum())]))
    return np.concatenate(extra), np.concatenate(extra_normals)


def _seen_from(place: np.ndarray, facing: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(K,) bool: wall points that face the same way were measured near this place of the outline."""
    counts = np.zeros(len(place), int)
    for row, near in enumerate(cKDTree(points[:, :2]).query_ball_point(place, _SEEN_M)):
        counts[row] = (normals[near, :2] @ facing[row] > 0.3).sum()
    return counts >= 3
