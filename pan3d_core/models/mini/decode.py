"""From `pan3d-mini`'s queries to instances: score, mask suppression, threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.models.mini.network import MiniOutputs
from pan3d_core.models.mini.queries import QueryOutputs

MIN_SCORE = 0.1
SURE_SCORE = 0.3
NMS_IOU = 0.5
# What a network says of a mask, in the order of `mask_evidence`.
EVIDENCE = ("objectness", "quality", "stability", "foreground", "sharpness", "cells", "views", "shared")
_SHARE = (0.01, 0.99)  # beyond these, shares say no more: their logits end there
_FIRM_LOGIT = 1.0  # a mask is stable where it hardly grows from cells above this to those above its negative


@dataclass(frozen=True)
class ScoreCalibration:
    """How likely a mask is right, IoU over 0.5, by what the network says of it: logistic regression (Platt 1999, Probabilistic
    Outputs for Support Vector Machines, eq. 1) over all of `EVIDENCE`."""

    weights: Tensor  # (len(EVIDENCE),)
    bias: float

    @classmethod
    def from_dict(cls, values: Mapping[str, float]) -> ScoreCalibration:
        """Of plain numbers as `to_dict` gives them; `ValueError` for other names."""
        if set(values) != {*EVIDENCE, "bias"}:
            raise ValueError(f"scores: expected {', '.join((*EVIDENCE, 'bias'))}, got {', '.join(values) or 'nothing'}")
        return cls(torch.tensor([float(values[name]) for name in EVIDENCE]), float(values["bias"]))

    def to_dict(self) -> dict[str, float]:
        """Plain numbers by name."""
        return dict(zip(EVIDENCE, self.weights.tolist(), strict=True)) | {"bias": self.bias}

    def __call__(self, evidence: Tensor) -> Tensor:
        """(K, len(EVIDENCE)) -> (K,) probabilities."""
        return (evidence @ self.weights.to(evidence) + self.bias).sigmoid()


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


def mask_evidence(outputs: MiniOutputs, scene: int, rows: Tensor) -> Tensor:
    """Gather what the network says of the masks of some queries.

    Args:
        outputs: Of B scenes of S views.
        scene: Which of them.
        rows: (K,) queries, none of which repeats another.

    Returns:
        (K, len(EVIDENCE)): logits of objectness and of the expected IoU; of how little the mask shrinks when only firm cells
        count, of the mean foreground in it, and of its mean probability; the logarithm of the number of its cells; the share
        of the views that show it; and the largest share of it that another of these masks claims.
    """
    queries = outputs.queries
    logits = queries.mask_logits[scene, rows].float()
    masks = (logits > 0).flatten(1).float()
    cells = masks.sum(1).clamp_min(1)
    firm, loose = ((logits > limit).flatten(1).sum(1) for limit in (_FIRM_LOGIT, -_FIRM_LOGIT))
    inside = [
        (values.flatten(1) * masks).sum(1) / cells
        for values in (outputs.foreground_logits[scene, None].float().sigmoid(), logits.sigmoid())
    ]
    shares = [share.clamp(*_SHARE).logit() for share in (firm / loose.clamp_min(1), *inside)]
    views = (logits > 0).flatten(2).any(2).float().mean(1)
    shared = (masks @ masks.T / cells[:, None]).fill_diagonal_(0)
    claimed = F.pad(shared, (0, 1)).amax(1)  # of one mask alone, nothing
    objectness = queries.layers[-1].objectness_logits[scene, rows].float()
    return torch.stack([objectness, queries.quality_logits[scene, rows].float(), *shares, cells.log(), views, claimed], dim=1)


def find_instances(
    outputs: MiniOutputs,
    scene: int,
    min_score: float = MIN_SCORE,
    nms_iou: float = NMS_IOU,
    calibration: ScoreCalibration | None = None,
) -> tuple[Tensor, Tensor]:
    """Find the instances of one scene, scored as well as the network's file says.

    Args:
        outputs: Of B scenes.
        scene: Which of them.
        min_score: The least score of an instance, 0..1.
        nms_iou: As `decode_scene`.
        calibration: Of the scores; None leaves them as the network gives them.

    Returns:
        As `decode_scene`.
    """
    if calibration is None:
        return decode_scene(outputs.queries, scene, min_score, nms_iou)
    rows, _ = decode_scene(outputs.queries, scene, min(min_score, MIN_SCORE), nms_iou)
    scores, order = calibration(mask_evidence(outputs, scene, rows)).sort(descending=True)
    sure = scores >= min_score
    return rows[order[sure]], scores[sure]


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
