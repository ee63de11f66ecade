"""Panoptic quality of one scene, all views taken as one picture, so that identities must hold through the views.

Kirillov et al. 2019, eq. 1, in the form for scenes (Siddiqui et al. 2023, "Panoptic Lifting"): elements without true class
are dropped; classes found in neither map, or covering less than `min_share` of the kept elements in prediction or truth,
are left out and become void; void is not held against a segment; a match needs IoU > 0.5. The published programs use a
share of 0.5 %, which also forgives classes that were not found at all; with 0, the default here, they count as misses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace

VOID = -1
LARGEST_ID = 1 << 20  # instance ids must stay below


@dataclass(frozen=True)
class PanopticQuality:
    """0..1; NaN when no class was left to measure. `pq` = mean over classes of `sq` x `rq` of each."""

    pq: float
    sq: float  # mean IoU of matched segments, over classes with a match
    rq: float  # F1 of finding segments
    per_class: dict[int, tuple[float, float, float]]  # class_id -> (pq, sq, rq)


def panoptic_quality(
    predicted: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], labels: LabelSpace, min_share: float = 0.0
) -> PanopticQuality:
    """`predicted` and `truth`: (semantic_id, instance_id), four integer tensors of one shape; semantic -1 = none.

    Instance ids of stuff classes are ignored. Ids need not agree between prediction and truth.
    """
    shapes = {tuple(item.shape) for item in (*predicted, *truth)}
    if len(shapes) != 1:
        raise ValueError(f"predicted, truth: expected one shape for all four maps, got {sorted(shapes)}")
    kept = truth[0].reshape(-1) >= 0
    class_maps = [pair[0].reshape(-1)[kept].long() for pair in (predicted, truth)]
    instance_maps = [pair[1].reshape(-1)[kept].long() for pair in (predicted, truth)]
    total = max(int(kept.sum()), 1)
    shares = [torch.bincount(item[item >= 0], minlength=len(labels))[: len(labels)] / total for item in class_maps]
    measured = [p >= min_share and t >= min_share and p + t > 0 for p, t in zip(shares[0].tolist(), shares[1].tolist())]
    codes = [_segment_codes(classes, ids, labels, measured) for classes, ids in zip(class_maps, instance_maps)]
    pairs, counts = torch.unique(torch.stack(codes), dim=1, return_counts=True)
    per_class = {k: _class_quality(pairs, counts, k) for k in range(len(labels)) if measured[k]}
    if not per_class:
        return PanopticQuality(math.nan, math.nan, math.nan, {})
    matched = [sq for _, sq, rq in per_class.values() if rq > 0]
    return PanopticQuality(
        pq=sum(item[0] for item in per_class.values()) / len(per_class),
        sq=sum(matched) / len(matched) if matched else 0.0,
        rq=sum(item[2] for item in per_class.values()) / len(per_class),
        per_class=per_class,
    )


def _segment_codes(classes: Tensor, ids: Tensor, labels: LabelSpace, measured: list[bool]) -> Tensor:
    """(N,) one number per segment, class in its upper part; `VOID` for elements of no measured class."""
    is_thing = torch.tensor(labels.is_thing, dtype=torch.bool, device=classes.device)
    known = torch.tensor(measured, dtype=torch.bool, device=classes.device)
    row = classes.clamp_min(0)
    code = classes * LARGEST_ID + torch.where(is_thing[row], ids, 0)
    return torch.where((classes >= 0) & known[row], code, VOID)


def _class_quality(pairs: Tensor, counts: Tensor, class_id: int) -> tuple[float, float, float]:
    """(pq, sq, rq) of one class from the (2, K) pairs of predicted and true segments and their sizes in common."""
    predicted, truth = pairs
    areas_p = {int(code): int(counts[predicted == code].sum()) for code in predicted.unique() if code // LARGEST_ID == class_id}
    areas_t = {int(code): int(counts[truth == code].sum()) for code in truth.unique() if code // LARGEST_ID == class_id}
    common = {(int(p), int(t)): int(n) for p, t, n in zip(predicted, truth, counts)}
    ious, matched_p, matched_t = [], set(), set()
    for (p, t), intersection in common.items():
        if p in areas_p and t in areas_t:
            union = areas_p[p] + areas_t[t] - intersection - common.get((p, VOID), 0) - common.get((VOID, t), 0)
            if intersection / union > 0.5:  # at most one partner can have more than half
                ious.append(intersection / union)
                matched_p.add(p)
                matched_t.add(t)
    spurious = sum(2 * common.get((p, VOID), 0) <= area for p, area in areas_p.items() if p not in matched_p)
    missed = sum(2 * common.get((VOID, t), 0) <= area for t, area in areas_t.items() if t not in matched_t)
    rq = len(ious) / (len(ious) + 0.5 * spurious + 0.5 * missed) if ious or spurious or missed else 0.0
    sq = sum(ious) / len(ious) if ious else 0.0
    return sq * rq, sq, rq
