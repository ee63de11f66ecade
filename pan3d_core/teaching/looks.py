"""What is kept of an object's appearance, and how it is taken from pixels and points.

Colours are counted in coordinates that shading hardly changes: lightness coarsely, and the chroma over the lightness finely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import convolve1d

from pan3d_core.language.colors import oklab

Floats = npt.NDArray[np.float32]

COLOR_BINS = (6, 14, 14)  # of lightness, green-red and blue-yellow over lightness
_LOWEST, _HIGHEST = np.array([0.0, -0.35, -0.35]), np.array([1.0, 0.35, 0.35])
_OFFSET = 0.1  # draws the chroma of near-black pixels, which is noise, to none
_KERNEL = np.array([0.25, 0.5, 0.25])
DISTANCE_BINS, _PAIRS, _FARTHEST = 12, 3000, 0.98
MIN_PIXELS = 20  # of an object in a view that says something of its colours
_STEPS = np.array([0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, np.inf])  # between neighbours, of lightness and of chroma
TEXTURE_BINS = 2 * (len(_STEPS) - 1)


@dataclass(frozen=True)
class Looks:
    """One object in one view set; V are the views that show enough of it."""

    colors: Floats  # (V, C) shares of colours, rows sum to 1
    pixels: Floats  # (V,) pixels behind each row
    textures: Floats  # (V, 14) shares of steps between neighbouring pixels, of lightness and of chroma; rows sum to 1
    tone: Floats  # (6,) means, then standard deviations, of lightness and of both chromas
    size_m: Floats | None = None  # (3,) sides of the box, falling; None = not known in metres
    spread_m: Floats | None = None  # (3,) standard deviations of its points along their main axes, falling; None likewise
    distances: Floats | None = None  # (12,) shares of the distances between its points, over the largest; None = not known
    vectors: Floats | None = None  # (V, F) unit vectors of the network's features; None = it gives none
    meaning: Floats | None = None  # (E,) unit vector aligned with texts; None likewise
    crops: Floats | None = None  # (V, D) unit vectors in a learnt space, of the pictures of its views; None likewise
    space: str = ""  # checksum of what was learnt; crops of two spaces are not comparable
    checkpoint: str = ""  # checksum of the network that vectors and meaning are of; empty = unknown


def color_shares(lab: npt.NDArray[np.floating]) -> Floats:
    """Count the colours of pixels, each a little in its neighbours' bins too.

    Args:
        lab: (N, 3) OKLab, at least one pixel.

    Returns:
        (6 x 14 x 14,) shares that sum to 1.
    """
    share = (_shading_robust(lab) - _LOWEST) / (_HIGHEST - _LOWEST)
    cells = np.clip((share * COLOR_BINS).astype(int), 0, np.array(COLOR_BINS) - 1)
    flat = np.ravel_multi_index((cells[:, 0], cells[:, 1], cells[:, 2]), COLOR_BINS)
    counts = np.bincount(flat, minlength=int(np.prod(COLOR_BINS))).reshape(COLOR_BINS).astype(np.float64)
    for axis in range(3):
        counts = convolve1d(counts, _KERNEL, axis, mode="constant")
    shares: Floats = (counts / counts.sum()).ravel().astype(np.float32)
    return shares


def tone_of(lab: npt.NDArray[np.floating]) -> Floats:
    """Summarise the colours of pixels (N, 3) OKLab as `Looks.tone`."""
    values = _shading_robust(lab)
    tone: Floats = np.concatenate([values.mean(0), values.std(0)]).astype(np.float32)
    return tone


@dataclass(frozen=True)
class Patch:
    """What one view shows of an object and its surroundings."""

    picture: npt.NDArray[np.uint8]  # (h, w, 3) RGB
    mask: npt.NDArray[np.bool_]  # (h, w) its pixels


def texture_of(patch: Patch) -> Floats:
    """Count how far neighbouring pixels of an object differ in lightness and in chroma.

    Args:
        patch: With at least one pixel of it.

    Returns:
        (14,) shares that sum to 1.
    """
    lab = oklab(patch.picture / 255.0)
    values = _shading_robust(lab)
    lightness = _step_sizes(lab[..., 0])[patch.mask] / (lab[..., 0][patch.mask] + _OFFSET)
    chroma = (_step_sizes(values[..., 1]) + _step_sizes(values[..., 2]))[patch.mask]
    counts = np.concatenate([np.histogram(steps, _STEPS)[0] for steps in (lightness, chroma)])
    shares: Floats = (counts / counts.sum()).astype(np.float32)
    return shares


def _step_sizes(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Length of the gradient per pixel."""
    across, down = (cv2.Sobel(values, cv2.CV_64F, *axis) / 8 for axis in ((1, 0), (0, 1)))
    lengths: npt.NDArray[np.float64] = np.hypot(across, down)
    return lengths


def surface_looks(patches: Sequence[Patch]) -> Looks:
    """Take colours and texture of an object.

    Args:
        patches: Of its views.

    Returns:
        Its looks, without size, shape and what a network says.

    Raises:
        ValueError: No view shows enough of it.
    """
    shown = [patch for patch in patches if patch.mask.sum() >= MIN_PIXELS]
    if not shown:
        counts = [int(patch.mask.sum()) for patch in patches]
        raise ValueError(f"pixels: expected at least {MIN_PIXELS} in one view, got {counts}")
    labs = [oklab(patch.picture[patch.mask] / 255.0) for patch in shown]
    thinned = np.concatenate([lab[:: max(1, len(lab) // 400)] for lab in labs])  # each view counts alike
    return Looks(
        colors=np.stack([color_shares(lab) for lab in labs]),
        pixels=np.array([patch.mask.sum() for patch in shown], np.float32),
        textures=np.stack([texture_of(patch) for patch in shown]),
        tone=tone_of(thinned),
    )


def shape_of(points: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Summarise the shape of a cloud without regard to how it is turned.

    Args:
        points: (N, 3), at least two that differ.

    Returns:
        Standard deviations along the main axes (3,), falling, in the unit of the points; and `Looks.distances`.
    """
    variances = np.linalg.eigvalsh(np.cov(points.T.astype(np.float64)))[::-1]
    first, second = np.random.default_rng(0).integers(len(points), size=(2, _PAIRS))
    apart = np.linalg.norm(points[first] - points[second], axis=1)
    counts, _ = np.histogram(apart / max(float(np.quantile(apart, _FARTHEST)), 1e-9), bins=DISTANCE_BINS, range=(0.0, 1.05))
    return np.sqrt(np.maximum(variances, 1e-8)).astype(np.float32), (counts / counts.sum()).astype(np.float32)


def _shading_robust(lab: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """(..., 3) OKLab -> lightness and both chromas over the lightness."""
    values: npt.NDArray[np.float64] = np.concatenate([lab[..., :1], lab[..., 1:] / (lab[..., :1] + _OFFSET)], axis=-1)
    return values
