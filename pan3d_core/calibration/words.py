"""What a check of calibrations says to a person."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from pan3d_core.assembly.pose_checks.view_matches import Array
from pan3d_core.calibration.check import CalibrationCheck, CameraCheck


def lines_of(check: CalibrationCheck) -> list[str]:
    """Say what was found, a line for each camera, and below how to mend those that are off."""
    lines = [f"{check.views} views"]
    lines += [
        f"{item.camera}: {'trusted' if item.camera == check.trusted and item.known else words_of(item)}" for item in check.cameras
    ]
    if 2 * len(check.off) >= len(check.cameras) > 1 and not check.trusted:
        lines.append(
            "as many are off as are right: which of them are, pictures cannot tell; pan3d calibrate check --trust names one "
            "that surely is"
        )
    if check.off:
        lines.append("to mend: multiply the pose of the optical frame in its parent from the right by")
        lines += [
            f"  {item.camera}: xyz {_rounded(xyz)} xyzw {_rounded(xyzw)}" for item in check.off for xyz, xyzw in [mending(item)]
        ]
    return lines


def words_of(item: CameraCheck) -> str:
    """Say what was found of one camera."""
    sure = f"+-{1000 * item.sigma_m:.0f} mm, +-{item.sigma_deg:.1f} degrees"
    if not item.known:
        return f"cannot be told: {item.matches} places shared with other views, too few or too close"
    if not item.is_off:
        return f"right ({sure}; {item.matches} places)"
    fits = f"{item.fits_given:.2f} of what it shares fits, then {item.fits_corrected:.2f}"
    return f"OFF by {1000 * item.moved_m:.0f} mm and {item.turned_deg:.1f} degrees ({sure}); {fits}"


def mending(item: CameraCheck) -> tuple[list[float], list[float]]:
    """Give `given_from_cam` of a camera: metres and quaternion xyzw, by which `parent_from_optical` is to be multiplied."""
    return pose_numbers(np.linalg.inv(item.cam_from_given).astype(np.float64))


def pose_numbers(transform: Array) -> tuple[list[float], list[float]]:
    """Give a (4, 4) transform as metres and quaternion xyzw, of which w is not negative."""
    rotation = Rotation.from_matrix(transform[:3, :3]).as_quat()
    return [float(value) for value in transform[:3, 3]], [float(value) for value in rotation * math.copysign(1.0, rotation[3])]


def _rounded(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.5f}" for value in values) + "]"
