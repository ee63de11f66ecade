"""Matrices and places that cameras can have; others are another unit, another image size or no calibration at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

# Focal lengths of cameras that there are, as shares of the image's longer side: 157 and 1.1 degrees of view.
SHORTEST_FOCAL, LONGEST_FOCAL = 0.1, 50.0
MOST_STRETCH = 4.0  # between fx and fy; binning of one side alone doubles it
STRAY = 1e-6  # shares of the focal length to which what must be 0 may differ by rounding
FARTHEST_M = 2e4  # from the world's origin; float32 tells positions so far away apart by 2 mm
MOST_SKEW = 0.02  # shares of the focal length; calibrations that free it find less


class CameraRefused(ValueError):
    """Something of one camera cannot be used; the others are none the worse for it."""

    code: ClassVar[str] = "NO_IMAGES"  # as the node answers; name of a constant of pan3d_interfaces/msg/ErrorCode.msg


class CalibrationRefused(CameraRefused):
    """Its intrinsics or its lens."""

    code = "NO_CAMERA_INFO"


class PoseRefused(CameraRefused):
    """Its pose."""

    code = "TF_FAILURE"


@dataclass(frozen=True)
class CameraFault:
    """Why a camera, or one view of a moving one, is left out."""

    camera: str
    code: str  # as `CameraRefused.code`
    reason: str
    image: str = ""  # file name of its picture, where it is of a file

    def __str__(self) -> str:
        return f"{self.image or self.camera} is left out because {self.reason}"


def code_of(error: Exception) -> str:
    """Under which code a camera is left out of which something raised this: `CameraRefused.code` unless the error has its own."""
    return error.code if isinstance(error, CameraRefused) else CameraRefused.code


def used_of(count: int, given: int, left_out: Sequence[CameraFault]) -> str:
    """Say how many of all cameras are used, and why others could not be.

    Args:
        count: Cameras that are used.
        given: All cameras.
        left_out: Those that could not be used; fewer than the rest where some are left out for another reason.
    """
    return f"used {count} of {given} cameras: {'; '.join(map(str, left_out))}"


def require_lens(name: str, matrix: npt.ArrayLike, hw: tuple[int, int], most_skew: float = MOST_SKEW) -> None:
    """Refuse a matrix that no camera has.

    Args:
        name: Of the matrix, for the error.
        matrix: (3, 3) pixels.
        hw: Height and width of the image, pixels.
        most_skew: Largest skew, as a share of the focal length.

    Raises:
        CalibrationRefused: It is not finite, the identity, has skew or another last row, or lengths that no such image has.
    """
    k = np.asarray(matrix, dtype=np.float64)
    if not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0:
        raise CalibrationRefused(
            f"{name}: expected positive focal lengths, got fx = {k[0, 0]:g}, fy = {k[1, 1]:g}; the camera is not calibrated"
        )
    if np.array_equal(k, np.eye(3)):
        raise CalibrationRefused(f"{name}: expected a calibration, got the identity; the camera is not calibrated")
    if not np.allclose(k[2], (0.0, 0.0, 1.0), atol=STRAY):
        raise CalibrationRefused(
            f"{name}: expected the last row 0 0 1, got {' '.join(f'{v:g}' for v in k[2])}; is the matrix transposed, or scaled?"
        )
    if abs(k[0, 1]) > most_skew * k[0, 0] or abs(k[1, 0]) > STRAY * k[0, 0]:
        raise CalibrationRefused(
            f"{name}: expected pixels without skew, got {k[0, 1]:g} and {k[1, 0]:g} beside the focal lengths;"
            " is the matrix transposed?"
        )
    _require_lengths(name, k, hw)


def require_near(name: str, position: npt.ArrayLike) -> None:
    """Refuse a position that single precision cannot tell from its neighbours.

    Args:
        name: Of the pose, for the error.
        position: (3,) metres from the world's origin.

    Raises:
        PoseRefused: It is farther than `FARTHEST_M` along an axis.
    """
    reach = float(np.abs(np.asarray(position, dtype=np.float64)).max())
    if not reach <= FARTHEST_M:
        raise PoseRefused(
            f"{name}: expected a translation within {FARTHEST_M:g} m, got {reach:.4g} m; take a frame whose origin is nearby"
        )


def _require_lengths(name: str, k: npt.NDArray[np.float64], hw: tuple[int, int]) -> None:
    """`CalibrationRefused` for what no camera with an image of this size has."""
    fx, fy, cx, cy = k[0, 0], k[1, 1], k[0, 2], k[1, 2]
    (height, width), longest = hw, max(hw)
    if not SHORTEST_FOCAL * longest <= min(fx, fy) <= max(fx, fy) <= LONGEST_FOCAL * longest:
        raise CalibrationRefused(
            f"{name}: expected focal lengths of {SHORTEST_FOCAL * longest:g} to {LONGEST_FOCAL * longest:g} pixels for an image"
            f" of {width} x {height}, got fx = {fx:g}, fy = {fy:g}; is it in pixels, and for this image size?"
        )
    if max(fx, fy) > MOST_STRETCH * min(fx, fy):
        raise CalibrationRefused(f"{name}: expected fx and fy within a factor of {MOST_STRETCH:g}, got {fx:g} and {fy:g}")
    if not (-0.5 <= cx <= width - 0.5 and -0.5 <= cy <= height - 0.5):
        raise CalibrationRefused(
            f"{name}: expected a principal point inside the {width} x {height} image, got ({cx:.1f}, {cy:.1f});"
            " is it for another image size?"
        )
