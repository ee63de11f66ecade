"""Outlines moved to where colours change: depth knows what there is, pictures know where it ends.

Depth cameras are off by a pixel or two at outlines, and pictures are not. So of the pixels near an outline each goes to the
object, or the background, whose colours around it are most like its own, as Gaussians of the pixels that lie well inside.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BAND = 2  # pixels to both sides of an outline, of which colours decide
WINDOW = 9  # pixels, side of the square in which colours are learnt
LEAST_PIXELS = 2  # in the square, from which colours are known
NOISE = 3.0  # least deviation of a channel of CIELAB
HOLD = 0.12  # by which a pixel prefers what it was said to be, in a vote of the nine around it
_UNLIKE = 1e6


def at_color_edges(ids: Tensor, images: Tensor) -> Tensor:
    """Move outlines to the edges of colours nearby.

    Args:
        ids: (V, H, W) int64, 0 = background.
        images: (V, 3, H, W) RGB 0..1.

    Returns:
        (V, H, W) int64; farther than `BAND` pixels from every outline nothing changes.
    """
    return torch.stack([_in_picture(*pair) for pair in zip(ids, images, strict=True)])


def _in_picture(ids: Tensor, image: Tensor) -> Tensor:
    values = ids.unique()
    masks = (ids == values[:, None, None]).float()[:, None]
    near = _grown(masks, BAND)[:, 0] > 0
    unlike = torch.where(near, _unlikeness(masks, _lab(image)), _UNLIKE)
    least, best = unlike.min(0)
    solid = (unlike < _UNLIKE).flatten(1).any(1)[torch.searchsorted(values, ids)]  # a wire has no inside, and stays as it is
    contested = (near.sum(0) > 1) & (least < _UNLIKE) & solid
    chosen = (torch.where(contested, values[best], ids) == values[:, None, None]).float()
    voted = values[(_mean(chosen[:, None], 3)[:, 0] + HOLD * chosen).argmax(0)]
    return torch.where(solid, voted, ids)


def _unlikeness(masks: Tensor, lab: Tensor) -> Tensor:
    """(K, H, W) how unlike each pixel is to the inside of each of the masks (K, 1, H, W) around it; `_UNLIKE` without one."""
    inside = 1 - _grown(1 - masks, 1)
    share = _mean(inside, WINDOW)
    mean = _mean(inside * lab, WINDOW) / share.clamp_min(1e-6)
    variance = (_mean(inside * lab.square(), WINDOW) / share.clamp_min(1e-6) - mean.square()).clamp_min(0) + NOISE**2
    unlike = ((lab - mean).square() / variance + variance.log()).sum(1)
    return torch.where(share[:, 0] * WINDOW**2 > LEAST_PIXELS - 0.5, unlike, _UNLIKE)


def _lab(image: Tensor) -> Tensor:
    """(3, H, W) CIELAB, lightness 0..100."""
    return torch.from_numpy(
        cv2.cvtColor(np.ascontiguousarray(image.permute(1, 2, 0).float().numpy()), cv2.COLOR_RGB2LAB)
    ).permute(2, 0, 1)


def _grown(masks: Tensor, by: int) -> Tensor:
    return F.max_pool2d(masks, 2 * by + 1, stride=1, padding=by)


def _mean(values: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(values, side, stride=1, padding=side // 2)
