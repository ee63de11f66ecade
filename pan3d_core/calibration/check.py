"""By how much each camera's calibration is off, from what all views share.

A camera that is fixed has one error of its pose; one on the hand has one error of its hand-eye calibration. Both are a movement
in the camera's own frame that is the same in all its views: `cam_from_given`, to be multiplied from the left on `cam_from_world`.
Pictures say where cameras are relative to each other and to a level support. A movement of all cameras together along the support
does not show in them, so the answer is one that moves few cameras.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pan3d_core.assembly.pose_checks.pose_fit import WIDTHS, fit_views, motion_size
from pan3d_core.assembly.pose_checks.view_matches import Array
from pan3d_core.calibration.adjust import LATE_WIDTHS, Estimate, Flags, Shared, adjusted, linearised, moved_by, what_views_share
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import CameraView

# A camera is moved when so much more agrees then, and so much more of it (clean rigs of cells 3000 to 3008: 7 and 0.005).
LEAST_GAIN, LEAST_GAIN_SHARE = 12.0, 0.02
# and so many more rays pass each other: faces of objects at one height, taken for the support, would agree alone.
LEAST_FITS, LEAST_FITS_SHARE = 6, 0.03
# A movement that is smaller is none.
LEAST_DEG, LEAST_M = 0.2, 0.003
# Pictures that leave a camera's place as uncertain as this do not tell it.
UNKNOWN_DEG, UNKNOWN_M = 1.0, 0.02
# Misses of neighbouring places are not independent: what they leave is so many times as large (cells 3000 to 3011).
CORRELATED = 1.6


@dataclass(frozen=True)
class CameraCheck:
    """What the pictures say of one camera."""

    camera: str
    cam_from_given: Array  # (4, 4) from the camera's frame as it was given to where it is; the unit matrix where it is right
    sigma_deg: float  # one standard deviation, while the others are where they are said to be
    sigma_m: float
    matches: int  # that touch it and could fit
    fits_given: float  # share of them that fits the poses as they were given
    fits_corrected: float  # the same after all cameras were moved
    known: bool  # False: the pictures share too little to tell

    @property
    def turned_deg(self) -> float:
        """By how much it is to be turned."""
        return motion_size(self.cam_from_given)[0]

    @property
    def moved_m(self) -> float:
        """By how much it is to be moved."""
        return motion_size(self.cam_from_given)[1]

    @property
    def is_off(self) -> bool:
        """Whether it is elsewhere than was said."""
        return self.known and _counts(self.cam_from_given)


@dataclass(frozen=True)
class CalibrationCheck:
    """What the pictures say of all cameras."""

    cameras: tuple[CameraCheck, ...]
    views: int
    trusted: str  # name of the camera that was held; "" = none

    def of(self, camera: str) -> CameraCheck:
        """The camera of this name."""
        return next(item for item in self.cameras if item.camera == camera)

    @property
    def off(self) -> tuple[CameraCheck, ...]:
        """Those that are elsewhere than was said."""
        return tuple(item for item in self.cameras if item.is_off)

    @property
    def is_right(self) -> bool:
        """Whether the pictures tell of a camera at least, and none is elsewhere than was said."""
        return not self.off and any(item.known for item in self.cameras)


def check_calibration(
    sets: Sequence[Sequence[CameraView]], config: ConsistencyConfig | None = None, trusted: str = ""
) -> CalibrationCheck:
    """Estimate the error of each camera's calibration.

    Args:
        sets: Views with intrinsics and pose, each set of one still scene; views of one name are one camera.
        config: Size of pictures, number of places and what counts as fitting; the defaults where none is given.
        trusted: A camera that is right; "" = whichever are.

    Returns:
        A line per camera, in the order in which they come.

    Raises:
        ValueError: There are fewer than two posed views in every set, or nobody has the trusted name.
    """
    config = config or ConsistencyConfig()
    posed = [[view for view in views if view.intrinsics is not None and view.cam_from_world is not None] for views in sets]
    posed = [views for views in posed if len(views) > 1]
    if not posed:
        raise ValueError("views: expected at least two of one scene with intrinsics and cam_from_world, got none such")
    names = list(dict.fromkeys(view.camera for views in posed for view in views))
    if trusted and trusted not in names:
        raise ValueError(f"trusted: expected one of the cameras {', '.join(names)}, got {trusted!r}")
    shared = what_views_share(posed, names, config)
    given = moved_by(shared, np.tile(np.eye(4), (len(names), 1, 1)))
    found = _moved(shared, given)
    if trusted:
        found = _held(shared, found, names.index(trusted))
    cameras = tuple(_judged(shared, (given, found), index, name, config) for index, name in enumerate(names))
    return CalibrationCheck(cameras, len(shared.poses), trusted)


def corrected(views: Sequence[CameraView], check: CalibrationCheck) -> list[CameraView]:
    """Give views the poses that the pictures tell.

    Args:
        views: Any of the cameras that were checked.
        check: What was found.

    Returns:
        The views; those of cameras that are not off, or have no pose, are the same.
    """
    moves = {item.camera: torch.from_numpy(item.cam_from_given) for item in check.off}
    return [
        replace(view, cam_from_world=(moves[view.camera] @ view.cam_from_world.double()).float())
        if view.camera in moves and view.cam_from_world is not None
        else view
        for view in views
    ]


def _moved(shared: Shared, given: Estimate) -> Estimate:
    """Move the camera with which most comes to agree, then the next, as long as it is worth it; at last all of these together."""
    found, free, left = given, list[int](), list(range(len(given.motions)))
    while left:
        tried = {index: _moved_alone(shared, found, index) for index in left}
        agreement = {index: estimate.agreement(shared) for index, estimate in tried.items()}
        best, now = max(agreement, key=lambda index: agreement[index]), found.agreement(shared)
        fits, fitted = int(found.fits(shared).sum()), int(tried[best].fits(shared).sum())
        agrees = agreement[best] - now >= max(LEAST_GAIN, LEAST_GAIN_SHARE * now)
        if not agrees or fitted - fits < max(LEAST_FITS, LEAST_FITS_SHARE * fits) or not _counts(tried[best].motions[best]):
            break
        found = tried[best]
        free.append(best)
        left.remove(best)
    return adjusted(shared, found, free, LATE_WIDTHS) if free else found


def _held(shared: Shared, found: Estimate, trusted: int) -> Estimate:
    """The same cameras relative to each other, with one where it was said to be: the others follow it."""
    if not _counts(found.motions[trusted]):
        motions = found.motions.copy()
        motions[trusted] = np.eye(4)
        return replace(found, motions=motions)
    motions, poses = np.tile(np.eye(4), (len(found.motions), 1, 1)), found.poses(shared)
    for view in np.flatnonzero(shared.camera == trusted)[::-1]:
        world_from_world = np.linalg.inv(poses[view]) @ shared.poses[view]
        for other in np.flatnonzero(shared.of_set == shared.of_set[view]):
            motions[shared.camera[other]] = poses[other] @ world_from_world @ np.linalg.inv(shared.poses[other])
    motions[trusted] = np.eye(4)
    return moved_by(shared, motions)


def _moved_alone(shared: Shared, at: Estimate, index: int) -> Estimate:
    """Where most agrees, from where the camera is or, after a large movement, from where its rays alone lead."""
    rough = at.motions.copy()
    rough[index] = fit_views(shared.matches, shared.rays, at.poses(shared), np.flatnonzero(shared.camera == index)) @ rough[index]
    tried = [
        adjusted(shared, at, [index], WIDTHS),
        adjusted(shared, at, [index], LATE_WIDTHS),
        adjusted(shared, replace(at, motions=rough), [index], LATE_WIDTHS),
    ]
    return max(tried, key=lambda estimate: estimate.agreement(shared))


def _judged(shared: Shared, both: tuple[Estimate, Estimate], index: int, name: str, config: ConsistencyConfig) -> CameraCheck:
    mine = shared.touching(index)
    given, after = (estimate.fits(shared)[mine] for estimate in both)
    possible = max(int(given.sum()), int(after.sum()))
    sigma_deg, sigma_m = _sigmas(shared, both[1], index, mine)
    known = possible >= config.min_matches and sigma_deg < UNKNOWN_DEG and sigma_m < UNKNOWN_M
    motion = both[1].motions[index] if known else np.eye(4)
    share = max(possible, 1)
    return CameraCheck(name, motion, sigma_deg, sigma_m, possible, given.sum() / share, after.sum() / share, known)


def _sigmas(shared: Shared, at: Estimate, index: int, mine: Flags) -> tuple[float, float]:
    """Degrees and metres by which a camera may be elsewhere, by the misses of what fits."""
    base, jacobian = linearised(shared, at, [index])
    fits = np.tile(mine & at.fits(shared), 3) & (np.abs(base) < shared.tolerance) & (np.abs(jacobian[:, :6]).max(1) > 0)
    if fits.sum() < 12:
        return math.inf, math.inf
    values, vectors = np.linalg.eigh(jacobian[fits, :6].T @ jacobian[fits, :6])
    if values[0] < 1e-12 * values[-1]:
        return math.inf, math.inf
    spread = float(np.square(base[fits]).sum()) / (int(fits.sum()) - 6)
    covariance = vectors @ np.diag(spread / values) @ vectors.T
    turn, shift = (CORRELATED * math.sqrt(np.trace(part)) for part in (covariance[:3, :3], covariance[3:, 3:]))
    return math.degrees(turn), shift


def _counts(motion: Array) -> bool:
    degrees, metres = motion_size(motion)
    return degrees > LEAST_DEG or metres > LEAST_M
