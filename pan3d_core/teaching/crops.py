"""Pictures of single objects, and the learnt space in which those of one object are near each other whatever side they show.

A network's features of an object also change with light, side and what hides it. The projection leaves out the directions in
which they change so, and keeps those in which objects differ; a small network adds what lines cannot say. `pan3d bench teach
--learn-look` finds both on objects that nothing is judged on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import pan3d_core
from pan3d_core.runtime.checksums import CHECKSUM, check_checksum, read_stored
from pan3d_core.runtime.files import named_file
from pan3d_core.structures import require_shape
from pan3d_core.teaching.looks import Floats, Patch

CROP_PX = 96
_MARGIN, _LEAST_MARGIN_PX = 0.15, 2  # around an object, of its longer side, and at least
_AT_ONCE = 32  # crops: more do not fit into a small computer's cache
_SHAPES: Mapping[str, tuple[int | None, ...]] = {
    "mean": (None,), "deviation": (None,), "matrix": (None, None),
    "hidden": (None, None), "hidden_bias": (None,), "added": (None, None), "added_bias": (None,),
}  # fmt: skip
STEM = "stem"  # metadata of a projection: checksum of the network that its features are of
FILE = Path(pan3d_core.__file__).parent / "weights" / "pan3d-look.safetensors"

CropFeatures = Callable[[Tensor, Tensor], Tensor]  # (N, 3, H, W) RGB 0..1 and (N, H, W) bool -> (N, F)


@dataclass(frozen=True)
class CropSource:
    """What says something of pictures of single objects."""

    features: CropFeatures
    checkpoint: str  # checksum of its weights


@dataclass(frozen=True)
class Projection:
    """From F features of a crop to D numbers by which objects are told apart."""

    mean: Floats  # (F,)
    deviation: Floats  # (F,)
    matrix: Floats  # (F, D)
    hidden: Floats  # (D, H) of the network that adds to it
    hidden_bias: Floats  # (H,)
    added: Floats  # (H, D)
    added_bias: Floats  # (D,)
    stem: str  # checksum of the network that the features are of
    space: str  # checksum of the projection: what another one gives is not comparable

    def __call__(self, features: Floats) -> Floats:
        """(N, F) -> (N, D) unit vectors."""
        flat = ((features - self.mean) / self.deviation) @ self.matrix
        flat = flat + np.maximum(flat @ self.hidden + self.hidden_bias, 0) @ self.added + self.added_bias
        unit: Floats = (flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)).astype(np.float32)
        return unit


def read_projection(path: Path) -> Projection:
    """Read a projection.

    Args:
        path: A safetensors file of `pan3d bench teach --learn-look`.

    Returns:
        The projection.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged; names the file and the tensor.
    """
    tensors, metadata = read_stored(path, "projection", "one that was learnt for looks of objects")
    check_checksum(path, tensors, metadata)
    with named_file(path, "the projection of looks"):
        for name, shape in _SHAPES.items():
            if name not in tensors:
                raise ValueError(f"{name}: expected a tensor, got none")
            require_shape(name, tensors[name], shape)
        (features, dimensions), width = tensors["matrix"].shape, len(tensors["hidden_bias"])
        for name, size in (
            ("mean", (features,)), ("deviation", (features,)), ("hidden", (dimensions, width)),
            ("added", (width, dimensions)), ("added_bias", (dimensions,)),
        ):  # fmt: skip
            require_shape(name, tensors[name], size)
        held = {name: tensors[name].float().numpy() for name in _SHAPES}
    return Projection(**held, stem=metadata.get(STEM, ""), space=metadata.get(CHECKSUM, ""))


@cache
def shipped_projection() -> Projection:
    """The one that comes with the package."""
    return read_projection(FILE)


def crop_of(patch: Patch) -> Patch:
    """Bring an object with its surroundings to the size of a crop.

    Args:
        patch: With at least one pixel of it.

    Returns:
        `CROP_PX` square, the object in the middle.
    """
    rows, columns = np.flatnonzero(patch.mask.any(1)), np.flatnonzero(patch.mask.any(0))
    middle = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2
    half = (1 + _MARGIN) * max(np.ptp(rows), np.ptp(columns)) / 2 + _LEAST_MARGIN_PX
    scale = CROP_PX / (2 * half)
    shift = (CROP_PX - 1) / 2 - scale * middle  # integer coordinates are pixel centres on both sides
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    size = (CROP_PX, CROP_PX)
    picture = cv2.warpAffine(np.ascontiguousarray(patch.picture), matrix, size, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(patch.mask.astype(np.uint8) * 255, matrix, size)
    return Patch(picture.astype(np.uint8), mask > 127)


def features_of(patches: Sequence[Patch], source: CropFeatures) -> npt.NDArray[np.float32]:
    """Ask for the features of crops.

    Args:
        patches: N of `crop_of`.
        source: What says something of them.

    Returns:
        (N, F).
    """
    made = []
    for start in range(0, len(patches), _AT_ONCE):
        part = patches[start : start + _AT_ONCE]
        pictures = torch.from_numpy(np.stack([item.picture for item in part])).permute(0, 3, 1, 2).float() / 255
        made.append(source(pictures, torch.from_numpy(np.stack([item.mask for item in part]))).float().cpu().numpy())
    return np.concatenate(made)
