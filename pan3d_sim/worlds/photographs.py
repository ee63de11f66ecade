"""Photographed surfaces from a folder: pictures beside `photographs.json`, which says how wide each is in the world.

The list holds one entry a picture: `file` (below the folder), `size_m` (width in the world), `license`, `author` and `source`.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pan3d_sim.worlds.procedural import Surface

LIST_FILE = "photographs.json"
PIXELS = 256  # longer side in which surfaces are kept, at most
GRAY_LIMIT = 6.0  # mean difference of the channels (0..255) up to which a picture counts as grey and takes any tint


@dataclass(frozen=True)
class Photographs:
    """The surfaces of one folder, in the order of its list, and a digest of their pixels."""

    surfaces: tuple[Surface, ...]
    digest: str


def read_photographs(folder: Path) -> Photographs:
    """Read a folder of photographed surfaces.

    Args:
        folder: Holds `photographs.json` and the pictures that it names.

    Returns:
        Its surfaces.

    Raises:
        ValueError: The list or a picture is missing, or not what it must be; the text names it.
    """
    path = folder / LIST_FILE
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: expected a list of photographs, got {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: expected a list of at least one photograph, got {type(entries).__name__}")
    surfaces = tuple(_read_surface(folder, index, entry) for index, entry in enumerate(entries))
    digest = hashlib.sha256()
    for surface in surfaces:
        digest.update(surface.pixels.tobytes() + repr(surface.size_m).encode())
    return Photographs(surfaces, digest.hexdigest()[:16])


def shrink(pixels: np.ndarray) -> np.ndarray:
    """Bring a picture (H, W, 3) to at most `PIXELS` on its longer side, and to at most 4 times as long as wide."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest <= PIXELS and 4 * min(height, width) >= longest:
        return pixels
    scale = min(1.0, PIXELS / longest)
    size = [max(round(side * scale), PIXELS // 4) if longest > PIXELS else max(side, longest // 4) for side in (width, height)]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _read_surface(folder: Path, index: int, entry: object) -> Surface:
    where = f"{folder / LIST_FILE}: entry {index}"
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise ValueError(f"{where}: expected a file and a size_m, got {entry!r}")
    size_m = entry.get("size_m")
    if isinstance(size_m, bool) or not isinstance(size_m, int | float) or not (math.isfinite(size_m) and 0.01 <= size_m <= 20):
        raise ValueError(f"{where}: size_m: expected 0.01 to 20 metres, got {size_m!r}")
    path = folder / entry["file"]
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{where}: file: expected a path below {folder}, got {entry['file']!r}")
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if pixels is None:
        raise ValueError(f"{where}: expected a picture, got {path}, which cannot be read")
    pixels = shrink(pixels[..., ::-1])
    spread = float((pixels.max(2).astype(float) - pixels.min(2)).mean())
    return Surface(pixels, float(size_m), spread <= GRAY_LIMIT)
