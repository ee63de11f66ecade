"""Several cameras with one pose, whose pictures show that it is that of one of them at most."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pan3d_core.assembly.pose_checks.pose_fit import motion_size
from pan3d_core.assembly.pose_checks.view_matches import Array, grey_picture
from pan3d_core.structures import CameraView

# Cameras nearer to each other than this, looking the same way, are one camera or one mistake.
TWIN_M, TWIN_DEG = 0.005, 0.5
# Pictures of one place, this small, are alike or not; flat ones say nothing.
TWIN_SIDE, ALIKE, FLAT = 48, 0.7, 6.0


def twin_cameras(views: Sequence[CameraView], poses: Array) -> tuple[str, ...]:
    """Find different cameras in one place that see different things.

    Args:
        views: S with intrinsics and pose.
        poses: (S, 4, 4) of them.

    Returns:
        Their names.
    """
    found: dict[str, None] = {}
    for a in range(len(views)):
        for b in range(a + 1, len(views)):
            degrees, metres = motion_size(poses[b] @ np.linalg.inv(poses[a]))
            if views[a].camera == views[b].camera or metres > TWIN_M or degrees > TWIN_DEG:
                continue
            if _differ(views[a], views[b]):
                found |= {views[a].camera: None, views[b].camera: None}
    return tuple(found)


def _differ(first: CameraView, second: CameraView) -> bool:
    """Whether two pictures from one place show different things."""
    small, other = (grey_picture(view, TWIN_SIDE) for view in (first, second))
    scales = [
        np.diag([grey.shape[1] / view.hw[1], grey.shape[0] / view.hw[0], 1.0]) for grey, view in ((small, first), (other, second))
    ]
    lenses = [scale @ view.calibration()[0].double().numpy(force=True) for scale, view in zip(scales, (first, second))]
    other_from_first = lenses[1] @ np.linalg.inv(lenses[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(other, other_from_first, small.shape[::-1], flags=flags)
    seen = (
        cv2.warpPerspective(
            np.ones_like(other), other_from_first, small.shape[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        )
        > 0
    )
    if seen.mean() < 0.3:
        return False
    a, b = small[seen].astype(np.float64), warped[seen].astype(np.float64)
    if min(a.std(), b.std()) < FLAT:
        return False
    return float(((a - a.mean()) * (b - b.mean())).mean() / (a.std() * b.std())) < ALIKE
