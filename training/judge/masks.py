"""Held-out answers of networks that rank masks and whose depth has no unit: figures and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pan3d_core.engines.parts.decoding import DecodingThresholds, decode_queries
from pan3d_eval.metrics.average_precision import instance_ap, measure_overlaps
from pan3d_eval.metrics.depth import depth_errors
from training.data.arrays import SceneBatch
from training.data.resize import nearest
from training.judge.pictures import label_picture

MIN_MASK_PIXELS = 8  # over all views; smaller answers and smaller objects do not count


@dataclass(frozen=True)
class RankedMasks:
    """What a network says of one held-out scene; all on the CPU."""

    truth: SceneBatch  # of this scene alone
    depth: Tensor  # (S, H, W) float32
    masks: Tensor  # (K, S, h, w) bool, best first
    scores: Tensor  # (K,)
    classes: Tensor  # (K,) the likeliest class of each


def ranked_masks(
    truth: SceneBatch,
    depth: Tensor,
    class_logits: Tensor,
    mask_logits_of: Callable[[Tensor], Tensor],
    thresholds: DecodingThresholds,
) -> RankedMasks:
    """Decode what a network says of one scene.

    Args:
        truth: Of this scene alone.
        depth: (S, H, W).
        class_logits: (Q, C + 1), the last column meaning "no match".
        mask_logits_of: From query indices (n,) to mask logits (1, n, S, h, w).
        thresholds: What a query must reach.

    Returns:
        Masks of the queries that reach it, best first.
    """
    decoded = decode_queries(class_logits.float(), lambda rows: mask_logits_of(rows)[0].float(), thresholds)
    masks = decoded.mask_logits[decoded.mask_row] > 0
    classes = class_logits[decoded.query_index, :-1].argmax(-1)
    return RankedMasks(truth, depth.float().cpu(), masks.cpu(), decoded.score.cpu(), classes.cpu())


def mask_figures(answers: Iterable[RankedMasks], *, named: bool = False) -> dict[str, float | int]:
    """Measure masks and depth of held-out scenes; what is void there is nobody's mistake.

    Args:
        answers: One a scene.
        named: Whether the classes are those of the truth, so that AP with the right class means something.

    Returns:
        Class-agnostic AP, with `named` also that of masks with the right class, a mean over classes, and the error of depth up
        to a scale, since the network's has no unit.
    """
    overlaps, errors = [], []
    for answer in answers:
        size = (answer.masks.shape[-2], answer.masks.shape[-1])
        true_ids, void = nearest(answer.truth.ids, size)[0], nearest(answer.truth.void, size)[0]
        classes = {k: kind for k, kind in enumerate(answer.truth.kinds[0].tolist()) if kind >= 0}
        scene = measure_overlaps(
            answer.masks, answer.scores, true_ids, predicted_classes=answer.classes, class_of_id=classes, void=void,
            min_points=MIN_MASK_PIXELS,
        )  # fmt: skip
        overlaps.append(scene)
        errors.append(depth_errors(answer.depth, answer.truth.depth[0]).abs_rel_median)
    found, right = (instance_ap(overlaps, class_aware=aware, min_points=MIN_MASK_PIXELS) for aware in (False, True))
    means = {"ap": found.ap, "ap50": found.ap50, "ap25": found.ap25, "abs_rel_scaled": float(np.mean(errors or [0.0]))}
    if named:
        means |= {"ap_named": right.ap, "ap50_named": right.ap50}
    return {"scenes": len(overlaps), "objects": found.num_true, **means}


def mask_pictures(answers: Iterable[RankedMasks]) -> dict[str, np.ndarray]:
    """One picture a scene, the truth above the answer, by the scene's number."""
    return {
        f"scene {index}": label_picture(
            answer.truth.images[0], answer.truth.ids[0], answer.masks, answer.truth.depth[0], answer.depth
        )
        for index, answer in enumerate(answers)
    }
