"""Pixels of which nobody has said what they show: neither they nor queries that lie on them are told anything."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def known_pixels(void: Tensor, mask_hw: tuple[int, int]) -> Tensor:
    """Bring void to the size of masks.

    Args:
        void: (S, H, W) bool.
        mask_hw: Rows and columns of the masks.

    Returns:
        (S, h, w) bool, True where no more than half of a pixel is void.
    """
    return F.interpolate(void[None].float(), size=mask_hw, mode="area")[0] <= 0.5


def heard(mask_logits: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Take from the masks of one scene what can be compared with its truth.

    Args:
        mask_logits: (Q, S, h, w).
        known: (S, h, w) bool of `known_pixels`.

    Returns:
        Which queries are heard (R,) int64: not those whose mask lies mostly on void, and none where nothing is known; and their
        logits at the N known pixels (R, N).
    """
    if bool(known.all()):  # the usual case, in which the masks of all queries are not copied
        return torch.arange(len(mask_logits), device=mask_logits.device), mask_logits.flatten(1)
    inside = mask_logits.detach() > 0
    mostly = 2 * (inside & ~known).flatten(1).sum(1) > inside.flatten(1).sum(1)
    rows = torch.nonzero(~mostly & known.any())[:, 0]
    return rows, mask_logits[rows][:, known]


SILENT = -30.0  # a mask of such logits is not there, and no gradient comes of it


def silenced(mask_logits: Tensor, known: Tensor) -> Tensor:
    """Take masks from where nothing is known, so that no objective hears of them there.

    Args:
        mask_logits: (B, Q, S, h, w).
        known: (B, S, H, W) bool at the size of the masks or an even multiple of it; targets must be 0 where it is False.

    Returns:
        The logits, `SILENT` where more than half of a pixel is not known.
    """
    if bool(known.all()):
        return mask_logits
    share = F.interpolate(known.float(), size=mask_logits.shape[-2:], mode="area")
    return torch.where(share[:, None] >= 0.5, mask_logits, SILENT)


def on_void(mask_logits: Tensor, known: Tensor) -> Tensor:
    """Find the queries that nothing can be said of.

    Args:
        mask_logits: (B, Q, S, h, w).
        known: (B, S, h, w) bool.

    Returns:
        (B, Q) bool, True where most of a mask lies on what is not known, and for all of a scene of which nothing is.
    """
    inside = mask_logits.detach() > 0
    mostly = 2 * (inside & ~known[:, None]).flatten(2).sum(-1) > inside.flatten(2).sum(-1)
    return mostly | ~known.flatten(1).any(-1)[:, None]
