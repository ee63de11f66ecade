"""The stage that decides which instance each pixel belongs to; those after it take its answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pan3d_core.structures import InstanceSet


@dataclass(frozen=True)
class OwnedPixels:
    """Instances, and the one that each pixel of the views belongs to."""

    instances: InstanceSet
    owner: Tensor  # (S, h, w) int64: 0 = none, k = row k - 1 of the instance set
    body: Tensor | None = None  # (S, h, w) bool: pixels that show the robot and become no points; None = none do


@dataclass(frozen=True, kw_only=True)
class OwnedMasks(OwnedPixels):
    """The same with all masks at full size, for a stage that compares masks of several views."""

    mask_probs: Tensor  # (S, Q, h, w)
    mask_threshold: float  # from which a pixel is in a mask


def own_pixels(instances: InstanceSet, hw: tuple[int, int], mask_threshold: float) -> OwnedPixels:
    """Say to which instance each pixel belongs, view by view, so memory does not grow with their number.

    Args:
        instances: masks of Q instances in S views, at any size.
        hw: height and width of the views.
        mask_threshold: probability, 0..1, from which a pixel is in a mask.

    Returns:
        The instances, and for every pixel of (S, h, w) the one that has it, if one has.
    """
    probs = _probs_of_views(instances, hw)
    return OwnedPixels(instances, torch.stack([owner_of_pixels(each, instances.scores, mask_threshold) for each in probs]))


def own_masks(instances: InstanceSet, hw: tuple[int, int], mask_threshold: float) -> OwnedMasks:
    """Do what `own_pixels` does and keep the masks.

    Args:
        instances: As for `own_pixels`.
        hw: Likewise; the size of the masks that are kept.
        mask_threshold: Likewise; kept beside the masks.

    Returns:
        What `own_pixels` says, with the masks of all views at their size.
    """
    probs = torch.stack(list(_probs_of_views(instances, hw)))
    owner = torch.stack([owner_of_pixels(each, instances.scores, mask_threshold) for each in probs])
    return OwnedMasks(instances, owner, mask_probs=probs, mask_threshold=mask_threshold)


Owned = TypeVar("Owned", bound=OwnedPixels)


def without_body(owned: Owned, body: Tensor | None, min_rest: float) -> Owned:
    """Take the robot's pixels from all instances, and whole instances that were the robot.

    Args:
        owned: Of S views.
        body: (S, h, w) bool, the pixels that show the robot; None = none do.
        min_rest: An instance that keeps less than this share of its pixels loses the others, too.

    Returns:
        The same with fewer pixels owned.
    """
    if body is None:
        return owned
    count = len(owned.instances.scores) + 1
    before = torch.bincount(owned.owner.flatten(), minlength=count)
    owner = owned.owner.masked_fill(body, 0)
    rest = torch.bincount(owner.flatten(), minlength=count)
    stays = rest >= min_rest * before
    owner = owner * stays[owner]
    changes: dict[str, object] = {"owner": owner, "body": body}
    if isinstance(owned, OwnedMasks):
        changes["mask_probs"] = owned.mask_probs.masked_fill(body[:, None], 0.0) * stays[None, 1:, None, None]
    return replace(owned, **changes)  # type: ignore[arg-type]  # the fields of either class


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
