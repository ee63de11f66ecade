"""Average precision of instance masks, by the rules of the ScanNet 3D instance benchmark.

An element is a vertex, a point or a pixel; for a multi-view scene the pixels of all views are laid end to end, so an
instance has one mask over all views and must carry one identity through them. The rules, where programs differ:

* thresholds are IoU > 0.50, 0.55, ... 0.90, nine values as in the benchmark's own program (0.95 is not among them),
  and IoU > 0.25 on its own; the comparison is strict;
* predictions are walked by falling score, so that the order of rows has no influence;
* a true instance is claimed once; a further prediction over the threshold on it becomes a false positive;
* an unmatched prediction that lies mostly on void elements or on true instances under `min_points` is not counted;
* a class without true instances is NaN and left out of means; true instances without any prediction give 0.

`measure_overlaps` reduces one scene to a few small arrays, so masks need not be kept: collect its results over a data
set and hand them to `instance_ap` at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * step, 2) for step in range(9))
DEFAULT_MIN_POINTS = 100  # the benchmark's smallest counted instance, in elements
CLASS_AGNOSTIC = 0


@dataclass(frozen=True)
class SceneOverlaps:
    """What AP needs to know of one scene: P predictions (by falling score) against G true instances."""

    intersections: np.ndarray  # (P, G) float64, elements in both
    predicted_sizes: np.ndarray  # (P,) elements
    true_sizes: np.ndarray  # (G,) elements
    void_intersections: np.ndarray  # (P,) elements of the prediction that are void
    scores: np.ndarray  # (P,)
    predicted_classes: np.ndarray  # (P,) int64
    true_classes: np.ndarray  # (G,) int64
    predicted_rows: np.ndarray  # (P,) row of the caller's `masks` that each prediction came from
    true_ids: np.ndarray  # (G,) instance id of each true instance

    @property
    def ious(self) -> np.ndarray:
        """(P, G) intersection over union."""
        union = self.predicted_sizes[:, None] + self.true_sizes[None] - self.intersections
        return self.intersections / np.maximum(union, 1.0)

    def without_classes(self) -> SceneOverlaps:
        """The same overlaps with every instance in one class."""
        return SceneOverlaps(
            **{
                **vars(self),
                "predicted_classes": np.full_like(self.predicted_classes, CLASS_AGNOSTIC),
                "true_classes": np.full_like(self.true_classes, CLASS_AGNOSTIC),
            }
        )


@dataclass(frozen=True)
class InstanceAp:
    """Average precisions, 0..1; NaN where there was nothing to find."""

    ap: float  # mean over the nine thresholds
    ap50: float
    ap25: float
    per_class: dict[int, tuple[float, float, float]] = field(default_factory=dict)  # class -> (ap, ap50, ap25)
    num_true: int = 0  # true instances that count (at least `min_points` elements)
    num_predicted: int = 0


def measure_overlaps(
    masks: Tensor,
    scores: Tensor,
    true_ids: Tensor,
    *,
    predicted_classes: Tensor | None = None,
    class_of_id: dict[int, int] | None = None,
    void: Tensor | None = None,
    min_points: int = DEFAULT_MIN_POINTS,
) -> SceneOverlaps:
    """Reduce one scene to its overlaps.

    `masks` (P, ...) bool; `scores` (P,); `true_ids` (...) integers,
    0 = belongs to no instance. `predicted_classes` (P,) and `class_of_id` (instance id -> class) are needed for
    class-aware AP only. `void` (...) bool marks elements without ground truth: unlike id 0, which is known to be
    background, a prediction on void is not a mistake. Predictions under `min_points` elements are dropped, as the
    benchmark does. Raises `ValueError` where the shapes disagree.
    """
    if masks.shape[1:] != true_ids.shape:
        raise ValueError(f"masks: expected shape (P, {', '.join(map(str, true_ids.shape))}), got {tuple(masks.shape)}")
    if scores.shape != masks.shape[:1]:
        raise ValueError(f"scores: expected shape ({masks.shape[0]},), got {tuple(scores.shape)}")
    flat_masks = masks.reshape(masks.shape[0], true_ids.numel()).bool()
    ids, inverse = torch.unique(true_ids.reshape(-1).to(flat_masks.device), return_inverse=True)
    sizes = flat_masks.sum(1)
    order = torch.argsort(scores, descending=True, stable=True).to(flat_masks.device)
    order = order[sizes[order] >= min_points]
    members = flat_masks[order].float()  # counts stay exact: far below 2^24 elements
    one_hot = torch.nn.functional.one_hot(inverse, ids.numel()).float()
    if void is not None:
        keep = ~void.reshape(-1).to(flat_masks.device)
        void_intersections = members @ (~keep).float()
        one_hot = one_hot * keep[:, None]
    else:
        void_intersections = members.new_zeros(members.shape[0])
    intersections = members @ one_hot
    true_sizes = one_hot.sum(0)
    present = (ids > 0) & (true_sizes > 0)
    instance_ids = ids[present].cpu().numpy()
    classes = class_of_id or {}
    if predicted_classes is None:
        kept_classes = np.full(order.numel(), CLASS_AGNOSTIC, dtype=np.int64)
    else:
        kept_classes = predicted_classes.cpu().numpy().astype(np.int64)[order.cpu().numpy()]
    return SceneOverlaps(
        intersections=intersections[:, present].double().cpu().numpy(),
        predicted_sizes=sizes[order].double().cpu().numpy(),
        true_sizes=true_sizes[present].double().cpu().numpy(),
        void_intersections=void_intersections.double().cpu().numpy(),
        scores=scores.detach().double().cpu().numpy()[order.cpu().numpy()],
        predicted_classes=kept_classes,
        true_classes=np.array([classes.get(int(i), CLASS_AGNOSTIC) for i in instance_ids], dtype=np.int64),
        predicted_rows=order.cpu().numpy(),
        true_ids=instance_ids,
    )


def instance_ap(
    scenes: Sequence[SceneOverlaps], *, class_aware: bool = False, min_points: int = DEFAULT_MIN_POINTS
) -> InstanceAp:
    """AP, AP50 and AP25 over a data set; the mean over classes when `class_aware`, one pooled ranking otherwise."""
    pool = list(scenes) if class_aware else [scene.without_classes() for scene in scenes]
    found = sorted({int(c) for scene in pool for c in scene.true_classes[scene.true_sizes >= min_points]})
    per_class = {class_id: _class_ap(pool, class_id, min_points) for class_id in found}
    values = np.array(list(per_class.values())).reshape(-1, 3)
    mean = values.mean(axis=0) if len(values) else np.full(3, math.nan)
    return InstanceAp(
        ap=float(mean[0]),
        ap50=float(mean[1]),
        ap25=float(mean[2]),
        per_class=per_class,
        num_true=int(sum((scene.true_sizes >= min_points).sum() for scene in pool)),
        num_predicted=int(sum(len(scene.scores) for scene in pool)),
    )


def _class_ap(scenes: Sequence[SceneOverlaps], class_id: int, min_points: int) -> tuple[float, float, float]:
    selected = [_select_class(scene, class_id) for scene in scenes]
    by_threshold = [_threshold_ap(selected, threshold, min_points) for threshold in THRESHOLDS]
    return float(np.mean(by_threshold)), by_threshold[0], _threshold_ap(selected, 0.25, min_points)


def _select_class(scene: SceneOverlaps, class_id: int) -> SceneOverlaps:
    rows = scene.predicted_classes == class_id
    columns = scene.true_classes == class_id
    return SceneOverlaps(
        intersections=scene.intersections[rows][:, columns],
        predicted_sizes=scene.predicted_sizes[rows],
        true_sizes=scene.true_sizes[columns],
        void_intersections=scene.void_intersections[rows],
        scores=scene.scores[rows],
        predicted_classes=scene.predicted_classes[rows],
        true_classes=scene.true_classes[columns],
        predicted_rows=scene.predicted_rows[rows],
        true_ids=scene.true_ids[columns],
    )


def _threshold_ap(scenes: Sequence[SceneOverlaps], threshold: float, min_points: int) -> float:
    is_true: list[float] = []
    scores: list[float] = []
    missed = 0
    for scene in scenes:
        scene_true, scene_scores, scene_missed = _match_scene(scene, threshold, min_points)
        is_true += scene_true
        scores += scene_scores
        missed += scene_missed
    return _area_under_curve(np.array(is_true), np.array(scores), missed)


def _match_scene(scene: SceneOverlaps, threshold: float, min_points: int) -> tuple[list[float], list[float], int]:
    """One scene's ranked entries: (1 = hit or 0 = false positive, score) and the number of missed true instances."""
    over = scene.ious > threshold
    counted = scene.true_sizes >= min_points
    used = np.zeros(len(scene.scores), dtype=bool)
    is_true: list[float] = []
    scores: list[float] = []
    missed = 0
    for column in np.flatnonzero(counted):
        candidates = [row for row in np.flatnonzero(over[:, column]) if not used[row]]
        if not candidates:
            missed += 1
            continue
        # Rows fall in score: the first claims the instance, the others are duplicates at their own, lower scores.
        used[candidates[0]] = True
        is_true += [1.0] + [0.0] * (len(candidates) - 1)
        scores += [float(scene.scores[row]) for row in candidates]
    ignorable = scene.void_intersections + scene.intersections[:, ~counted].sum(axis=1)
    mostly_ignorable = ignorable / np.maximum(scene.predicted_sizes, 1.0) > threshold
    spurious = ~over.any(axis=1) & ~mostly_ignorable
    is_true += [0.0] * int(spurious.sum())
    scores += scene.scores[spurious].tolist()
    return is_true, scores, missed


def _area_under_curve(is_true: np.ndarray, scores: np.ndarray, missed: int) -> float:
    """Area under precision over recall, one point per distinct score, by the benchmark's half-step rule."""
    if is_true.sum() + missed == 0:
        return math.nan
    if is_true.sum() == 0:
        return 0.0
    order = np.argsort(scores, kind="stable")
    _, first = np.unique(scores[order], return_index=True)
    true_below = np.concatenate([[0.0], np.cumsum(is_true[order])])
    true_positives = true_below[-1] - true_below[first]
    kept = len(scores) - first
    precision = np.append(true_positives / kept, 1.0)
    recall = np.append(true_positives / (true_below[-1] + missed), 0.0)
    padded = np.concatenate([recall[:1], recall, [0.0]])
    return float(precision @ np.convolve(padded, [-0.5, 0.0, 0.5], mode="valid"))
