"""sensor_msgs Image and CompressedImage to numpy arrays, checked before they are touched. No ROS in here.

All errors are `ValueError` with the field, what was expected and what came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from pan3d_core.config import ImageLimits
from pan3d_core.views.image_files import (
    DEFAULT_LIMITS,
    opened_picture,
    read_pixels,
    require_image_size,
    require_one,
    require_white,
)
from pan3d_ros.messages.buffers import bytes_view
from pan3d_ros.messages.fields import CompressedFields, ImageFields
from pan3d_ros.messages.rvl import decode_rvl, rvl_size
from pan3d_ros.platform.stand_ins import CV_TYPES, imgmsg_to_cv2

if TYPE_CHECKING:
    from typing_extensions import TypeIs

# encoding -> (name of the OpenCV conversion, rows of bytes per image row, bytes per pixel in a row)
_YUV: dict[str, tuple[str, float, int]] = {
    "yuv422": ("COLOR_YUV2RGB_UYVY", 1, 2), "uyvy": ("COLOR_YUV2RGB_UYVY", 1, 2),
    "yuv422_yuy2": ("COLOR_YUV2RGB_YUYV", 1, 2), "yuyv": ("COLOR_YUV2RGB_YUYV", 1, 2),
    "nv12": ("COLOR_YUV2RGB_NV12", 1.5, 1), "nv21": ("COLOR_YUV2RGB_NV21", 1.5, 1),
}  # fmt: skip
_TIFF = (b"II*\0", b"MM\0*")  # what these files begin with
FULL = 65535
_DEPTH = ("32FC1", "16UC1", "mono16")
COLOR_ENCODINGS = tuple(n for n in CV_TYPES if n not in ("16UC1", "32FC1", "32SC1")) + tuple(_YUV)


def _rows(message: ImageFields, rows: int, row_bytes: int) -> np.ndarray:
    """(rows, row_bytes) uint8 with the padding of `step` removed."""
    if message.width == 0 or message.height == 0:
        raise ValueError(f"Image: expected a size of at least 1 x 1, got {message.width} x {message.height}")
    if message.step < row_bytes:
        raise ValueError(
            f"Image.step: expected at least {row_bytes} for {message.width} pixels of {message.encoding}, got {message.step}"
        )
    data = bytes_view(message)
    # The padding after the last row may be left out.
    needed = message.step * (rows - 1) + row_bytes
    if data.size < needed:
        raise ValueError(f"Image.data: expected at least {needed} bytes for {rows} rows of {message.step}, got {data.size}")
    return np.lib.stride_tricks.as_strided(data, (rows, row_bytes), (message.step, 1), writeable=False)


def image_array(message: ImageFields) -> np.ndarray:
    """The pixels as they are: (H, W) or (H, W, C), native byte order, no colour conversion."""
    if message.encoding not in CV_TYPES:
        raise ValueError(f"Image.encoding: expected one of {sorted(CV_TYPES)}, got '{message.encoding}'")
    kind, channels = CV_TYPES[message.encoding]
    _rows(message, message.height, message.width * channels * np.dtype(kind).itemsize)
    return imgmsg_to_cv2(message)


def image_to_rgb(message: ImageFields, limits: ImageLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Give the colours of a colour, grey, Bayer or YUV image.

    Args:
        message: The image.
        limits: Of its size.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    require_image_size("Image", message.height, message.width, limits)
    encoding = message.encoding
    if encoding in _YUV:
        return _yuv_to_rgb(message)
    if encoding not in COLOR_ENCODINGS:
        hint = "; name the order of its channels" if encoding in ("8UC3", "8UC4", "16UC3", "16UC4") else ""
        raise ValueError(f"Image.encoding: expected one of {sorted(COLOR_ENCODINGS)}, got '{encoding}'{hint}")
    pixels = image_array(message)
    if encoding.startswith("bayer_"):
        pixels = _demosaic(pixels, encoding)
    if pixels.dtype == np.uint16:
        pixels = _scaled(pixels, "Image.data")
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    pixels = pixels[:, :, :3]
    # A copy, because the bytes of a message may not be written to.
    return (pixels[:, :, ::-1] if encoding.startswith("bgr") else pixels).copy()


def _scaled(pixels: np.ndarray, name: str) -> np.ndarray:
    """16-bit values to the nearest of 256 steps, as cv_bridge does: 65535 becomes 255. `ValueError` where none reaches white."""
    scaled = np.asarray(cv2.convertScaleAbs(pixels, alpha=255 / 65535), np.uint8)
    try:
        require_white(scaled)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return scaled


def _demosaic(mosaic: np.ndarray, encoding: str) -> np.ndarray:
    order = encoding[len("bayer_") :].rstrip("0123456789").upper()
    return cv2.cvtColor(mosaic, getattr(cv2, f"COLOR_Bayer{order}2RGB"))


def _yuv_to_rgb(message: ImageFields) -> np.ndarray:
    conversion, row_factor, bytes_per_pixel = _YUV[message.encoding]
    if message.width % 2 or (row_factor != 1 and message.height % 2):
        raise ValueError(f"Image: expected even sides for {message.encoding}, got {message.width} x {message.height}")
    rows = _rows(message, int(message.height * row_factor), message.width * bytes_per_pixel)
    pixels = np.ascontiguousarray(rows)
    if bytes_per_pixel == 2:
        pixels = pixels.reshape(message.height, message.width, 2)
    return cv2.cvtColor(pixels, getattr(cv2, conversion))


def depth_to_metres(message: ImageFields, limits: ImageLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Give the depth of an image of 32FC1 metres or 16UC1 millimetres (REP 118).

    Args:
        message: The image.
        limits: Of its size.

    Returns:
        (H, W) float32 z-depth in metres, 0 = no measurement.
    """
    require_image_size("depth Image", message.height, message.width, limits)
    if message.encoding not in _DEPTH:
        raise ValueError(f"depth Image.encoding: expected one of {list(_DEPTH)}, got '{message.encoding}'")
    return _clean_depth(image_array(message))


