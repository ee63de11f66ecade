"""JPEG as cameras' drivers send it."""

from __future__ import annotations

import cv2
import numpy as np

JPEG_FORMAT = "rgb8; jpeg compressed bgr8"  # the text that image_transport gives to a compressed rgb8 image
JPEG_QUALITY = 95


def encode_jpeg(rgb: np.ndarray) -> np.ndarray:
    """(N,) uint8 file content of (H, W, 3) uint8 RGB."""
    return cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].reshape(-1)
