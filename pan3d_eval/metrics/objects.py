"""Errors of objects as a robot meets them: is it found, where is it, how large is it, what is it called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox, box_iou
from pan3d_core.structures import Panoptic3D, Segment
from pan3d_core.views.scene_folder import SceneObject

FOUND_IOU = 0.5  # of masks over all views


@dataclass(frozen=True)
class ObjectErrors:
    """One true object against the segment whose masks overlap it most."""

    instance_id: int  # of the true object
    mask_iou: float  # over all views; 0 when nothing overlaps it
    center_mm: float | None  # distance of the box centres; None when not found or lengths are not metric
    box_iou: float | None  # of the oriented boxes, likewise
    named_right: bool | None  # whether the class names agree; None when not found or either is unnamed
    extent_mm: float | None = None  # mean difference of the boxes' sides, as `box_extent_error_mm`, likewise
    pixels_per_view: float = math.nan  # of the true object, mean over the views that see it
    segment_id: int = 0  # the segment that overlaps it most, 0 = none overlaps it
    place_nees: float | None = None  # squared error of the box's centre, normalized by its covariance; None where it has none

    @property
    def found(self) -> bool:
        """Whether more than half of prediction and truth agree."""
        return self.mask_iou > FOUND_IOU


def recall_of_small(errors: Iterable[ObjectErrors], max_pixels: float) -> float:
    """Share of the true objects under `max_pixels` per view that were found; NaN when there is none that small."""
    found = [item.found for item in errors if item.pixels_per_view < max_pixels]
    return sum(found) / len(found) if found else math.nan


def box_center_error_mm(predicted: OrientedBox, truth: OrientedBox) -> float:
    """Distance of the boxes' centres."""
    offset = predicted.world_from_box[:3, 3].cpu().double() - truth.world_from_box[:3, 3].cpu().double()
    return 1000.0 * float(offset.norm())


def place_nees(segment: Segment, truth: OrientedBox) -> float | None:
    """Normalized estimation error squared of the box's centre: 3 on average where the covariance is right (chi-square of three
    degrees of freedom); None where the segment has no covariance."""
    if segment.position_covariance is None:
        return None
    offset = (segment.box.world_from_box[:3, 3] - truth.world_from_box[:3, 3].to(segment.box.world_from_box)).double()
    return float(offset @ torch.linalg.solve(segment.position_covariance.double(), offset))


def box_extent_error_mm(predicted: OrientedBox, truth: OrientedBox) -> float:
    """Mean absolute difference of the three sides, as `side_errors`."""
    return 1000.0 * float(side_errors(predicted, truth).abs().mean())


def side_errors(predicted: OrientedBox, truth: OrientedBox) -> Tensor:
    """Compare the sides of two boxes, each true side with the predicted one that is most parallel to it.

    Which axis of a box is called x has no influence; a box turned by a right angle is wrong by its sides' difference.

    Args:
        predicted: Its axes are those of the answer.
        truth: In the same world.

    Returns:
        (3,) metres by which the true sides are longer.
    """
    likeness = (truth.world_from_box[:3, :3].cpu().double().T @ predicted.world_from_box[:3, :3].cpu().double()).abs()
    sizes_p, sizes_t = predicted.size_m.cpu().double(), truth.size_m.cpu().double()
    partner = list(max(permutations(range(3)), key=lambda order: float(likeness[[0, 1, 2], list(order)].sum())))
    longer = torch.zeros_like(sizes_p)
    longer[partner] = sizes_t - sizes_p[partner]
    return longer


def object_errors(
    panoptic: Panoptic3D, true_ids: Tensor, objects: Sequence[SceneObject], names: Sequence[str], *, is_metric: bool
) -> list[ObjectErrors]:
    """Measure every true object that is visible.

    Args:
        panoptic: The result, at the pixels of `true_ids`.
        true_ids: (S, h, w) integers, 0 = none.
        objects: The true objects.
        names: Class names that the objects' `class_id` refers to.
        is_metric: Whether lengths of the result are metres; otherwise errors of boxes are None.

    Returns:
        One for each object with a pixel in `true_ids`, in their order; lengths in millimetres.
    """
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
        center, extent, overlap, named, nees = None, None, None, None, None
        if segment is not None and item.box is not None and is_metric:
            center, extent = box_center_error_mm(segment.box, item.box), box_extent_error_mm(segment.box, item.box)
            overlap, nees = box_iou(segment.box, item.box), place_nees(segment, item.box)
        if segment is not None and segment.class_id >= 0 and item.class_id >= 0:
            named = panoptic.labels.name(segment.class_id) == names[item.class_id]
        per_view = mask.flatten(1).sum(1)
        pixels = float(per_view[per_view > 0].double().mean())
        overlapping = best if iou > 0 else 0
        errors.append(ObjectErrors(item.instance_id, iou, center, overlap, named, extent, pixels, overlapping, nees))
    return errors
