"""One colour per instance id and per class name, the same in pictures, clouds, markers and reports."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Color = tuple[int, int, int]
Picture = npt.NDArray[np.uint8]  # (H, W, 3) RGB

LUMA = (0.2126, 0.7152, 0.0722)  # how light red, green and blue are (ITU-R BT.709)
UNASSIGNED: Color = (176, 178, 184)  # of what belongs to no instance or class
CLASS_HUES, CLASS_LIGHTNESSES = 10, (0.42, 0.56, 0.72)
CLASS_COLORS = CLASS_HUES * len(CLASS_LIGHTNESSES)  # that can be told apart


def instance_color(instance_id: int) -> Color:
    """A colour that stays with the id: hues go by the golden angle, and lightness alternates so that neighbours differ."""
    hue = (0.08 + 0.38196601 * instance_id) % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, (0.52, 0.42, 0.62)[instance_id % 3], 0.85)
    return int(255 * red), int(255 * green), int(255 * blue)


def instance_palette(highest_id: int) -> npt.NDArray[np.uint8]:
    """(highest_id + 1, 3) uint8; row 0 is the colour of what belongs to nothing."""
    return np.array([UNASSIGNED, *(instance_color(k) for k in range(1, highest_id + 1))], dtype=np.uint8)


def class_colors(names: Sequence[str]) -> tuple[Color, ...]:
    """One colour per class name, different ones for the first `CLASS_COLORS` names.

    A name has its colour whatever the others are, unless one before it in the list has taken that; then it has the next free one.
    """
    return _class_colors(tuple(names))


@lru_cache(maxsize=8)
def _class_colors(names: tuple[str, ...]) -> tuple[Color, ...]:
    taken: set[int] = set()
    colors = []
    for name in names:
        if len(taken) == CLASS_COLORS:
            taken.clear()
        slot = zlib.crc32(name.casefold().encode()) % CLASS_COLORS
        while slot in taken:
            slot = (slot + 7) % CLASS_COLORS  # far in hue, and coprime to the number of colours
        taken.add(slot)
        colors.append(_class_slot_color(slot))
    return tuple(colors)


def _class_slot_color(slot: int) -> Color:
    shade = slot % len(CLASS_LIGHTNESSES)
    hue = (slot // len(CLASS_LIGHTNESSES) + shade / len(CLASS_LIGHTNESSES)) / CLASS_HUES
    red, green, blue = colorsys.hls_to_rgb(hue, CLASS_LIGHTNESSES[shade], 0.85)
    return int(255 * red), int(255 * green), int(255 * blue)
