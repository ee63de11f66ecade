"""Another colour for a thing, its light and shade kept."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pan3d_core.geometry.spherical_harmonics import CONSTANT
from pan3d_core.language.colors import BASE_COLORS, canonical_color, oklab, rgb_of_oklab, typical_rgb
from pan3d_core.pictures.palette import LUMA

HALVINGS = 16  # of the share of chroma that a screen can still show
GAMUT_TOLERANCE = 1e-3


def color_of_text(text: str) -> npt.NDArray[np.float64]:
    """sRGB 0..1 (3,) of a colour word or of #rrggbb. Raises `ValueError` for anything else."""
    if re.fullmatch("#[0-9a-fA-F]{6}", text):
        return np.array([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    if canonical_color(text.lower()) is None:
        raise ValueError(f"colour: expected a word such as {', '.join(BASE_COLORS)}, or #rrggbb, got {text!r}")
    return typical_rgb(text.lower())


def recolored(colors: Tensor, rgb: npt.NDArray[np.floating]) -> Tensor:
    """Give Gaussians another hue, each as light as before.

    Chroma is that of `rgb` in the same light: in OKLab light and shadow scale lightness and chroma alike. What a screen cannot
    show of it is taken back, so a white thing becomes pale red, not deep red, and black or white as a new colour gives grey.
    How a colour changes with the direction of view stays, as a change of lightness.

    Args:
        colors: `Gaussians.colors` of either form, (N, 3) or (N, K, 3).
        rgb: (3,) sRGB 0..1.

    Returns:
        Of the same shape.
    """
    if colors.ndim == 2:
        return _in_hue(colors, rgb)
    base = (_in_hue(0.5 + CONSTANT * colors[:, 0], rgb) - 0.5) / CONSTANT
    luma = colors[:, 1:] @ colors.new_tensor(LUMA)
    return torch.cat([base[:, None], luma[..., None].expand(-1, -1, 3)], dim=1)


def _in_hue(colors: Tensor, rgb: npt.NDArray[np.floating]) -> Tensor:
    lightness = oklab(colors.numpy(force=True))[:, :1]
    target = oklab(rgb)
    chroma = lightness * (target[1:] / max(float(target[0]), 1e-3))
    low, high = np.zeros_like(lightness), np.ones_like(lightness)
    share = high
    for _ in range(HALVINGS):
        made = rgb_of_oklab(np.concatenate([lightness, share * chroma], axis=1))
        shown = ((made >= -GAMUT_TOLERANCE) & (made <= 1 + GAMUT_TOLERANCE)).all(axis=1, keepdims=True)
        low, high = np.where(shown, share, low), np.where(shown, high, share)
        share = (low + high) / 2
    made = rgb_of_oklab(np.concatenate([lightness, low * chroma], axis=1))
    return torch.from_numpy(made.clip(0.0, 1.0)).to(colors)
