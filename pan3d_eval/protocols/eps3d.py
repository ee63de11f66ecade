"""Labels, image size and border of the evaluation released with EPS3D, on ScanNet.

nyu40 names outside the seven classes are "other"; elements without annotation are ignored. "background" is a class that only
predictions can have. Use `eps3d_maps` on every map, then `panoptic_quality` per scene with `MIN_SHARE` and `semantic_confusion`
with `per_image_semantic_scores`. The printed table of the reference program swaps the columns of SQ and RQ.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pan3d_core.labels import LabelSpace
from pan3d_eval.metrics.panoptic import PanopticQuality, panoptic_quality

SIZE = 256  # pixels, both sides
BORDER = 25  # cut off on each side
MIN_SHARE = 0.005
CLASSES = ("background", "wall", "floor", "ceiling", "chair", "table", "sofa", "bed", "other")
THINGS = ("chair", "table", "sofa", "bed")
LABELS = LabelSpace(CLASSES, tuple(name in THINGS for name in CLASSES))
OTHER = CLASSES.index("other")


def eps3d_class(nyu40_name: str) -> int:
    """Class of an annotated nyu40 name, as an index into `LABELS`."""
    return CLASSES.index(nyu40_name) if nyu40_name in CLASSES[1:] else OTHER


def eps3d_maps(values: Tensor) -> Tensor:
    """(S, h, w) integers -> (S, 206, 206): nearest pixel at 256 x 256, then the border cut off."""
    if values.ndim != 3:
        raise ValueError(f"values: expected shape (S, h, w), got {tuple(values.shape)}")
    resized = interpolate(values[:, None].double(), size=(SIZE, SIZE), mode="nearest")[:, 0].to(values.dtype)
    return resized[:, BORDER:-BORDER, BORDER:-BORDER]


def eps3d_panoptic_quality(
    predicted: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor], labels: LabelSpace = LABELS
) -> PanopticQuality:
    """Measure panoptic quality of one scene as EPS3D's program does.

    Args:
        predicted: (semantic_id, instance_id), each (S, h, w) at any size; classes as in `labels`.
        truth: Likewise, perhaps of another size; semantic 0 or below = not annotated.
        labels: What the classes are, the first of them background.

    Returns:
        All 0 where no class is left, as in the released program.

    Raises:
        ValueError: A map is not (S, h, w).
    """
    (semantic_p, instance_p), (semantic_t, instance_t) = (tuple(eps3d_maps(item) for item in pair) for pair in (predicted, truth))
    semantic_t = torch.where(semantic_t > 0, semantic_t, -1)
    quality = panoptic_quality((semantic_p, instance_p), (semantic_t, instance_t), labels, MIN_SHARE)
    return PanopticQuality(0.0, 0.0, 0.0, {}) if math.isnan(quality.pq) else quality
