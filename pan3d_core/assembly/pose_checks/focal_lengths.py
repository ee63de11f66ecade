"""Focal lengths that are too long or too short in all cameras alike: no movement of a camera mends them, other lengths do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pan3d_core.assembly.pose_checks.pose_fit import pair_transforms, ray_errors
from pan3d_core.assembly.pose_checks.view_matches import Array, ViewMatches

# Lengths that are tried, as shares of the given ones.
TRIED = (0.75, 0.8, 0.85, 0.9, 0.95, 1.05, 1.1, 1.15, 1.2, 1.3)
# So many more matches must fit, and so many times those that do with the given lengths.
MORE, TIMES = 12, 1.1


def focal_doubts(matches: ViewMatches, cam_from_world: Array, tolerance: float) -> tuple[str, ...]:
    """Say whether the pictures fit the poses better with other focal lengths of all cameras.

    Args:
        matches: Between S views.
        cam_from_world: (S, 4, 4) of them.
        tolerance: Largest miss of a match, rad.

    Returns:
        What speaks against the given lengths; empty where nothing does.
    """
    transforms = pair_transforms(matches, cam_from_world)

    def fitting(factor: float) -> int:
        intrinsics = matches.intrinsics * np.array([[factor, factor, 1.0], [factor, factor, 1.0], [1.0, 1.0, 1.0]])
        return int((ray_errors(replace(matches, intrinsics=intrinsics).rays(), transforms) < tolerance).sum())

    given, counts = fitting(1.0), [fitting(factor) for factor in TRIED]
    best = max(counts)
    if best < max(given + MORE, TIMES * given):
        return ()
    factor = TRIED[counts.index(best)]
    words = f"the pictures fit better with focal lengths {factor:g} times as long in all cameras ({best} places, not {given})"
    return (f"{words}; is the calibration of this image size?",)
