"""From queries to instances, on the device that holds them.

Masks of full resolution are made for queries that can still pass, a few rows at a time, and only those
that pass are kept: a rejected query costs a few numbers. Defaults are SegVGGT's published thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.structures import InstanceSet

# Rows of full-resolution mask logits that exist at one time before they are accepted.
MASK_ROWS = 16


@dataclass(frozen=True)
class DecodingThresholds:
    """What a (query, class) pair must reach to become an instance."""

    top_pairs: int = 600  # pairs with the highest class probability that are looked at
    min_score: float = 0.0  # score = class probability x mask score must be greater
    mask_prob: float = 0.4  # a pixel belongs to the mask above this probability
    min_pixels: int = 200  # mask pixels over all views must be more
    nms_iou: float | None = None  # of two masks that overlap more, only the better scored stays; None = off
    class_agnostic: bool = False  # one entry per query, scored by 1 - p(no match)
    max_instances: int | None = None  # of those that reach all this, so many are kept; None = all


@dataclass(frozen=True)
class DecodedInstances:
    """R accepted (query, class) pairs, best score first; pairs of one query share a row of `mask_logits`."""

    query_index: Tensor  # (R,) int64
    class_id: Tensor  # (R,) int64, -1 when class-agnostic
    score: Tensor  # (R,) 0..1
    class_prob: Tensor  # (R,) 0..1
    mask_score: Tensor  # (R,) 0..1, mean probability of the pixels that are more likely inside than outside
    pixels: Tensor  # (R,) int64, mask pixels over all views
    mask_row: Tensor  # (R,) int64, row of `mask_logits`
    mask_logits: Tensor  # (U, S, h, w)


def select_pairs(class_logits: Tensor, thresholds: DecodingThresholds) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the (query, class) pairs that can still pass; those whose class probability alone is too small are left out.

    Args:
        class_logits: (Q, C + 1), the last column meaning "no match".
        thresholds: `top_pairs`, `min_score` and `class_agnostic` are used.

    Returns:
        query_index (P,), class_id (P,), -1 when class-agnostic, and class_prob (P,) of at most `top_pairs` pairs.
    """
    probs = class_logits.float().softmax(-1)
    if thresholds.class_agnostic:
        class_prob = 1 - probs[:, -1]
        query_index = torch.arange(len(probs), device=probs.device)
        class_id = torch.full_like(query_index, -1)
    else:
        flat = probs[:, :-1].flatten()
        class_prob, order = flat.topk(min(thresholds.top_pairs, len(flat)))
        query_index, class_id = order // (probs.shape[1] - 1), order % (probs.shape[1] - 1)
    # The mask score is at most 1, so the product cannot pass either.
    possible = class_prob > thresholds.min_score
    return query_index[possible], class_id[possible], class_prob[possible]


def logit(prob: float) -> float:
    return math.log(prob / (1 - prob))


def mask_statistics(mask_logits: Tensor, mask_prob: float) -> tuple[Tensor, Tensor]:
    """Score masks (U, S, h, w) -> mask score (U,) and mask pixels (U,), over all views together.

    The score looks at pixels with logit > 0, the pixel count at those above `mask_prob`: the published
    evaluation uses these two different limits.
    """
    flat = mask_logits.flatten(1)
    positive = flat > 0
    # Where the logit is negative the clamped sigmoid is exactly 1/2: subtract those instead of masking.
    outside = flat.shape[1] - positive.sum(1)
    total = flat.clamp_min(0).sigmoid_().sum(1, dtype=torch.float64) - 0.5 * outside
    score = (total / (positive.sum(1) + 1e-6)).to(mask_logits.dtype)
    return score, (flat > logit(mask_prob)).sum(1)


def mask_iou(masks: Tensor) -> Tensor:
    """Compare bool masks (U, ...) -> (U, U) intersection over union; 0 for two empty masks."""
    flat = masks.flatten(1).float()
    overlap = flat @ flat.T
    area = flat.sum(1)
    return overlap / (area[:, None] + area - overlap).clamp_min(1)


def greedy_nms(iou: Tensor, score: Tensor, max_iou: float) -> Tensor:
    """Suppress what a better one overlaps.

    Args:
        iou: (U, U) intersection over union.
        score: (U,).
        max_iou: What overlaps a better one more than this goes.

    Returns:
        Indices of those that stay, best score first.
    """
    order = score.argsort(descending=True)
    clash = (iou > max_iou)[order][:, order].cpu()  # (U, U) flags, not masks
    suppressed = torch.zeros(len(order), dtype=torch.bool)
    stays = []
    for row in range(len(order)):
        if not suppressed[row]:
            stays.append(row)
            suppressed |= clash[row]
    return order[torch.tensor(stays, dtype=torch.long, device=order.device)]


