"""Where in space something changed: what is left of a box when everything is cut away that some view saw unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from pan3d_core.geometry.boxes import OrientedBox, box_corners
from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.lessons.differences import Floats, Mask
from pan3d_core.structures import CameraView

Ints = npt.NDArray[np.int64]

VOXELS, FEW_VOXELS = 40_000, 4_000  # that a box is cut into, about: to find something in it, to say where it is
FINEST_M = 0.003
HIDES_M, HIDES = 0.02, 0.03  # what is this much nearer than a point hides it, also by depth that a network guessed
SPLAT = 0.8  # half the side of the square that a voxel covers, in sides of the voxel


@dataclass(frozen=True)
class Evidence:
    """What one view says, (H, W) each."""

    view: CameraView
    changed: Mask
    known: Mask  # False: this pixel says nothing
    surface_m: Floats | None  # z-depth of what it shows, 0 = unknown


@dataclass(frozen=True)
class Volume:
    """Voxels in which something changed."""

    points: Floats  # (N, 3) metres, world
    step_m: float

    def seen_in(self, view: CameraView) -> Mask:
        """(H, W) bool: pixels behind which the volume lies."""
        height, width = view.hw
        covered = np.zeros((height, width), bool)
        if not len(self.points):
            return covered
        x, y, depth = projected(view, self.points)
        focal = float(view.calibration()[0][0, 0])
        front = depth > 1e-6
        reach = SPLAT * self.step_m * focal / np.maximum(depth, 1e-6)
        for dx in (-1.0, 0.0, 1.0):
            for dy in (-1.0, 0.0, 1.0):
                column, row = np.rint(x + dx * reach).astype(np.int64), np.rint(y + dy * reach).astype(np.int64)
                inside = front & (column >= 0) & (column < width) & (row >= 0) & (row < height)
                covered[row[inside], column[inside]] = True
        closed: Mask = ndimage.binary_closing(covered, np.ones((3, 3), bool), iterations=2)
        return closed | covered


def changed_volume(evidence: Sequence[Evidence], box: OrientedBox, around_m: float, above_m: float, min_views: int) -> Volume:
    """Cut from a box what a view saw unchanged.

    Args:
        evidence: Of each view.
        box: Where the object is believed to be.
        around_m: How far outside the box it may reach.
        above_m: World z below which there is none of it.
        min_views: That must show a change in a voxel, at least.

    Returns:
        The largest piece of what is left, and pieces that are a third as large as it.
    """
    points, step, shape = _voxels(box, around_m, above_m, VOXELS)
    seen, refuted = np.zeros(len(points), np.int64), np.zeros(len(points), bool)
    for item in evidence:
        changed, unchanged = _says(item, points)
        seen += changed
        refuted |= unchanged
    kept = ((seen >= min_views) & ~refuted).reshape(shape)
    return Volume(points[_largest(kept).reshape(-1)], step)


def box_volume(box: OrientedBox, around_m: float, above_m: float) -> Volume:
    """Cut a box and its surroundings into voxels.

    Args:
        box: In the world.
        around_m: How far outside the box they reach.
        above_m: World z below which there are none.

    Returns:
        All of them.
    """
    points, step, _ = _voxels(box, around_m, above_m, FEW_VOXELS)
    return Volume(points, step)


def _voxels(box: OrientedBox, around_m: float, above_m: float, count: int) -> tuple[Floats, float, tuple[int, ...]]:
    corners = box_corners(box).double().cpu().numpy()
    low, high = corners.min(0) - around_m, corners.max(0) + around_m
    low[2] = max(low[2], above_m)
    if high[2] <= low[2]:
        return np.zeros((0, 3)), FINEST_M, (0, 0, 0)
    step = max(FINEST_M, float(np.prod(high - low) / count) ** (1 / 3))
    axes = [np.arange(begin + step / 2, end, step) for begin, end in zip(low, high)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3), step, tuple(len(axis) for axis in axes)


def projected(view: CameraView, points: Floats) -> tuple[Floats, Floats, Floats]:
    """Project points.

    Args:
        view: Calibrated.
        points: (N, 3) metres, world.

    Returns:
        (N,) column and row in pixels, and z-depth; columns and rows of points behind the camera mean nothing.
    """
    intrinsics, cam_from_world = (item.double().cpu() for item in view.calibration())
    pixels, depth = project(transform_points(cam_from_world, torch.from_numpy(points)), intrinsics)
    return pixels[:, 0].numpy(), pixels[:, 1].numpy(), depth.numpy()


def _says(item: Evidence, points: Floats) -> tuple[Mask, Mask]:
    """(N,) bool each: a view shows a change there; it shows that there is none."""
    height, width = item.changed.shape
    x, y, depth = projected(item.view, points)
    column, row = np.rint(np.clip(x, -1, width)).astype(np.int64), np.rint(np.clip(y, -1, height)).astype(np.int64)
    inside = (depth > 1e-6) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = column.clip(0, width - 1), row.clip(0, height - 1)
    known = inside & item.known[row, column]
    changed = item.changed[row, column]
    hidden = np.zeros(len(points), bool)
    if item.surface_m is not None:
        surface = item.surface_m[row, column]
        hidden = (surface > 0) & (surface < depth - np.maximum(HIDES_M, HIDES * depth))
    return known & changed, known & ~changed & ~hidden


def _largest(kept: Mask) -> Mask:
    pieces, count = ndimage.label(kept, np.ones((3, 3, 3), bool))
    if count <= 1:
        return kept
    sizes = np.bincount(pieces.reshape(-1))
    sizes[0] = 0
    found: Mask = np.isin(pieces, np.flatnonzero(sizes >= sizes.max() / 3))
    return found
