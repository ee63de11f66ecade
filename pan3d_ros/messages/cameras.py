"""Camera messages to `CameraView`: pixels, undistortion, depth beside them. No ROS in here."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pan3d_core.config import ImageLimits
from pan3d_core.geometry.distortion import undistort
from pan3d_core.structures import CameraView, unit_range
from pan3d_core.views.image_files import DEFAULT_LIMITS
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.calibration import CalibrationError, calibration_from_info
from pan3d_ros.messages.fields import CameraInfoFields, CompressedFields, ImageFields
from pan3d_ros.messages.images import compressed_to_depth, compressed_to_rgb, depth_to_metres, image_to_rgb, is_compressed

# Medians of what a depth camera measures; millimetres taken for metres, and metres for millimetres, are far outside.
NEAREST_MEDIAN_M, FARTHEST_MEDIAN_M = 0.01, 200.0


def to_camera_view(
    image: ImageFields | CompressedFields,
    info: CameraInfoFields | None,
    depth: ImageFields | CompressedFields | None,
    cam_from_world: Tensor | None,
    *,
    camera: str,
    world_frame_id: str,
    rectified: bool = False,
    limits: ImageLimits = DEFAULT_LIMITS,
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
        limits: Of the sizes of images, which are looked at before they are decoded.

    Returns:
        The view, depth in metres, stamped as the image.

    Raises:
        ValueError: Something is wrong with the messages; `CalibrationError` where it is the CameraInfo.
    """
    rgb = _pixels(image, limits)
    height, width = rgb.shape[:2]
    pixels = torch.from_numpy(rgb).permute(2, 0, 1)  # bytes, which reach network size in a fraction of the time of floats
    depth_m = None if depth is None else _metres(depth, (height, width), limits)
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


def _pixels(image: ImageFields | CompressedFields, limits: ImageLimits) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    try:
        return compressed_to_rgb(image, limits) if is_compressed(image) else image_to_rgb(image, limits)
    except cv2.error as error:  # OpenCV's own words for sizes and contents that it does not take
        raise ValueError(f"image: expected one that can be decoded, got {error}") from error


def _metres(depth: ImageFields | CompressedFields, color_hw: tuple[int, int], limits: ImageLimits) -> Tensor:
    """(H, W) float32 z-depth that can be metres, of the size of the colours."""
    try:
        metres = compressed_to_depth(depth, limits) if is_compressed(depth) else depth_to_metres(depth, limits)
    except cv2.error as error:
        raise ValueError(f"depth: expected an image that can be decoded, got {error}") from error
    if metres.shape != color_hw:
        raise ValueError(
            f"depth: expected the size of the colour image {color_hw[1]} x {color_hw[0]}, got {metres.shape[1]} x"
            f" {metres.shape[0]}; use the driver's aligned depth"
        )
    measured = metres[metres > 0]
    middle = float(np.median(measured)) if measured.size else None
    if middle is not None and not NEAREST_MEDIAN_M <= middle <= FARTHEST_MEDIAN_M:
        raise ValueError(
            f"depth: expected a median of {NEAREST_MEDIAN_M:g} to {FARTHEST_MEDIAN_M:g} m, got {middle:.4g} m;"
            " 32FC1 is in metres, 16UC1 in millimetres"
        )
    return torch.from_numpy(metres)
