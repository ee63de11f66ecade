"""Errors of objects as a robot meets them: is it found, where is it, how large is it, what is it called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.geometry.boxes import box_iou
from pan3d_core.scene_io import SceneObject
from pan3d_core.structures import Panoptic3D

FOUND_IOU = 0.5  # of masks over all views


@dataclass(frozen=True)
class ObjectErrors:
    """One true object against the segment whose masks overlap it most."""

    instance_id: int  # of the true object
    mask_iou: float  # over all views; 0 when nothing overlaps it
    center_mm: float | None  # distance of the box centres; None when not found or lengths are not metric
    box_iou: float | None  # of the oriented boxes, likewise
    named_right: bool | None  # whether the class names agree; None when not found or either is unnamed

    @property
    def found(self) -> bool:
        """Whether more than half of prediction and truth agree."""
        return self.mask_iou > FOUND_IOU


def object_errors(
    panoptic: Panoptic3D, true_ids: Tensor, objects: Sequence[SceneObject], names: Sequence[str], *, is_metric: bool
) -> list[ObjectErrors]:
    """Errors of every true object that is visible in `true_ids` (S, h, w); `names`: class names that `class_id` of the
    objects refers to."""
    segments = {segment.instance_id: segment for segment in panoptic.segments}
    predicted = panoptic.instance_id.to(true_ids.device)
    sizes = torch.bincount(predicted.flatten())
    errors = []
    for item in objects:
        mask = true_ids == item.instance_id
        if not bool(mask.any()):
            continue
        shared = torch.bincount(predicted[mask], minlength=len(sizes)).double()
        ious = shared / (sizes + mask.sum() - shared)
        ious[0] = 0.0
        best = int(ious.argmax())
        iou = float(ious[best])
        segment = segments.get(best) if iou > FOUND_IOU else None
        center, overlap, named = None, None, None
        if segment is not None and item.box is not None and is_metric:
            offset = segment.box.world_from_box[:3, 3].cpu() - item.box.world_from_box[:3, 3].cpu()
            center, overlap = 1000.0 * float(offset.norm()), box_iou(segment.box, item.box)
        if segment is not None and segment.class_id >= 0 and item.class_id >= 0:
            named = panoptic.labels.name(segment.class_id) == names[item.class_id]
        errors.append(ObjectErrors(item.instance_id, iou, center, overlap, named))
    return errors