def _clean_depth(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint16:  # some drivers fill holes with the largest number instead of 0
        return np.where(values == FULL, 0, values).astype(np.float32) * np.float32(0.001)
    return np.where(np.isfinite(values) & (values > 0), values, 0).astype(np.float32)


def is_compressed(message: ImageFields | CompressedFields) -> TypeIs[CompressedFields]:
    """Whether it is a CompressedImage: that has a format, where an Image has an encoding."""
    return hasattr(message, "format")


def _require_decoded_size(data: np.ndarray, expected: str, limits: ImageLimits) -> None:
    """Read the header alone: decoded, a message of some kilobytes can take gigabytes. And only one picture is one."""
    with opened_picture(data.tobytes(), "CompressedImage.data", expected, limits) as picture:
        require_one(picture)


def compressed_to_rgb(message: CompressedFields, limits: ImageLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Give the colours of a JPEG, PNG or TIFF as it is stored: an EXIF orientation turns nothing.

    Args:
        message: The picture, packed.
        limits: Of its size.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: It is damaged, too large, several pictures, depth, or of 16 bits that do not reach white.
    """
    data = bytes_view(message)
    if "compresseddepth" in message.format.lower() or message.format.split(";")[0].strip() in _DEPTH[:2]:
        raise ValueError(f"CompressedImage.format: expected one of colours, got '{message.format}', which is depth")
    if bytes(data[:4]) in _TIFF:  # OpenCV turns these whatever it is asked for
        return read_pixels(data.tobytes(), "CompressedImage.data", upright=False, limits=limits)
    _require_decoded_size(data, f"a JPEG or PNG of format '{message.format}'", limits)
    decoded = decoded_as_stored(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"CompressedImage.data: expected a JPEG or PNG, got {data.size} bytes of format '{message.format}'")
    if decoded.dtype == np.uint16:
        decoded = _scaled(decoded, "CompressedImage.data")
    return np.ascontiguousarray(decoded[:, :, ::-1])


def decoded_as_stored(data: np.ndarray, flags: int = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH) -> np.ndarray | None:
    """Decode a picture without turning it as its EXIF orientation says: a camera's calibration is of its pixels as stored.

    Args:
        data: (N,) uint8, the file.
        flags: Of OpenCV: how many channels and bits.

    Returns:
        (H, W) or (H, W, C) in OpenCV's order; None when it is no picture.
    """
    try:
        return cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    except cv2.error:  # a header with a size that OpenCV refuses
        return None


def compressed_to_depth(message: CompressedFields, limits: ImageLimits = DEFAULT_LIMITS) -> np.ndarray:
    """(H, W) float32 metres of a compressedDepth message: a PNG or RVL behind a 12-byte header.

    The transport stores 16UC1 as it is, and 32FC1 as 16-bit inverse depth d = a / (q - b) with the two
    float32 parameters a, b in the header. `limits`: of its size.
    """
    data = bytes_view(message)
    encoding = message.format.split(";")[0].strip()
    if encoding not in _DEPTH:
        raise ValueError(
            f"CompressedImage.format: expected a depth format such as '16UC1; compressedDepth', got '{message.format}'"
        )
    header = 12 if "compressedDepth" in message.format else 0
    stored = _stored_depth(message.format, data[header:], limits)
    if encoding != "32FC1":
        return _clean_depth(stored)
    if not header:
        raise ValueError(
            "CompressedImage.format: expected '32FC1; compressedDepth', whose header says what the values mean, "
            f"got '{message.format}'"
        )
    numerator, offset = np.ascontiguousarray(data[4:12]).view("<f4")
    if not (np.isfinite(numerator) and np.isfinite(offset) and numerator > 0):
        raise ValueError(
            "CompressedImage.data: expected the two parameters of inverse depth in bytes 4 to 12, the first above 0, "
            f"got {numerator:g} and {offset:g}"
        )
    quantized = stored.astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        metres = numerator / (quantized - offset)
    return _clean_depth(np.where(stored > 0, metres, 0))


def _stored_depth(text: str, packed: np.ndarray, limits: ImageLimits) -> np.ndarray:
    """(H, W) uint16 as the transport with this format packed it."""
    if text.lower().endswith("rvl"):
        width, height = rvl_size(packed)
        require_image_size("CompressedImage.data", height, width, limits)
        return decode_rvl(packed)
    _require_decoded_size(packed, f"a 16-bit PNG or RVL for format '{text}'", limits)
    stored = decoded_as_stored(packed)
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 2:
        raise ValueError(f"CompressedImage.data: expected a 16-bit PNG or RVL for format '{text}', got {packed.size} bytes")
    return stored
