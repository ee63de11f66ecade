"""What was moved while it was recorded: it stands where the depth of other views goes through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import binary_opening, label
from torch import Tensor

from pan3d_core.geometry.cameras import project, unproject_depth
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.structures import CameraView, present

STANDS_OUT_M = 0.015  # above the support, from where on something is no noise of the table
THROUGH_M = 0.025  # behind a place, from where on a view sees through it
WITNESSES = 2  # views that must see through a place
LEAST = 0.006  # share of a picture that it fills at least: depth errs along outlines, some cameras' by much


def moved_places(views: Sequence[CameraView], support_height_m: float) -> Tensor:
    """Find what stands out of the support in one view, and is not there in others.

    Args:
        views: V of one size, with poses in metres; those without depth say nothing.
        support_height_m: World z of the surface that objects stand on.

    Returns:
        (V, H, W) bool.
    """
    moved = torch.zeros((len(views), *views[0].hw), dtype=torch.bool)
    measured = {row: view for row, view in enumerate(views) if view.depth is not None}
    for row, view in measured.items():
        intrinsics, cam_from_world, depth = _calibrated_depth(view)
        points = unproject_depth(depth, intrinsics, cam_from_world)
        standing = (depth > 0) & (points[..., 2] > support_height_m + STANDS_OUT_M)
        witnesses = torch.zeros(int(standing.sum()), dtype=torch.int64)
        for other in (item for key, item in measured.items() if key != row):
            witnesses += _sees_through(points[standing], other)
        moved[row][standing] = witnesses >= WITNESSES
        moved[row] = _without_specks(moved[row])
    return moved


def _calibrated_depth(view: CameraView) -> tuple[Tensor, Tensor, Tensor]:
    intrinsics, cam_from_world = (item.float().cpu() for item in view.calibration())
    return intrinsics, cam_from_world, present("CameraView.depth", view.depth).float().cpu()


def _sees_through(points: Tensor, view: CameraView) -> Tensor:
    """(N,) bool: whether a view has measured something well behind each of the points (N, 3)."""
    intrinsics, cam_from_world, depth = _calibrated_depth(view)
    pixels, distance = project(transform_points(cam_from_world, points), intrinsics)
    column, line = pixels.round().long().unbind(-1)
    inside = (distance > 0) & (column >= 0) & (column < view.hw[1]) & (line >= 0) & (line < view.hw[0])
    seen = torch.zeros_like(distance)
    seen[inside] = depth[line[inside], column[inside]]
    return seen > distance + THROUGH_M


def _without_specks(mask: Tensor) -> Tensor:
    """Connected places of some size alone: depth errs along outlines."""
    parts, _ = label(binary_opening(mask.numpy(), np.ones((3, 3), bool)))
    large = np.bincount(parts.ravel()) >= LEAST * mask.numel()
    large[0] = False
    return torch.from_numpy(large[parts])
