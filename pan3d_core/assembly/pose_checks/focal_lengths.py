"""Focal lengths that are too long or too short in all cameras alike: no movement of a camera mends them, other lengths do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pan3d_core.assembly.pose_checks.pose_fit import pair_transforms, ray_errors
from pan3d_core.assembly.pose_checks.view_matches import Array, ViewMatches

# Lengths that are tried, as shares of the given ones.
TRIED = (0.75, 0.8, 0.85, 0.9, 0.95, 1.05, 1.1, 1.15, 1.2, 1.3)
# What is in the middle of pictures hardly moves with the length, so misses are weighed, more strictly than for poses: a quarter
# is left at this share of the tolerance. So many more matches must fit by these weights, and so many times those that do with the
# given lengths.
STRICT, MORE, TIMES = 0.4, 6.0, 1.2


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

    def misses(factor: float) -> Array:
        intrinsics = matches.intrinsics * np.array([[factor, factor, 1.0], [factor, factor, 1.0], [1.0, 1.0, 1.0]])
        return ray_errors(replace(matches, intrinsics=intrinsics).rays(), transforms) / (STRICT * tolerance)

    given = misses(1.0)
    tried = [misses(factor) for factor in TRIED]
    weights = [_weight(miss) for miss in tried]
    best = int(np.argmax(weights))
    if weights[best] < max(_weight(given) + MORE, TIMES * _weight(given)):
        return ()
    words = f"the pictures fit better with focal lengths {TRIED[best]:g} times as long in all cameras"
    counts = f"{int((tried[best] < 1).sum())} places lie right, not {int((given < 1).sum())}"
    return (f"{words} ({counts}); is the calibration of this image size?",)


def _weight(misses: Array) -> float:
    """How many matches fit: each counts less the more it misses (Geman and McClure)."""
    return float(np.square(1.0 / (1.0 + np.square(misses))).sum())
