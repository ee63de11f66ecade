"""The made-up table of `ros_support` seen by a camera that moves sideways above it."""

from __future__ import annotations

import numpy as np
import ros_support

STEP_M, STEP_PIXELS = 0.05, 5  # a camera 0.6 m above the table moves its picture by five pixels


def walk(rig: ros_support.Rig, place: int) -> None:
    """Put the rig's camera `place` steps along +x; the picture moves the other way."""
    rgb, depth = ros_support.scene_pixels()
    rig.rgb = _moved(rgb, place * STEP_PIXELS, 128)
    rig.depth = _moved(depth, place * STEP_PIXELS, ros_support.CAMERA_HEIGHT_M)
    rig.world_from_cam = ros_support.looking_down()
    rig.world_from_cam[0, 3] = place * STEP_M


def _moved(picture: np.ndarray, shift: int, background: float) -> np.ndarray:
    made, width = np.full_like(picture, background), picture.shape[1]
    made[:, max(0, -shift) : min(width, width - shift)] = picture[:, max(0, shift) : min(width, width + shift)]
    return made
