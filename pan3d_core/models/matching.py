"""Which query answers for which true instance: targets from label images, costs, assignment."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.models.losses import (
    SEGVGGT_WEIGHTS,
    SegVggtLossWeights,
    pairwise_frame_divergence,
    pairwise_mask_bce,
    pairwise_mask_dice,
)


class NonFiniteCost(ValueError):
    """A matching cost with NaN or infinity: the predictions have diverged."""


@dataclass(frozen=True)
class InstanceTargets:
    """The true instances of one scene of S views, at mask resolution."""

    masks: Tensor  # (G, S, h, w) float 0 or 1
    class_id: Tensor  # (G,) int64, -1 = class unknown
    visibility: Tensor  # (G, S) share of the instance's pixels that each view sees; rows sum to 1
    instance_id: Tensor  # (G,) int64, the ids of the label images


def majority_class(instance_mask: Tensor, class_ids: Tensor) -> int:
    """Return the most frequent class >= 0 of `class_ids` under a boolean mask of equal shape; -1 = none is labelled."""
    labelled = class_ids[instance_mask]
    labelled = labelled[labelled >= 0]
    return int(torch.bincount(labelled).argmax()) if len(labelled) else -1


def targets_from_ids(
    instance_ids: Tensor, class_ids: Tensor, mask_hw: tuple[int, int], *, dtype: torch.dtype = torch.float32
) -> InstanceTargets:
    """Make targets at mask size from label images at full size.

    A mask pixel belongs to an instance when more than half of its area does; instances that vanish by that are dropped.

    Args:
        instance_ids: (S, H, W) int, 0 = none.
        class_ids: (S, H, W) int, -1 = none.
        mask_hw: Rows and columns of the masks.
        dtype: Of masks and visibility.

    Returns:
        The instances in the order of their ids.

    Raises:
        ValueError: The two differ in shape.
    """
    if instance_ids.shape != class_ids.shape or instance_ids.ndim != 3:
        raise ValueError(
            f"class_ids: expected the (S, H, W) shape of instance_ids {tuple(instance_ids.shape)}, got {tuple(class_ids.shape)}"
        )
    ids = torch.unique(instance_ids)
    ids = ids[ids > 0]
    num_views = instance_ids.shape[0]
    full = instance_ids[None] == ids[:, None, None, None]
    masks = (
        (F.interpolate(full.to(dtype), size=mask_hw, mode="area") > 0.5) if len(ids) else full.new_zeros(0, num_views, *mask_hw)
    )
    kept = masks.flatten(1).any(1)
    pixels = full.flatten(2).sum(-1)[kept].to(dtype)
    classes = [majority_class(mask, class_ids) for mask in full[kept]]
    return InstanceTargets(
        masks=masks[kept].to(dtype),
        class_id=torch.tensor(classes, dtype=torch.long, device=ids.device),
        visibility=pixels / pixels.sum(-1, keepdim=True).clamp_min(1),
        instance_id=ids[kept],
    )


def class_cost(class_logits: Tensor, class_id: Tensor) -> Tensor:
    """Compute the negative probability of each target's class: (Q, C + 1), (G,) -> (Q, G); 0 where the class is unknown."""
    probability = class_logits.softmax(-1)[:, class_id.clamp_min(0)]
    return -probability * (class_id >= 0)


def segvggt_cost(
    outputs: tuple[Tensor, Tensor, Tensor | None],
    targets: InstanceTargets,
    weights: SegVggtLossWeights = SEGVGGT_WEIGHTS,
) -> Tensor:
    """Compute the matching cost of SegVGGT.

    Args:
        outputs: mask_logits (Q, S, h, w), class_logits (Q, C + 1), frame_attention (L, Q, S) or None (no FADA term).
        targets: G instances, masks at the size of the logits.
        weights: Of the terms.

    Returns:
        (Q, G).
    """
    mask_logits, class_logits, frame_attention = outputs
    flat_logits, flat_masks = mask_logits.flatten(1), targets.masks.flatten(1)
    cost = weights.classes * class_cost(class_logits, targets.class_id)
    cost = cost + weights.masks * (pairwise_mask_bce(flat_logits, flat_masks) + pairwise_mask_dice(flat_logits, flat_masks))
    if frame_attention is not None:
        cost = cost + weights.frames * pairwise_frame_divergence(frame_attention, targets.visibility)
    return cost


def match_queries(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Assign targets to queries with the least total cost (Kuhn 1955).

    Args:
        cost: (Q, G).

    Returns:
        query_index and target_index, both (min(Q, G),) int64, sorted by query index.

    Raises:
        NonFiniteCost: A cost is not finite, so that the assignment would be arbitrary.
        ValueError: The cost has another shape.
    """
    if cost.ndim != 2:
        raise ValueError(f"cost: expected shape (Q, G), got {tuple(cost.shape)}")
    finite = bool(torch.isfinite(cost).all())
    if not finite:
        raise NonFiniteCost("cost: expected finite values, got NaN or infinity (diverged training?)")
    rows, columns = linear_sum_assignment(cost.detach().double().cpu().numpy())
    return (
        torch.as_tensor(rows, dtype=torch.long, device=cost.device),
        torch.as_tensor(columns, dtype=torch.long, device=cost.device),
    )
