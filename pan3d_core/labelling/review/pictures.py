"""Small pictures of one object from its best views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pan3d_core.labelling.chosen_views import spread_views
from pan3d_core.labelling.review.pixels import ScenePixels
from pan3d_core.pictures.overlays import enlarge, overlay, to_picture
from pan3d_core.pictures.palette import Picture
from pan3d_core.structures import CameraView, unit_range

Value = TypeVar("Value", bound=np.generic)

MARGIN = 0.35  # of an object's longer side, around it
FAINT = 0.12  # tint of the objects: what they look like matters more
_LARGE = 0.4  # share of the largest area from which on a view shows enough


def best_views(views: Sequence[CameraView], inside: Sequence[Tensor], count: int) -> list[int]:
    """Choose views that show much of an object, from sides that differ.

    Args:
        views: V with poses.
        inside: (H, W) bool of each, where the object is.
        count: How many, at most.

    Returns:
        Their rows, in their order; none where the object is in no view.
    """
    areas = [int(mask.sum()) for mask in inside]
    ranked = sorted((row for row in range(len(views)) if areas[row]), key=lambda row: -areas[row])
    large = [row for row in ranked if areas[row] >= _LARGE * areas[ranked[0]]]
    if len(large) <= count or any(views[row].cam_from_world is None or views[row].intrinsics is None for row in large):
        return sorted(ranked[:count])
    chosen = spread_views([views[row] for row in large], count)
    return sorted(row for row in large if any(views[row] is view for view in chosen))


def thumbnail(view: CameraView, pixels: ScenePixels, row: int, object_id: int, side: int) -> Picture:
    """Draw the surroundings of an object in one view, its outline and, fainter, those of others.

    Args:
        view: The view.
        pixels: Of the scene.
        row: Of the view in it.
        object_id: The object; it must be there.
        side: Of the picture, pixels.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    ids = pixels.ids[row].numpy()
    top, left, size = _window(ids == object_id)
    shown = _cut_out(to_picture(unit_range(view.image)), top, left, size)
    # Objects are drawn at the size of the thumbnail, so that lines are thin.
    picture = enlarge(shown, side)
    others = _cut_out(ids, top, left, size)
    large = others[np.arange(side) * size // side][:, np.arange(side) * size // side]
    faint = overlay(picture, np.where(large == object_id, 0, large), {}, strength=0.0)
    return overlay(faint, np.where(large == object_id, object_id, 0), {}, strength=FAINT)


def _window(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    """Top, left and side of a square around an object."""
    rows, columns = np.nonzero(mask)
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    size = max(8, round((1 + 2 * MARGIN) * max(height, width)))
    return int(rows.min()) - (size - height) // 2, int(columns.min()) - (size - width) // 2, size


def _cut_out(values: npt.NDArray[Value], top: int, left: int, size: int) -> npt.NDArray[Value]:
    """A square of an array, 0 beyond its borders."""
    made = np.zeros((size, size, *values.shape[2:]), dtype=values.dtype)
    height, width = values.shape[:2]
    y0, y1, x0, x1 = max(top, 0), min(top + size, height), max(left, 0), min(left + size, width)
    made[y0 - top : y1 - top, x0 - left : x1 - left] = values[y0:y1, x0:x1]
    return made
