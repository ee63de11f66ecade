"""Depth of another unit than it should be: what a sensor measured beside where the rays of two cameras meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pan3d_core.assembly.pose_checks.support.height import meeting_places
from pan3d_core.assembly.pose_checks.view_matches import Array, ViewMatches
from pan3d_core.structures import CameraView

# Of so many places at least; a sensor's own scale is off by a few per cent, wrong units by ten times and more.
LEAST_PLACES, MOST_OFF = 15, 1.5


def scale_doubts(views: Sequence[CameraView], matches: ViewMatches, poses: Array, tolerance: float) -> dict[str, str]:
    """Compare measured depth with the places that two cameras see.

    Args:
        views: S with intrinsics and pose; those without depth are left aside.
        matches: Between them.
        poses: (S, 4, 4) of them.
        tolerance: Largest miss of a match, rad.

    Returns:
        Camera -> what is said of it, where its depth is of another size than the poses say.
    """
    if all(view.depth is None for view in views):
        return {}
    _, reach, good = meeting_places(matches, poses, tolerance)
    doubts = {}
    for index, view in enumerate(views):
        if view.depth is None:
            continue
        ratios = []
        sides = (matches.first, matches.first_pixels), (matches.second, matches.second_pixels)
        for (owner, pixels), rays, along in zip(sides, matches.rays(), reach):
            rows = good & (owner == index)
            columns, lines = pixels[rows, :2].round().astype(np.int64).T
            measured = view.depth.numpy(force=True)[lines.clip(0, view.hw[0] - 1), columns.clip(0, view.hw[1] - 1)]
            seen = np.isfinite(measured) & (measured > 0)
            ratios.append(measured[seen] / (along[rows] * rays[rows, 2])[seen])
        found = np.concatenate(ratios)
        ratio = float(np.median(found)) if len(found) >= LEAST_PLACES else 1.0
        if not 1 / MOST_OFF <= ratio <= MOST_OFF:
            doubts[view.camera] = (
                f"the depth of {view.camera} is {ratio:.2g} times what the poses say; is one of them in another unit?"
            )
    return doubts
