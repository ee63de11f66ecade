"""CameraInfo and calibration files to the intrinsics and the lens of one image, checked. No ROS in here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.camera_checks import STRAY, CalibrationRefused, require_lens
from pan3d_core.geometry.distortion import lens_model
from pan3d_core.settings import read_yaml
from pan3d_ros.messages.fields import CameraInfoFields, RegionFields


class CalibrationError(CalibrationRefused):
    """The CameraInfo cannot be used; reported as NO_CAMERA_INFO, unlike other bad frames."""


@dataclass(frozen=True)
class Calibration:
    """What a CameraInfo says about one image size."""

    intrinsics: Tensor  # (3, 3) pixels
    distortion_model: str  # "" = none
    coefficients: tuple[float, ...]


def calibration_from_info(info: CameraInfoFields, width: int, height: int, *, rectified: bool = False) -> Calibration:
    """Give the calibration for an image, of a camera that can exist.

    ROI and binning are applied as CameraInfo defines them: K is for the full sensor, the image is the ROI
    after binning.

    Args:
        info: Of the camera.
        width: Of the image, pixels.
        height: Of the image, pixels.
        rectified: Such images use P and no distortion.

    Returns:
        Of that image.

    Raises:
        CalibrationError: It is for another size, or its matrix or coefficients are those of no camera.
    """
    binning = max(info.binning_x, 1), max(info.binning_y, 1)
    expected = calibrated_size(info)
    if expected != (width, height):
        raise CalibrationError(
            f"CameraInfo: expected the image size {width} x {height}, got {expected[0]} x {expected[1]}"
            f" (full {info.width} x {info.height}, binning {binning[0]} x {binning[1]})"
        )
    name = "p" if rectified else "k"
    matrix = _matrix(info, name)
    if info.roi.width and info.roi.height:
        matrix[0, 2] -= info.roi.x_offset
        matrix[1, 2] -= info.roi.y_offset
    # Binning averages whole pixels, so pixel centres (integers) move by half a pixel on both sides.
    matrix[0] /= binning[0]
    matrix[1] /= binning[1]
    matrix[0, 2] += 0.5 / binning[0] - 0.5
    matrix[1, 2] += 0.5 / binning[1] - 0.5
    try:
        require_lens(f"CameraInfo.{name}", matrix, (height, width), STRAY)
    except ValueError as error:
        raise CalibrationError(str(error)) from error
    coefficients = () if rectified else tuple(float(c) for c in info.d)
    if not all(map(math.isfinite, coefficients)):
        raise CalibrationError(f"CameraInfo.d: expected finite numbers, got {list(coefficients)}")
    try:
        model, coefficients = lens_model(info.distortion_model, coefficients)
    except ValueError as error:
        raise CalibrationError(f"CameraInfo: {error}") from error
    return Calibration(torch.tensor(matrix, dtype=torch.float32), model, coefficients)


def calibrated_size(info: CameraInfoFields) -> tuple[int, int]:
    """Give width and height of the image that a CameraInfo is for, after region and binning."""
    region = (info.roi.width, info.roi.height) if info.roi.width and info.roi.height else (info.width, info.height)
    return region[0] // max(info.binning_x, 1), region[1] // max(info.binning_y, 1)


def _matrix(info: CameraInfoFields, name: str) -> np.ndarray:
    """(3, 3) double of K or P, a copy."""
    numbers = np.asarray(getattr(info, name), dtype=np.float64)
    return numbers.reshape(3, 4)[:, :3].copy() if name == "p" else numbers.reshape(3, 3).copy()


@dataclass
class Region:
    """A region of interest; without a size it is the whole image."""

    x_offset: int = 0
    y_offset: int = 0
    height: int = 0
    width: int = 0


@dataclass
class FileCalibration:
    """What a calibration file says, with the fields of a CameraInfo."""

    height: int
    width: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]  # (9,)
    p: Sequence[float]  # (12,)
    binning_x: int = 0
    binning_y: int = 0
    roi: RegionFields = field(default_factory=Region)


def info_from_file(path: str | Path) -> FileCalibration:
    """Read a calibration YAML as `camera_calibration` writes it.

    Raises:
        CalibrationError: Something is missing or of another kind.
        OSError: The file cannot be read.
    """
    try:
        content = read_yaml(path, "a camera calibration")
        return FileCalibration(
            height=int(content["image_height"]),
            width=int(content["image_width"]),
            distortion_model=str(content["distortion_model"]),
            d=_numbers(content["distortion_coefficients"]),
            k=_numbers(content["camera_matrix"], 9),
            p=_numbers(content["projection_matrix"], 12) if "projection_matrix" in content else (0.0,) * 12,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if str(path) in str(error):
            raise CalibrationError(str(error)) from error
        said = f"no {error}" if isinstance(error, KeyError) else error
        raise CalibrationError(f"{path}: expected a camera calibration file, got {said}") from error


def _numbers(matrix: Mapping[str, Sequence[float]], count: int | None = None) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in matrix["data"])
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"numbers that are not finite: {numbers}")
    if count is not None and len(numbers) != count:
        raise ValueError(f"a matrix of {len(numbers)} numbers instead of {count}")
    return numbers
