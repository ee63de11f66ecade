"""From `pan3d-mini`'s queries to instances: score, threshold, mask suppression."""

from __future__ import annotations

import torch
from torch import Tensor

from pan3d_core.models.mini.queries import QueryOutputs

MIN_SCORE = 0.1
SURE_SCORE = 0.3
NMS_IOU = 0.5


def query_scores(queries: QueryOutputs) -> Tensor:
    """Score queries (B, Q), 0..1: the geometric mean of objectness and predicted mask IoU."""
    objectness = queries.layers[-1].objectness_logits.sigmoid()
    return (objectness * queries.quality_logits.sigmoid()).sqrt()


def suppress_masks(masks: Tensor, scores: Tensor, nms_iou: float = NMS_IOU) -> Tensor:
    """Return indices of the (Q, N) bool masks that survive, best first: empty ones and those too like a better one go."""
    order = scores.argsort(descending=True)
    flat = masks[order].float()
    area = flat.sum(-1)
    overlap = flat @ flat.T
    iou = overlap / (area[:, None] + area[None] - overlap).clamp_min(1)
    clash = iou > nms_iou
    kept: list[int] = []
    for row in range(len(order)):
        if area[row] > 0 and not any(bool(clash[row, better]) for better in kept):
            kept.append(row)
    return order[torch.tensor(kept, dtype=torch.long, device=order.device)]


def decode_scene(
    queries: QueryOutputs, scene: int, min_score: float = MIN_SCORE, nms_iou: float = NMS_IOU
) -> tuple[Tensor, Tensor]:
    """Find the instances of one scene.

    Args:
        queries: Of B scenes.
        scene: Which of them.
        min_score: The least score of an instance, 0..1.
        nms_iou: A mask that overlaps a better one more than this goes.

    Returns:
        Indices (K,) of queries, best first, and their scores (K,).
    """
    scores = query_scores(queries)[scene]
    candidates = torch.nonzero(scores >= min_score)[:, 0]
    masks = (queries.mask_logits[scene, candidates] > 0).flatten(1)
    kept = candidates[suppress_masks(masks, scores[candidates], nms_iou)]
    return kept, scores[kept]


def count_repeats(queries: QueryOutputs, scene: int) -> int:
    """Count the queries of one scene with a score of at least `SURE_SCORE` that claim what a better one claims.

    Args:
        queries: Of B scenes.
        scene: Which of them.

    Returns:
        How many there are.
    """
    sure = torch.nonzero(query_scores(queries)[scene] >= SURE_SCORE)[:, 0]
    claims = (queries.mask_logits[scene, sure] > 0).flatten(1).any(1)
    kept, _ = decode_scene(queries, scene, SURE_SCORE)
    return int(claims.sum()) - len(kept)
