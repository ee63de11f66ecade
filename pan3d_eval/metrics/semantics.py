"""Semantic segmentation: mean IoU and accuracy, in two forms that give different figures for the same maps.

* Pooled (LSM, and most others): one confusion matrix over all images; IoU per class; mean over the classes that occur in
  truth or prediction.
* Per image (EPS3D): IoU per class and image, mean over the images in which the class occurs in truth or prediction, then mean
  over *all* classes, of which those that never occur count 0: small sets come out too low.

Both leave out elements without true class and take accuracy as the share of right elements of all images together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class SemanticScores:
    """0..1; NaN where nothing was labelled."""

    form: str  # "pooled" or "per image": figures of different forms do not compare
    miou: float
    accuracy: float
    per_class: np.ndarray  # (C,) IoU; NaN for a class that does not occur


def semantic_confusion(predicted: Tensor, truth: Tensor, num_classes: int) -> np.ndarray:
    """Count the elements of one image by true class (row) and predicted class (column, the last one: none).

    Args:
        predicted: Integers of any shape, -1 = none.
        truth: Of the same shape; elements without true class are left out.
        num_classes: C.

    Returns:
        (C, C + 1) counts.

    Raises:
        ValueError: Shapes differ, or a class is out of range.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted: expected the truth's shape {tuple(truth.shape)}, got {tuple(predicted.shape)}")
    true, seen = (item.reshape(-1).cpu().numpy().astype(np.int64) for item in (truth, predicted))
    for name, values in (("predicted", seen), ("truth", true)):
        if values.size and not (values.min() >= -1 and values.max() < num_classes):
            raise ValueError(f"{name}: expected classes -1..{num_classes - 1}, got {values.min()}..{values.max()}")
    kept = true >= 0
    column = np.where(seen[kept] < 0, num_classes, seen[kept])
    counts = np.bincount(true[kept] * (num_classes + 1) + column, minlength=num_classes * (num_classes + 1))
    return counts.reshape(num_classes, num_classes + 1)


def pooled_semantic_scores(confusions: Sequence[np.ndarray]) -> SemanticScores:
    """The form of LSM, from the confusion matrices of all images."""
    per_class = _class_ious(np.sum(confusions, axis=0)) if len(confusions) else np.zeros(0)
    known = per_class[~np.isnan(per_class)]
    return SemanticScores("pooled", float(known.mean()) if len(known) else math.nan, _accuracy(confusions), per_class)


def per_image_semantic_scores(confusions: Sequence[np.ndarray]) -> SemanticScores:
    """The form of EPS3D, from the confusion matrices of all images."""
    if not len(confusions):
        return SemanticScores("per image", math.nan, math.nan, np.zeros(0))
    ious = np.stack([_class_ious(item) for item in confusions])
    occurs = ~np.isnan(ious)
    images = occurs.sum(0)
    per_class = np.where(images > 0, np.where(occurs, ious, 0.0).sum(0) / np.maximum(images, 1), math.nan)
    mean = float(np.where(images > 0, per_class, 0.0).mean()) if images.any() else math.nan
    return SemanticScores("per image", mean, _accuracy(confusions), per_class)


def _class_ious(confusion: np.ndarray) -> np.ndarray:
    """(C,) IoU, NaN for a class in neither map."""
    hits = np.diag(confusion[:, :-1]).astype(np.float64)
    union = confusion.sum(1) + confusion[:, :-1].sum(0) - hits
    return np.divide(hits, union, out=np.full_like(hits, math.nan), where=union > 0)


def _accuracy(confusions: Sequence[np.ndarray]) -> float:
    total = sum(int(item.sum()) for item in confusions)
    return sum(int(np.trace(item[:, :-1])) for item in confusions) / total if total else math.nan
