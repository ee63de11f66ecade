"""Files as data sets publish them: found or clearly missed, decoded, and resampled to one pinhole camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.runtime import files as runtime_files
from pan3d_core.views.image_files import image_tensor, opened_picture, read_pixels

PARENTS_SEARCHED = 4  # data set wide files lie this many folders above a scene at most


@dataclass(frozen=True)
class ViewSelection:
    """Which images of a recording become the views of a scene."""

    count: int = 8  # spread evenly over the recording; 0 = all that the stride leaves
    stride: int = 1  # every stride-th image of the recording
    # (k, n): `count` neighbours of what the stride leaves, of n such stretches from the recording's begin to its end the k-th.
    stretch: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.stretch is not None and not (0 <= self.stretch[0] < self.stretch[1] and self.count):
            raise ValueError(f"views: expected stretch k of n, 0 <= k < n, of at least 1 image, got {self.stretch}")
        if self.count < 0 or self.stride < 1:
            raise ValueError(f"views: expected count >= 0 and stride >= 1, got {self.count} and {self.stride}")

    def pick(self, items: Sequence) -> list:
        """The chosen ones, first and last included when several are. `ValueError` for a stretch that is longer than all."""
        left = list(items)[:: self.stride]
        if self.stretch is not None:
            if len(left) < self.count:
                raise ValueError(
                    f"views: expected at least {self.count} images with poses, {self.stride} images from one to the next, "
                    f"got {len(left)}"
                )
            place, of = self.stretch
            start = round((len(left) - self.count) * (place / (of - 1) if of > 1 else 0.5))
            return left[start : start + self.count]
        if self.count == 0 or self.count >= len(left):
            return left
        places = np.linspace(0, len(left) - 1, self.count).round().astype(int)
        return [left[place] for place in places]


DEFAULT_VIEWS = ViewSelection()


def required(path: Path, what: str) -> Path:
    """`path`, or `FileNotFoundError` that says what was expected there."""
    if not path.exists():
        raise FileNotFoundError(f"expected {what} at {path}, which does not exist")
    return path


def find_above(folder: Path, names: Sequence[str]) -> Path | None:
    """First of `names` (relative paths) that exists in `folder` or in one of the folders above it."""
    for base in [folder, *folder.resolve().parents[:PARENTS_SEARCHED]]:
        for name in names:
            if (base / name).exists():
                return base / name
    return None


def read_json_object(path: Path, what: str) -> dict[str, Any]:
    """A JSON object. Raises `FileNotFoundError` or `ValueError` naming the file."""
    return runtime_files.read_json_object(required(path, what), what)


def field_of(content: dict[str, Any], key: str, path: Path) -> Any:
    """`content[key]`, or `ValueError` naming file and key."""
    if key not in content:
        raise ValueError(f"{path}: expected {key!r}, got only {', '.join(sorted(content)) or 'nothing'}")
    return content[key]


def read_numbers(path: Path, what: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of a text file, separated by blanks; one size of `shape` may be -1."""
    text = required(path, what).read_text(encoding="utf-8")
    try:
        return np.array(text.split(), dtype=np.float64).reshape(shape)
    except ValueError as error:
        raise ValueError(f"{path}: expected numbers of shape {shape}, got something else: {error}") from error


def read_integers(source: Path | bytes, what: str) -> Tensor:
    """(H, W) int64 of an 8-bit or 16-bit image with one channel."""
    if isinstance(source, Path):
        required(source, what)
    with opened_picture(source, what) as picture:
        pixels = np.array(picture)
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer):
        raise ValueError(f"{what}: expected one channel of integers, got shape {pixels.shape} of {pixels.dtype}")
    return torch.from_numpy(pixels.astype(np.int64))


def read_rgb(source: bytes, what: str) -> Tensor:
    """(3, H, W) in 0..1 of an encoded picture."""
    return image_tensor(read_pixels(source, what, upright=False))


def metres(millimetres: Tensor, per_metre: float = 1000.0, invalid: tuple[int, ...] = (0, 65535)) -> Tensor:
    """Integer depth -> metres, 0 where the file marks a missing measurement."""
    depth = millimetres.double() / per_metre
    for value in invalid:
        depth = torch.where(millimetres == value, 0.0, depth)
    return depth.float()


def resample_nearest(values: Tensor, from_intrinsics: Tensor, to_intrinsics: Tensor, hw: tuple[int, int]) -> Tensor:
    """(H, W) image of one pinhole camera as another at the same place sees it: nearest pixel, 0 outside.

    For depth: z is the same in both, so values are taken over.
    """
    height, width = values.shape
    if not bool(from_intrinsics[0, 1]) and not bool(to_intrinsics[0, 1]):  # columns and rows on their own, which is faster
        cameras = (from_intrinsics.double(), to_intrinsics.double())
        x, y = (_places(axis, *cameras, size) for axis, size in ((0, hw[1]), (1, hw[0])))
        inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
        picked = values[y.clamp(0, height - 1)][:, x.clamp(0, width - 1)]
        return torch.where(inside, picked, torch.zeros_like(picked))
    rays = pixel_rays(to_intrinsics.double(), pixel_grid(*hw, dtype=torch.float64).reshape(-1, 2))
    place = torch.floor((rays @ from_intrinsics.double().T)[:, :2] + 0.5 + 1e-9).long()
    inside = (place >= 0).all(1) & (place[:, 0] < width) & (place[:, 1] < height)
    picked = values[place[:, 1].clamp(0, height - 1), place[:, 0].clamp(0, width - 1)]
    return torch.where(inside, picked, torch.zeros_like(picked)).reshape(hw)


def _places(axis: int, from_intrinsics: Tensor, to_intrinsics: Tensor, size: int) -> Tensor:
    """(size,) the columns (axis 0) or rows (1) of one camera where those of the other look."""
    (focal, center), (to_focal, to_center) = ((k[axis, axis], k[axis, 2]) for k in (from_intrinsics, to_intrinsics))
    rays = (torch.arange(size, dtype=torch.float64) - to_center) / to_focal
    return torch.floor(rays * focal + center + 0.5 + 1e-9).long()


def pinhole(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    """(3, 3) intrinsics; pixel (0, 0) is the centre of the top left pixel."""
    return torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], dtype=torch.float32)