def decode_queries(
    class_logits: Tensor,
    mask_logits_of: Callable[[Tensor], Tensor],
    thresholds: DecodingThresholds,
) -> DecodedInstances:
    """Find the instances among queries.

    Args:
        class_logits: (Q, C + 1), the last column meaning "no match".
        mask_logits_of: From query indices (n,) to mask logits (n, S, h, w); asked for a few rows at a time.
        thresholds: What a pair must reach.

    Returns:
        The accepted pairs, best score first.
    """
    query_index, class_id, class_prob = select_pairs(class_logits, thresholds)
    rows, pair_row = torch.unique(query_index, return_inverse=True)
    best_prob = class_prob.new_zeros(len(rows)).scatter_reduce_(0, pair_row, class_prob, "amax", include_self=False)
    scores, counts, passing, masks = [], [], [], []
    for start in range(0, max(len(rows), 1), MASK_ROWS):
        part = slice(start, start + MASK_ROWS)
        logits = mask_logits_of(rows[part])
        score, count = mask_statistics(logits, thresholds.mask_prob)
        passes = (best_prob[part] * score > thresholds.min_score) & (count > thresholds.min_pixels)
        scores.append(score)
        counts.append(count)
        passing.append(start + passes.nonzero()[:, 0])
        masks.append(logits[passes])
    mask_score, pixels = torch.cat(scores), torch.cat(counts)
    kept_rows, mask_logits = torch.cat(passing), torch.cat(masks)
    if thresholds.nms_iou is not None:
        iou = mask_iou(mask_logits > logit(thresholds.mask_prob))
        stays = greedy_nms(iou, (best_prob * mask_score)[kept_rows], thresholds.nms_iou)
        kept_rows, mask_logits = kept_rows[stays], mask_logits[stays]

    mask_row_of = torch.full_like(rows, -1)
    mask_row_of[kept_rows] = torch.arange(len(kept_rows), device=rows.device)
    score = class_prob * mask_score[pair_row]
    kept = ((mask_row_of[pair_row] >= 0) & (score > thresholds.min_score)).nonzero()[:, 0]
    kept = kept[score[kept].argsort(descending=True)]
    pair_row = pair_row[kept]
    return DecodedInstances(
        query_index=query_index[kept],
        class_id=class_id[kept],
        score=score[kept],
        class_prob=class_prob[kept],
        mask_score=mask_score[pair_row],
        pixels=pixels[pair_row],
        mask_row=mask_row_of[pair_row],
        mask_logits=mask_logits,
    )


def instance_set(
    decoded: DecodedInstances,
    class_logits: Tensor,
    labels: LabelSpace,
    mask_prob: float,
    *,
    limit: int | None = None,
) -> InstanceSet:
    """Make one instance of each accepted query, with its best score.

    Args:
        decoded: Of `decode_queries`.
        class_logits: (Q, C + 1), which it was made from.
        labels: What the columns mean.
        mask_prob: A pixel belongs to the mask above this probability: mask logits are shifted so that it is at 0.
        limit: The most instances; None: all.

    Returns:
        Instances, best first.
    """
    num_rows = len(decoded.mask_logits)
    scores = decoded.score.new_zeros(num_rows).scatter_reduce_(0, decoded.mask_row, decoded.score, "amax")
    query_of_row = decoded.query_index.new_zeros(num_rows).scatter_(0, decoded.mask_row, decoded.query_index)
    best = scores.argsort(descending=True)[:limit]
    return InstanceSet(
        mask_logits=decoded.mask_logits[best] - logit(mask_prob),
        class_logits=class_logits[query_of_row[best]],
        scores=scores[best],
        labels=labels,
    )


def instances_of_queries(
    class_logits: Tensor,
    mask_logits_of: Callable[[Tensor], Tensor],
    labels: LabelSpace,
    thresholds: DecodingThresholds,
) -> InstanceSet:
    """Decode queries and make one instance of each that is accepted.

    Args:
        class_logits: (Q, C + 1), the last column meaning "no match".
        mask_logits_of: From query indices (n,) to mask logits (n, S, h, w).
        labels: What the columns mean.
        thresholds: What a pair must reach, and how many instances are kept.

    Returns:
        Instances, best first.
    """
    decoded = decode_queries(class_logits, mask_logits_of, thresholds)
    return instance_set(decoded, class_logits, labels, thresholds.mask_prob, limit=thresholds.max_instances)
