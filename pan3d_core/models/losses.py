"""Losses of query-based instance segmentation over several views: pure functions of tensors.

A mask of one instance spans all S views: the views' pixels are flattened to one vector of length
N = S h w. Pairwise functions take Q predictions and G targets and return (Q, G) costs; the others
take M matched rows and return (M,) values, unreduced. Any float dtype; gradients flow everywhere.

Methods: SegVGGT (binary cross-entropy + Dice on masks, cross-entropy on classes, Jensen-Shannon
divergence between the frames a query attends to and the frames that show its object).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def pairwise_mask_bce(mask_logits: Tensor, masks: Tensor) -> Tensor:
    """Compute the binary cross-entropy, mean over pixels: logits (Q, N), masks 0..1 (G, N) -> (Q, G)."""
    num_pixels = mask_logits.shape[-1]
    # BCE(x, g) = softplus(x) - x g, so all pairs need one matrix product only.
    overlap = mask_logits @ masks.to(mask_logits.dtype).T
    return F.softplus(mask_logits).mean(-1, keepdim=True) - overlap / num_pixels


def pairwise_mask_dice(mask_logits: Tensor, masks: Tensor, smooth: float = 1.0) -> Tensor:
    """Compute 1 - (2 sum(p g) + smooth) / (sum p + sum g + smooth), p = sigmoid: (Q, N), (G, N) -> (Q, G)."""
    mask_probs = mask_logits.sigmoid()
    masks = masks.to(mask_probs.dtype)
    overlap = mask_probs @ masks.T
    total = mask_probs.sum(-1, keepdim=True) + masks.sum(-1)
    return 1 - (2 * overlap + smooth) / (total + smooth)


def mask_bce(mask_logits: Tensor, masks: Tensor) -> Tensor:
    """Compute the binary cross-entropy of matched rows, mean over pixels.

    Args:
        mask_logits: (M, N).
        masks: (M, N) 0..1, any dtype.

    Returns:
        (M,).
    """
    return F.binary_cross_entropy_with_logits(mask_logits, masks.to(mask_logits.dtype), reduction="none").mean(-1)


def mask_dice(mask_logits: Tensor, masks: Tensor, smooth: float = 1.0) -> Tensor:
    """Compute the Dice loss of matched rows, as in `pairwise_mask_dice`.

    Args:
        mask_logits: (M, N).
        masks: (M, N) 0..1, any dtype.
        smooth: Added to numerator and denominator.

    Returns:
        (M,).
    """
    mask_probs = mask_logits.sigmoid()
    masks = masks.to(mask_probs.dtype)
    overlap = (mask_probs * masks).sum(-1)
    return 1 - (2 * overlap + smooth) / (mask_probs.sum(-1) + masks.sum(-1) + smooth)


def js_divergence(p: Tensor, q: Tensor, floor: float = 1e-8) -> Tensor:
    """Compute the Jensen-Shannon divergence (Lin 1991), natural logarithm.

    Args:
        p: (..., N) distributions along the last axis.
        q: The same; leading axes broadcast.
        floor: Bounds the arguments of the logarithms from below, so that empty entries contribute 0.

    Returns:
        (...) between 0 and log 2.
    """
    middle = 0.5 * (p + q)
    log_middle = middle.clamp_min(floor).log()
    from_p = (p * (p.clamp_min(floor).log() - log_middle)).sum(-1)
    from_q = (q * (q.clamp_min(floor).log() - log_middle)).sum(-1)
    return 0.5 * (from_p + from_q)


def frame_distribution(frame_attention: Tensor) -> Tensor:
    """Scale attention masses per frame (..., S) to distributions over frames (..., S)."""
    return frame_attention / frame_attention.sum(-1, keepdim=True).clamp_min(1e-12)


def pairwise_frame_divergence(frame_attention: Tensor, visibility: Tensor) -> Tensor:
    """Compute the FADA cost of SegVGGT: (L, Q, S) attention mass of L layers, (G, S) visibility -> (Q, G).

    Mean over layers of the Jensen-Shannon divergence between where a query looks and where the
    instance is seen, divided by the number of frames.
    """
    distribution = frame_distribution(frame_attention)[:, :, None, :]
    return js_divergence(visibility.to(distribution.dtype)[None, None], distribution).mean(0) / visibility.shape[-1]


def frame_divergence(frame_attention: Tensor, visibility: Tensor) -> Tensor:
    """Compute what `pairwise_frame_divergence` does for matched rows.

    Args:
        frame_attention: (L, M, S) attention mass of L layers on S frames.
        visibility: (M, S) distributions over frames.

    Returns:
        (M,).
    """
    distribution = frame_distribution(frame_attention)
    return js_divergence(visibility.to(distribution.dtype)[None], distribution).mean(0) / visibility.shape[-1]


def classification_loss(class_logits: Tensor, class_id: Tensor, query_index: Tensor, *, no_match_weight: float = 0.1) -> Tensor:
    """Compute the cross-entropy over all queries.

    Args:
        class_logits: (Q, C + 1), the last column meaning "no match"; without any query there is nothing to lose.
        class_id: (M,) classes of the matched queries; -1 = instance of unknown class, whose query is left out.
        query_index: (M,) the matched queries.
        no_match_weight: What a query without a match counts in the mean beside 1 of the others.

    Returns:
        A scalar.
    """
    num_queries, columns = class_logits.shape
    if not num_queries:
        return class_logits.sum()
    target = torch.full((num_queries,), columns - 1, dtype=torch.long, device=class_logits.device)
    target[query_index] = class_id.to(target.device)
    weight = class_logits.new_ones(columns)
    weight[-1] = no_match_weight
    return F.cross_entropy(class_logits, target, weight=weight, ignore_index=-1)


def objectness_loss(class_logits: Tensor, query_index: Tensor, *, no_match_weight: float = 0.1) -> Tensor:
    """Compute the two-way cross-entropy of "any class" (logsumexp of the classes) against "no match".

    Args:
        class_logits: (Q, C + 1), the last column meaning "no match".
        query_index: (M,) the matched queries.
        no_match_weight: What a query without a match counts in the mean beside 1 of the others.

    Returns:
        A scalar.
    """
    two_way = torch.stack([class_logits[:, :-1].logsumexp(-1), class_logits[:, -1]], dim=-1)
    return classification_loss(two_way, torch.zeros_like(query_index), query_index, no_match_weight=no_match_weight)


@dataclass(frozen=True)
class SegVggtLossWeights:
    """Weights of the SegVGGT objective; the matching cost uses the same three."""

    classes: float = 0.5
    masks: float = 1.0  # binary cross-entropy and Dice share it
    frames: float = 0.5
    no_match: float = 0.1


SEGVGGT_WEIGHTS = SegVggtLossWeights()


def segvggt_losses(
    outputs: tuple[Tensor, Tensor, Tensor | None],
    targets: tuple[Tensor, Tensor, Tensor],
    match: tuple[Tensor, Tensor],
    weights: SegVggtLossWeights = SEGVGGT_WEIGHTS,
) -> dict[str, Tensor]:
    """Compute the instance objective of SegVGGT for one scene.

    Args:
        outputs: mask_logits (Q, S, h, w), class_logits (Q, C + 1), frame_attention (L, Q, S) or None (no FADA term).
        targets: masks (G, S, h, w), class_id (G,), visibility (G, S).
        match: query_index and target_index, both (M,), from `matching.match_queries`.
        weights: Of the terms in `total`.

    Returns:
        Scalars `classes`, `bce`, `dice`, `frames`, `total`. Without any matched pair the mask terms are exactly 0.
    """
    mask_logits, class_logits, frame_attention = outputs
    masks, class_id, visibility = targets
    query_index, target_index = match
    matched_logits = mask_logits[query_index].flatten(1)
    matched_masks = masks[target_index].flatten(1)
    count = max(len(query_index), 1)
    losses = {
        "classes": classification_loss(class_logits, class_id[target_index], query_index, no_match_weight=weights.no_match),
        "bce": mask_bce(matched_logits, matched_masks).sum() / count,
        "dice": mask_dice(matched_logits, matched_masks).sum() / count,
    }
    losses["frames"] = class_logits.new_zeros(())
    if frame_attention is not None:
        losses["frames"] = frame_divergence(frame_attention[:, query_index], visibility[target_index]).sum() / count
    losses["total"] = (
        weights.classes * losses["classes"] + weights.masks * (losses["bce"] + losses["dice"]) + weights.frames * losses["frames"]
    )
    return losses
