"""Average precision of instance masks, by the rules of the ScanNet 3D instance benchmark.

An element is a vertex, a point or a pixel; for a multi-view scene the pixels of all views are laid end to end, so an
instance has one mask over all views and must carry one identity through them. The rules, where programs differ:

* thresholds are IoU > 0.50, 0.55, ... 0.90, nine values as in the benchmark's own program (0.95 is not among them; the mean
  with it, which other programs call AP, is `ap_with_95`), and IoU > 0.25 on its own; the comparison is strict;
* a true instance is claimed by the first prediction over the threshold that claimed no other, in the order of the rows.
  `walk="score"` sorts the rows by falling score first, so that their order has no influence; `walk="file"` keeps them as
  they are given, as the benchmark's program does with the lines of a file;
* a further prediction over the threshold on it makes a false positive: the instance keeps the higher of the two scores, the
  lower one is the mistake, and that prediction may still claim another instance;
* an unmatched prediction that lies mostly on void elements, on true instances under `min_points` or on groups (annotated
  regions that are no single instance) is not counted;
* a class without true instances is NaN and left out of means; true instances without any prediction give 0.

How predictions came to lie on the elements of the truth is a `protocol`; results of different ones are never pooled.

`measure_overlaps` reduces one scene to a few small arrays, so masks need not be kept: collect its results over a data
set and hand them to `instance_ap` at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from torch import Tensor

THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * step, 2) for step in range(9))
DEFAULT_MIN_POINTS = 100  # the benchmark's smallest counted instance, in elements
CLASS_AGNOSTIC = 0
DIRECT = "direct"  # prediction and truth are given on the same elements

Walk = Literal["score", "file"]


@dataclass(frozen=True)
class SceneOverlaps:
    """What AP needs to know of one scene: P predictions, in the order they are walked, against G true instances."""

    intersections: np.ndarray  # (P, G) float64, elements in both
    predicted_sizes: np.ndarray  # (P,) elements
    true_sizes: np.ndarray  # (G,) elements
    void_intersections: np.ndarray  # (P,) elements of the prediction that are void
    scores: np.ndarray  # (P,)
    predicted_classes: np.ndarray  # (P,) int64
    true_classes: np.ndarray  # (G,) int64
    predicted_rows: np.ndarray  # (P,) row of the caller's `masks` that each prediction came from
    true_ids: np.ndarray  # (G,) instance id of each true instance
    true_is_group: np.ndarray  # (G,) bool: not one instance; nothing to find, and nothing held against who reports it
    protocol: str = DIRECT

    @property
    def ious(self) -> np.ndarray:
        """(P, G) intersection over union."""
        union = self.predicted_sizes[:, None] + self.true_sizes[None] - self.intersections
        return self.intersections / np.maximum(union, 1.0)

    def without_classes(self) -> SceneOverlaps:
        """The same overlaps with every instance in one class."""
        return replace(
            self,
            predicted_classes=np.full_like(self.predicted_classes, CLASS_AGNOSTIC),
            true_classes=np.full_like(self.true_classes, CLASS_AGNOSTIC),
        )

    def counted(self, min_points: int) -> np.ndarray:
        """(G,) bool: the true instances that are to be found."""
        return (self.true_sizes >= min_points) & ~self.true_is_group


@dataclass(frozen=True)
class InstanceAp:
    """Average precisions, 0..1; NaN where there was nothing to find."""

    ap: float  # mean over the nine thresholds
    ap50: float
    ap25: float
    per_class: dict[int, tuple[float, float, float]] = field(default_factory=dict)  # class -> (ap, ap50, ap25)
    num_true: int = 0  # true instances that count (at least `min_points` elements)
    num_predicted: int = 0
    ap_with_95: float = math.nan  # mean over ten thresholds, 0.95 among them: not the benchmark's AP
    protocol: str = DIRECT  # of all scenes


def measure_overlaps(
    masks: Tensor,
    scores: Tensor,
    true_ids: Tensor,
    *,
    predicted_classes: Tensor | None = None,
    class_of_id: dict[int, int] | None = None,
    void: Tensor | None = None,
    min_points: int = DEFAULT_MIN_POINTS,
    walk: Walk = "score",
) -> SceneOverlaps:
    """Reduce one scene to its overlaps, as ScanNet's program for 3D instances takes them.

    Args:
        masks: (P, ...) bool.
        scores: (P,), higher is surer.
        true_ids: (...) integers, 0 = belongs to no instance.
        predicted_classes: (P,); needed for class-aware AP only.
        class_of_id: Instance id -> class; needed for class-aware AP only.
        void: (...) bool, elements without ground truth: unlike id 0, which is known to be background, a prediction on void is
            not a mistake.
        min_points: Predictions under so many elements are dropped, as the benchmark does.
        walk: The order in which predictions claim instances, see above.

    Returns:
        Of the predictions that are large enough, in the order of `walk`.

    Raises:
        ValueError: The shapes disagree, or `walk` is not known.
    """
    _require_fit(masks, scores, true_ids, walk)
    flat_masks = masks.reshape(masks.shape[0], true_ids.numel()).bool().cpu().numpy()
    score_values = scores.detach().double().cpu().numpy()
    ids, column = np.unique(true_ids.reshape(-1).cpu().numpy(), return_inverse=True)
    if void is not None:  # a column of its own, behind those of the ids
        column = np.where(void.reshape(-1).cpu().numpy(), len(ids), column)
    rows = np.arange(len(score_values)) if walk == "file" else np.argsort(-score_values, kind="stable")
    sizes = np.count_nonzero(flat_masks, axis=1)
    rows = rows[sizes[rows] >= min_points]
    counts = np.zeros((len(rows), len(ids) + 1))
    for place, row in enumerate(rows):
        counts[place] = np.bincount(column[flat_masks[row]], minlength=len(ids) + 1)
    true_sizes = np.bincount(column, minlength=len(ids) + 1)[:-1].astype(np.float64)
    present = (ids > 0) & (true_sizes > 0)
    classes = class_of_id or {}
    row_classes = np.full(len(score_values), CLASS_AGNOSTIC, dtype=np.int64)
    if predicted_classes is not None:
        row_classes = predicted_classes.cpu().numpy().astype(np.int64)
    return SceneOverlaps(
        intersections=counts[:, :-1][:, present],
        predicted_sizes=sizes[rows].astype(np.float64),
        true_sizes=true_sizes[present],
        void_intersections=counts[:, -1],
        scores=score_values[rows],
        predicted_classes=row_classes[rows],
        true_classes=np.array([classes.get(int(i), CLASS_AGNOSTIC) for i in ids[present]], dtype=np.int64),
        predicted_rows=rows,
        true_ids=ids[present],
        true_is_group=np.zeros(int(present.sum()), dtype=bool),
    )


def _require_fit(masks: Tensor, scores: Tensor, true_ids: Tensor, walk: str) -> None:
    if masks.shape[1:] != true_ids.shape:
        raise ValueError(f"masks: expected shape (P, {', '.join(map(str, true_ids.shape))}), got {tuple(masks.shape)}")
    if scores.shape != masks.shape[:1]:
        raise ValueError(f"scores: expected shape ({masks.shape[0]},), got {tuple(scores.shape)}")
    if walk not in ("score", "file"):
        raise ValueError(f"walk: expected score or file, got {walk!r}")


def instance_ap(
    scenes: Sequence[SceneOverlaps], *, class_aware: bool = False, min_points: int = DEFAULT_MIN_POINTS
) -> InstanceAp:
    """Average precision over a data set by the rules of the ScanNet 3D instance benchmark.

    Args:
        scenes: Overlaps of all scenes, measured under one protocol.
        class_aware: The mean over classes, instead of one pooled ranking. A negative class means none: such instances have no
            part in the mean.
        min_points: True instances under so many elements do not count.

    Returns:
        AP, AP50 and AP25, NaN where there is nothing to find.

    Raises:
        ValueError: The scenes are of more than one protocol.
    """
    protocols = sorted({scene.protocol for scene in scenes})
    if len(protocols) > 1:
        raise ValueError(f"scenes: expected one protocol, got {'; '.join(protocols)}")
    pool = list(scenes) if class_aware else [scene.without_classes() for scene in scenes]
    found = sorted({int(c) for scene in pool for c in scene.true_classes[scene.counted(min_points)] if c >= 0})
    curves = {class_id: _class_aps(pool, class_id, min_points) for class_id in found}
    nine = len(THRESHOLDS)
    per_class = {class_id: (_mean(values[:nine]), values[0], values[-1]) for class_id, values in curves.items()}
    return InstanceAp(
        ap=_mean([item[0] for item in per_class.values()]),
        ap50=_mean([item[1] for item in per_class.values()]),
        ap25=_mean([item[2] for item in per_class.values()]),
        per_class=per_class,
        num_true=int(sum(scene.counted(min_points).sum() for scene in pool)),
        num_predicted=int(sum(len(scene.scores) for scene in pool)),
        ap_with_95=_mean([_mean(values[:-1]) for values in curves.values()]),
        protocol=protocols[0] if protocols else DIRECT,
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _class_aps(scenes: Sequence[SceneOverlaps], class_id: int, min_points: int) -> list[float]:
    """AP at each of `THRESHOLDS`, at 0.95 and at 0.25."""
    selected = [_select_class(scene, class_id) for scene in scenes]
    selected = [scene for scene in selected if len(scene.scores) or len(scene.true_ids)]
    return [_threshold_ap(selected, threshold, min_points) for threshold in (*THRESHOLDS, 0.95, 0.25)]


def _select_class(scene: SceneOverlaps, class_id: int) -> SceneOverlaps:
    rows = scene.predicted_classes == class_id
    columns = scene.true_classes == class_id
    by_prediction = ("predicted_sizes", "void_intersections", "scores", "predicted_classes", "predicted_rows")
    by_truth = ("true_sizes", "true_classes", "true_ids", "true_is_group")
    return replace(
        scene,
        intersections=scene.intersections[rows][:, columns],
        **{name: getattr(scene, name)[rows] for name in by_prediction},
        **{name: getattr(scene, name)[columns] for name in by_truth},
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
    counted = scene.counted(min_points)
    used = np.zeros(len(scene.scores), dtype=bool)
    is_true: list[float] = []
    scores: list[float] = []
    missed = 0
    for column in np.flatnonzero(counted):
        candidates = [row for row in np.flatnonzero(over[:, column]) if not used[row]]
        if not candidates:
            missed += 1
            continue
        used[candidates[0]] = True  # the others stay free for further instances
        is_true += [1.0] + [0.0] * (len(candidates) - 1)
        scores += sorted((float(scene.scores[row]) for row in candidates), reverse=True)
    ignorable = scene.void_intersections + scene.intersections[:, scene.true_is_group].sum(axis=1)
    ignorable = ignorable + scene.intersections[:, scene.true_sizes < min_points].sum(axis=1)  # small groups twice, as there
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
