"""Poses that nothing is known of: not doubted, and not confirmed either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pan3d_core.structures import CameraView, PoseConsistency


def with_unchecked_poses(found: PoseConsistency, views: Sequence[CameraView]) -> PoseConsistency:
    """Name the cameras whose poses the pictures neither confirm nor doubt.

    Args:
        found: With figures.
        views: Those with intrinsics and pose.

    Returns:
        The same, with one line for all of these cameras where there are some.
    """
    figures = dict(zip(found.cameras, found.figures))
    posed = dict.fromkeys(view.camera for view in views)
    names = [name for name in posed if figures[name] is None and name not in found.left_out]
    if not names:
        return found
    words = f"the poses of {', '.join(names)} were not checked: too little of what they show is found in other pictures"
    return replace(found, unchecked=(words, *found.unchecked))
