"""Which views of a recording are labelled, and at what size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import CameraView
from pan3d_core.views.picture_checks import picture_faults

MIN_VIEWS = 2  # one view alone agrees with everything
_TURN_M = 0.5  # a turn by one radian shows as much that is new as a move by so many metres


def posed_views(name: str, views: Sequence[CameraView]) -> list[CameraView]:
    """Take the views that can be labelled.

    Args:
        name: Of the scene, for the error.
        views: Of one scene.

    Returns:
        Those with intrinsics and a pose, in their order.

    Raises:
        ValueError: Fewer than two have both, or two are of different size; names scene and field.
    """
    posed = [view for view in views if view.intrinsics is not None and view.cam_from_world is not None]
    if len(posed) < MIN_VIEWS:
        lacking = "intrinsics" if sum(view.intrinsics is not None for view in views) < MIN_VIEWS else "cam_from_world"
        field = "views" if len(views) < MIN_VIEWS else lacking
        raise ValueError(
            f"scene {name}: {field}: expected at least {MIN_VIEWS} views with intrinsics and pose, "
            f"got {len(posed)} of {len(views)}"
        )
    if len(sizes := sorted({view.hw for view in posed})) > 1:
        raise ValueError(f"scene {name}: images: expected one size in all views, got {', '.join(f'{w}x{h}' for h, w in sizes)}")
    return posed


def clear_views(name: str, views: Sequence[CameraView]) -> tuple[list[CameraView], str]:
    """Leave out the views whose pictures are too dark or blurred.

    Args:
        name: Of the scene, for what is told.
        views: Of it.

    Returns:
        The others, in their order, and what was left out and why; empty = nothing.

    Raises:
        ValueError: Fewer than two are clear; says of each other one why.
    """
    faults = picture_faults(views)
    clear = [view for row, view in enumerate(views) if row not in faults]
    listed = "; ".join(f"view {row} ({views[row].camera}): {why}" for row, why in faults.items())
    if len(clear) < MIN_VIEWS:
        raise ValueError(
            f"scene {name}: images: expected at least {MIN_VIEWS} that are clear, got {len(clear)} of {len(views)}: {listed}"
        )
    return clear, f"scene {name}: {len(faults)} of {len(views)} views are left out: {listed}" if faults else ""


def spread_views(views: Sequence[CameraView], most: int) -> list[CameraView]:
    """Choose views from places and in directions that differ most: the next one is always the farthest from all that are chosen.

    Args:
        views: With poses.
        most: How many.

    Returns:
        At most so many, in their order.
    """
    if len(views) <= most:
        return list(views)
    places = torch.stack([_place(view.calibration()[1]) for view in views])
    chosen = [0]
    nearest = (places - places[0]).norm(dim=1)
    while len(chosen) < most:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (places - places[chosen[-1]]).norm(dim=1))
    return [views[row] for row in sorted(chosen)]


def _place(cam_from_world: Tensor) -> Tensor:
    """(6,) metres: where a camera is, and where it looks in metres' worth of turning."""
    world_from_cam = invert_rigid(cam_from_world.double())
    return torch.cat([world_from_cam[:3, 3], _TURN_M * world_from_cam[:3, 2]])
