"""Camera messages to `CameraView`: calibration checks, undistortion, pixels. No ROS in here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from pan3d_core.geometry.distortion import undistort
from pan3d_core.structures import CameraView, unit_range
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.fields import CameraInfoFields, CompressedFields, ImageFields, RegionFields
from pan3d_ros.messages.images import compressed_to_depth, compressed_to_rgb, depth_to_metres, image_to_rgb, is_compressed


class CalibrationError(ValueError):
    """The CameraInfo cannot be used; reported as NO_CAMERA_INFO, unlike other bad frames."""


@dataclass(frozen=True)
class Calibration:
    """What a CameraInfo says about one image size."""

    intrinsics: Tensor  # (3, 3) pixels
    distortion_model: str  # "" = none
    coefficients: tuple[float, ...]


def calibration_from_info(info: CameraInfoFields, width: int, height: int, *, rectified: bool = False) -> Calibration:
    """Read a CameraInfo for an image.

    ROI and binning are applied as CameraInfo defines them: K is for the full sensor, the image is the ROI
    after binning.

    Args:
        info: The message.
        width: Of the image, pixels.
        height: Of the image, pixels.
        rectified: Such images use P and no distortion.

    Returns:
        Of that image.

    Raises:
        CalibrationError: It is for another image size, or a number of it cannot be.
    """
    binning = max(info.binning_x, 1), max(info.binning_y, 1)
    region = (info.roi.width, info.roi.height) if info.roi.width and info.roi.height else (info.width, info.height)
    expected = region[0] // binning[0], region[1] // binning[1]
    if expected != (width, height):
        raise CalibrationError(
            f"CameraInfo: expected the image size {width} x {height}, got {expected[0]} x {expected[1]}"
            f" (full {info.width} x {info.height}, binning {binning[0]} x {binning[1]})"
        )
    matrix = np.asarray(info.p, dtype=np.float64).reshape(3, 4)[:, :3] if rectified else np.asarray(info.k).reshape(3, 3)
    name = "p" if rectified else "k"
    if not np.isfinite(matrix).all() or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise CalibrationError(
            f"CameraInfo.{name}: expected positive focal lengths, got fx = {matrix[0, 0]:g}, fy = {matrix[1, 1]:g};"
            " the camera is not calibrated"
        )
    matrix = matrix.copy()
    if info.roi.width and info.roi.height:
        matrix[0, 2] -= info.roi.x_offset
        matrix[1, 2] -= info.roi.y_offset
    # Binning averages whole pixels, so pixel centres (integers) move by half a pixel on both sides.
    matrix[0] /= binning[0]
    matrix[1] /= binning[1]
    matrix[0, 2] += 0.5 / binning[0] - 0.5
    matrix[1, 2] += 0.5 / binning[1] - 0.5
    coefficients = () if rectified else tuple(float(c) for c in info.d)
    if not all(map(math.isfinite, coefficients)):
        raise CalibrationError(f"CameraInfo.d: expected finite numbers, got {list(coefficients)}")
    model = info.distortion_model if any(coefficients) else ""
    return Calibration(torch.tensor(matrix, dtype=torch.float32), model, coefficients if model else ())


def to_camera_view(
    image: ImageFields | CompressedFields,
    info: CameraInfoFields | None,
    depth: ImageFields | CompressedFields | None,
    cam_from_world: Tensor | None,
    *,
    camera: str,
    world_frame_id: str,
    rectified: bool = False,
) -> CameraView:
    """Make one undistorted view of messages.

    Args:
        image: Colours.
        info: None when there is no calibration.
        depth: Registered to the colour image (same size, same optical frame); None = not measured.
        cam_from_world: (4, 4) metres, None when unknown.
        camera: Its name.
        world_frame_id: That `cam_from_world` maps from.
        rectified: Whether the images are.

    Returns:
        The view, depth in metres, stamped as the image.

    Raises:
        ValueError: Something is wrong with the messages; `CalibrationError` where it is the CameraInfo.
    """
    rgb = compressed_to_rgb(image) if is_compressed(image) else image_to_rgb(image)
    height, width = rgb.shape[:2]
    pixels = torch.from_numpy(rgb).permute(2, 0, 1)  # bytes, which reach network size in a fraction of the time of floats
    depth_m = None
    if depth is not None:
        metres = compressed_to_depth(depth) if is_compressed(depth) else depth_to_metres(depth)
        if metres.shape != (height, width):
            raise ValueError(
                f"depth: expected the size of the colour image {width} x {height}, got {metres.shape[1]} x {metres.shape[0]};"
                " use the driver's aligned depth"
            )
        depth_m = torch.from_numpy(metres)
    intrinsics = None
    if info is not None:
        calibration = calibration_from_info(info, width, height, rectified=rectified)
        intrinsics = calibration.intrinsics
        if calibration.distortion_model:
            try:
                pixels, depth_m = undistort(
                    unit_range(pixels), intrinsics, calibration.distortion_model, calibration.coefficients, depth_m
                )
            except ValueError as error:
                raise CalibrationError(f"CameraInfo of {camera}: {error}") from error
    return CameraView(
        image=pixels,
        intrinsics=intrinsics,
        cam_from_world=cam_from_world,
        depth=depth_m,
        stamp_ns=stamp_to_ns(image.header.stamp),
        frame_id=image.header.frame_id,
        world_frame_id=world_frame_id,
        camera=camera,
    )


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
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    try:
        return FileCalibration(
            height=int(content["image_height"]),
            width=int(content["image_width"]),
            distortion_model=str(content["distortion_model"]),
            d=_numbers(content["distortion_coefficients"]),
            k=_numbers(content["camera_matrix"], 9),
            p=_numbers(content["projection_matrix"], 12) if "projection_matrix" in content else (0.0,) * 12,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"{path}: expected a camera calibration file, got {error}") from error


def _numbers(matrix: Mapping[str, Sequence[float]], count: int | None = None) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in matrix["data"])
    if count is not None and len(numbers) != count:
        raise ValueError(f"a matrix of {len(numbers)} numbers instead of {count}")
    return numbers
