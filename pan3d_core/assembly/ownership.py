"""Masks at full size, and the one instance that each pixel belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pan3d_core.structures import InstanceSet


@dataclass(frozen=True)
class OwnedPixels:
    """The masks of all instances in all views, for stages that need both forms."""

    mask_probs: Tensor  # (S, Q, h, w)
    owner: Tensor  # (S, h, w) int64: 0 = none, k = row k - 1 of the instance set
    mask_threshold: float


def own_pixels(instances: InstanceSet, hw: tuple[int, int], mask_threshold: float) -> OwnedPixels:
    """Masks and owners at the size of the views."""
    probs = torch.stack(list(_probs_of_views(instances, hw)))
    owner = torch.stack([owner_of_pixels(each, instances.scores, mask_threshold) for each in probs])
    return OwnedPixels(probs, owner, mask_threshold)


def assign_pixels(instances: InstanceSet, hw: tuple[int, int], mask_threshold: float) -> Tensor:
    """(S, h, w) int64 as `OwnedPixels.owner`. View by view, so memory does not grow with S."""
    probs = _probs_of_views(instances, hw)
    return torch.stack([owner_of_pixels(each, instances.scores, mask_threshold) for each in probs])


def owner_of_pixels(mask_probs: Tensor, scores: Tensor, mask_threshold: float) -> Tensor:
    """(Q, h, w) and (Q,) -> (h, w) int64: the row + 1 of largest score x probability, 0 where none is above the threshold."""
    if len(scores) == 0:
        return torch.zeros(mask_probs.shape[1:], dtype=torch.int64, device=mask_probs.device)
    support = (mask_probs * scores[:, None, None]).masked_fill_(mask_probs < mask_threshold, 0.0)
    best, row = support.max(dim=0)
    return (row + 1) * (best > 0)


def _probs_of_views(instances: InstanceSet, hw: tuple[int, int]) -> Iterator[Tensor]:
    """(Q, h, w) probabilities of one view after the other."""
    logits = instances.mask_logits
    for view in range(logits.shape[1]):
        mine = logits[:, view].float()
        if len(mine) == 0:
            yield mine.new_zeros(0, *hw)
        elif mine.shape[-2:] == hw:
            yield mine.sigmoid()
        else:
            yield interpolate(mine[None], hw, mode="bilinear", align_corners=False)[0].sigmoid_()
