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
