"""Pictures that are mirrored behind the calibration's back: nothing in them is found again in the pictures of other cameras."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from pan3d_core.assembly.pose_checks.portions import Portions
from pan3d_core.assembly.pose_checks.pose_fit import pair_transforms, ray_errors
from pan3d_core.assembly.pose_checks.view_matches import Array, Features, ViewMatches, find_features, match_features
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import CameraView, PoseConsistency

# Axis of an image (C, H, W) -> row of the intrinsics whose principal point goes with it.
_SIDES = {2: 0, 1: 1}
# Rows of 4 x 4 cells with 8 directions each: what SIFT describes of a mirrored place, seen along the place's own direction.
_MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()
LOOKS_MIRRORED = "its picture looks mirrored"


def mirrored_cameras(
    views: Sequence[CameraView],
    poses: Array,
    suspects: Collection[str],
    config: ConsistencyConfig,
    features: Sequence[Features] | None = None,
) -> Portions[tuple[str, ...]]:
    """Find the cameras whose pictures fit their poses as soon as they are mirrored.

    Args:
        views: With intrinsics and pose.
        poses: (S, 4, 4) of them.
        suspects: Cameras that share nothing with the others.
        config: Of the comparison.
        features: Of the views, where they are known.

    Returns:
        Those of the suspects, in their order.
    """
    if features is None:
        features = yield from find_features(views, config)
    rows = [index for index, view in enumerate(views) if view.camera in suspects]
    known = [
        (pixels, descriptors[:, _MIRRORED] if row in rows else descriptors) for row, (pixels, descriptors) in enumerate(features)
    ]
    matches = yield from match_features(known, views, rows)
    transforms, found = pair_transforms(matches, poses), set[str]()
    for axis in _SIDES.values():
        first, second = (side.copy() for side in matches.rays())
        for rays, owner in ((first, matches.first), (second, matches.second)):
            rays[np.isin(owner, rows), axis] *= -1.0  # a mirrored pixel with the principal point mirrored, too
        fits = ray_errors((first, second), transforms) < math.radians(config.tolerance_deg)
        for name in suspects:
            own = [index for index, view in enumerate(views) if view.camera == name]
            touched = np.isin(matches.first, own) | np.isin(matches.second, own)
            found |= {name} if int((fits & touched).sum()) >= config.min_matches else set()
    return tuple(name for name in suspects if name in found)


def judge_unseen(
    found: PoseConsistency,
    views: Sequence[CameraView],
    poses: Array,
    config: ConsistencyConfig,
    features: Sequence[Features] | None = None,
) -> Portions[PoseConsistency]:
    """Look at cameras that share nothing with others, which agree with each other, with their pictures mirrored.

    Args:
        found: So far, with the figures of all views.
        views: Those with intrinsics and pose.
        poses: (S, 4, 4) of them.
        config: Of the comparison.
        features: Of the views, where they are known.

    Returns:
        The same, without those whose pictures are mirrored.
    """
    figures = dict(zip(found.cameras, found.figures))
    names = dict.fromkeys(view.camera for view in views)
    unseen = [name for name in names if figures[name] is None]
    agree = len(names) - len(unseen) - len(found.left_out)
    if not unseen or agree < 2:
        return found
    mirrored = yield from mirrored_cameras(views, poses, unseen, config, features)
    left_out, reasons = found.left_out + mirrored, found.reasons + (LOOKS_MIRRORED,) * len(mirrored)
    return replace(found, left_out=left_out, reasons=reasons)


def fits_if_mirrored(matches: ViewMatches, poses: Array, sizes: Sequence[tuple[int, int]], tolerance: float) -> int:
    """Count the matches that fit when all pictures are mirrored: left and right, or top and bottom, whichever fits more.

    Args:
        matches: Of views as they are given.
        poses: (S, 4, 4) of them.
        sizes: Height and width of their pictures.
        tolerance: Largest miss, rad.
    """
    transforms, counts = pair_transforms(matches, poses), []
    for axis, row in _SIDES.items():
        intrinsics, sign = matches.intrinsics.copy(), np.ones(3)
        intrinsics[:, row, 2] = np.array(sizes)[:, axis - 1] - 1 - intrinsics[:, row, 2]
        sign[row] = -1.0
        first, second = (side * sign for side in replace(matches, intrinsics=intrinsics).rays())
        counts.append(int((ray_errors((first, second), transforms) < tolerance).sum()))
    return max(counts)
