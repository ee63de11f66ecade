"""One colour per instance id, the same in pictures, clouds, markers and reports."""

from __future__ import annotations

import colorsys

import numpy as np

Color = tuple[int, int, int]

UNASSIGNED: Color = (176, 178, 184)  # of what belongs to no instance


def instance_color(instance_id: int) -> Color:
    """A colour that stays with the id: hues go by the golden angle, and lightness alternates so that neighbours differ."""
    hue = (0.08 + 0.38196601 * instance_id) % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, (0.52, 0.42, 0.62)[instance_id % 3], 0.85)
    return int(255 * red), int(255 * green), int(255 * blue)


def instance_palette(highest_id: int) -> np.ndarray:
    """(highest_id + 1, 3) uint8; row 0 is the colour of what belongs to nothing."""
    return np.array([UNASSIGNED, *(instance_color(k) for k in range(1, highest_id + 1))], dtype=np.uint8)
