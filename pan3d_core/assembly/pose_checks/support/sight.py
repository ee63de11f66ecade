"""Whether cameras can see the support at all where poses and height put them: not all do in a world whose z is not up.

Poses relative to a camera, or of a world that lies on its side, agree with each other and with every picture. But in such a world
cameras look up, or stand below what they look at; no texture is needed to see that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pan3d_core.assembly.pose_checks.view_matches import Array
from pan3d_core.structures import CameraView, PoseConsistency

# Rays along each side of a picture that are asked whether they meet the support.
GRID = 9
# What rounding makes of the identity, in entries of a pose.
ROUNDED = 1e-4
NOT_LEVEL = "are they relative to a camera, is y up in their world, or are their axes not optical ones?"


def judge_world(
    found: PoseConsistency, views: Sequence[CameraView], poses: Array, support_height_m: float | None
) -> PoseConsistency:
    """Say what speaks against a world whose z is up and in which objects stand on the support.

    Args:
        found: So far, with the figures of all views.
        views: S with intrinsics and pose.
        poses: (S, 4, 4) of them.
        support_height_m: World z as it was given; None = unknown.

    Returns:
        The same with a contradiction, with cameras that are left out, or where no height is given with a doubt and no support: it
        would be of no level surface.
    """
    kept = [index for index, view in enumerate(views) if view.camera not in found.left_out]
    views, poses = [views[index] for index in kept], poses[kept]
    blind = blind_cameras(views, poses, support_height_m)
    origin = next((view.camera for view, pose in zip(views, poses) if np.abs(pose - np.eye(4)).max() < ROUNDED), "")
    names = {view.camera for view in views}
    if support_height_m is None:
        if not origin and len(blind) < len(names):
            return found
        words = _relative_to(origin) if origin else f"as their poses say, all cameras look up; {NOT_LEVEL}"
        return replace(found, doubts=(*found.doubts, words), support=None)
    if not blind and not origin:
        return found
    place = f"the support at {support_height_m:.3f} m (workspace.support_height_m)"
    figures = dict(zip(found.cameras, found.figures))
    if not origin and 2 * len(blind) < len(names) and all(figures.get(name) is None for name in blind):
        reasons = (f"its pose has it see nothing of {place}: it looks up, or stands below",) * len(blind)
        return replace(found, left_out=found.left_out + blind, reasons=found.reasons + reasons)
    words = f"as the poses say, {', '.join(blind or (origin,))} cannot see {place}"
    highest = float(np.linalg.inv(poses)[:, 2, 3].max())
    if origin:
        words = f"{words}; {_relative_to(origin)}"
    elif highest <= support_height_m:
        words = f"{words}, no camera stands higher than {highest:.3f} m; is the height in metres of this world? Or {NOT_LEVEL}"
    else:
        words = f"{words}; {NOT_LEVEL}"
    return replace(found, contradiction="; ".join(filter(None, (found.contradiction, words))))


def blind_cameras(views: Sequence[CameraView], poses: Array, height_m: float | None) -> tuple[str, ...]:
    """Find the cameras that see nothing of the support where their poses put them.

    Args:
        views: S with intrinsics.
        poses: (S, 4, 4) of them.
        height_m: World z of the support; None = unknown, so any ray that goes down may meet it.

    Returns:
        Their names; one that moves is blind when it is in more than half of its views.
    """
    found: dict[str, list[bool]] = {}
    for view, sees in zip(views, sees_support(views, poses, height_m)):
        found.setdefault(view.camera, []).append(bool(sees))
    return tuple(name for name, seen in found.items() if 2 * sum(seen) < len(seen))


def sees_support(views: Sequence[CameraView], poses: Array, height_m: float | None) -> npt.NDArray[np.bool_]:
    """Tell whether some of a view's rays meet the support from above.

    Args:
        views: S with intrinsics.
        poses: (S, 4, 4) `cam_from_world`, metres.
        height_m: World z of the support; None = unknown, so any ray that goes down meets it.

    Returns:
        (S,) for each view.
    """
    found = []
    for view, world_from_cam in zip(views, np.linalg.inv(poses)):
        columns, rows = np.meshgrid(*(np.linspace(0, size - 1, GRID) for size in view.hw[::-1]))
        pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(GRID**2)])
        rays = world_from_cam[:3, :3] @ np.linalg.inv(view.calibration()[0].double().numpy(force=True)) @ pixels
        is_above = height_m is None or world_from_cam[2, 3] > height_m
        found.append(is_above and bool((rays[2] < 0).any()))
    return np.array(found, bool)


def _relative_to(origin: str) -> str:
    return f"the pose of {origin} is the identity: the poses look like ones relative to it, and z is not up in such a world"
