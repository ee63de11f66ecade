"""Photographed surfaces and panoramas from a folder: pictures beside `photographs.json`, which lists them.

The list holds one entry a picture: `file` (below the folder), `license`, `author` and `source`. A surface has `size_m`, its
width in the world; a panorama has `light_direction` (to its strongest light, x forward, y left, z up), `light_color` and
`ambient_color`.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pan3d_core.runtime.files import inside, read_json
from pan3d_sim.worlds.procedural import Surface
from pan3d_sim.worlds.sky import Environment

LIST_FILE = "photographs.json"
PIXELS = 256  # longer side in which surfaces are kept, at most
GRAY_LIMIT = 6.0  # mean difference of the channels (0..255) up to which a picture counts as grey and takes any tint


@dataclass(frozen=True)
class Photographs:
    """The pictures of one folder, in the order of its list, and a digest of their pixels."""

    surfaces: tuple[Surface, ...]
    digest: str
    environments: tuple[Environment, ...] = ()


def read_photographs(folder: Path) -> Photographs:
    """Read a folder of photographed surfaces.

    Args:
        folder: Holds `photographs.json` and the pictures that it names.

    Returns:
        Its surfaces.

    Raises:
        FileNotFoundError: There is no list.
        ValueError: The list or a picture is missing, or not what it must be; the text names it.
    """
    path = folder / LIST_FILE
    entries = read_json(path, "photographs")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: expected a list of at least one photograph, got {type(entries).__name__}")
    surfaces: list[Surface] = []
    environments: list[Environment] = []
    digest = hashlib.sha256()
    for index, entry in enumerate(entries):
        where = f"{path}: entry {index}"
        pixels = _read_picture(folder, where, entry)
        digest.update(pixels.tobytes() + json.dumps(entry, sort_keys=True).encode())
        if "light_direction" in entry:
            environments.append(_environment(where, entry, pixels))
        else:
            surfaces.append(_surface(where, entry, pixels))
    if not surfaces:
        raise ValueError(f"{path}: expected at least one surface, got panoramas only")
    return Photographs(tuple(surfaces), digest.hexdigest()[:16], tuple(environments))


def shrink(pixels: np.ndarray) -> np.ndarray:
    """Bring a picture (H, W, 3) to at most `PIXELS` on its longer side, and to at most 4 times as long as wide."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest <= PIXELS and 4 * min(height, width) >= longest:
        return pixels
    scale = min(1.0, PIXELS / longest)
    size = [max(round(side * scale), PIXELS // 4) if longest > PIXELS else max(side, longest // 4) for side in (width, height)]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _read_picture(folder: Path, where: str, entry: object) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise ValueError(f"{where}: expected a file and a size_m, got {entry!r}")
    path = inside(folder, entry["file"], f"{where}: file")
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if pixels is None:
        raise ValueError(f"{where}: expected a picture, got {path}, which cannot be read")
    return np.ascontiguousarray(pixels[..., ::-1])


def _surface(where: str, entry: dict, pixels: np.ndarray) -> Surface:
    size_m = entry.get("size_m")
    if isinstance(size_m, bool) or not isinstance(size_m, int | float) or not 0.01 <= size_m <= 20:
        raise ValueError(f"{where}: size_m: expected 0.01 to 20 metres, got {size_m!r}")
    pixels = shrink(pixels)
    spread = float((pixels.max(2).astype(float) - pixels.min(2)).mean())
    return Surface(pixels, float(size_m), spread <= GRAY_LIMIT)


def _environment(where: str, entry: dict, pixels: np.ndarray) -> Environment:
    vectors = []
    for name in ("light_direction", "light_color", "ambient_color"):
        value: Any = entry.get(name)
        numbers = isinstance(value, list) and len(value) == 3 and all(isinstance(x, int | float) for x in value)
        if not numbers or not 0.1 <= math.hypot(*value) <= 10 or (name != "light_direction" and min(value) < 0):
            raise ValueError(f"{where}: {name}: expected three numbers of a direction or colour, got {value!r}")
        vectors.append(np.array(value, float))
    if pixels.shape[1] != 2 * pixels.shape[0]:
        raise ValueError(f"{where}: expected a panorama twice as wide as high, got {pixels.shape[1]}x{pixels.shape[0]}")
    return Environment(pixels, vectors[0] / np.linalg.norm(vectors[0]), vectors[1], vectors[2])
