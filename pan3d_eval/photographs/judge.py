"""What was found of the things on a photograph."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pan3d_core.pictures.overlays import ids_on_image
from pan3d_core.structures import PerceptionResult
from pan3d_core.views.sampling import sample_at_network
from pan3d_eval.metrics.depth import depth_errors
from pan3d_eval.photographs.catalogue import Box, Photograph

FOUND_IOU = 0.5  # of the outline's bounding box with the box drawn by hand
FOUND_FILL = 0.5  # of the thing's own area that the segment has at least


@dataclass(frozen=True)
class FoundThing:
    """What became of one thing."""

    iou: float  # of the best segment's bounding box
    fill: float  # area of the segment over the area of the thing
    name: str  # that the segment has; empty where nothing was found
    right_name: bool

    @property
    def found(self) -> bool:
        """Whether a segment is this thing."""
        return self.iou >= FOUND_IOU and self.fill >= FOUND_FILL


@dataclass(frozen=True)
class PhotographFigures:
    """What was found on one photograph."""

    things: tuple[FoundThing, ...]  # in the catalogue's order
    num_segments: int  # seen in the first picture
    largest_share: float  # of the first picture's area that one segment has
    abs_rel: float  # of the first picture's depth; NaN where the truth is unknown or the result is not metric
    abs_rel_scaled: float  # the same under one scale, the ratio of medians

    @property
    def num_found(self) -> int:
        """Things that a segment is."""
        return sum(thing.found for thing in self.things)

    @property
    def num_named(self) -> int:
        """Things found and called by a right noun."""
        return sum(thing.found and thing.right_name for thing in self.things)


def judge_photograph(
    photograph: Photograph, result: PerceptionResult, depth: npt.NDArray[np.float32] | None = None
) -> PhotographFigures:
    """Compare a result with what is written down about a photograph.

    Args:
        photograph: Whose pictures were processed, the first one first.
        result: Of them.
        depth: (H, W) true z-depth of the first picture in metres, 0 = unknown, where it is known.

    Returns:
        Figures. Each segment is at most one thing, pairs with the largest overlap first.
    """
    mapping, hw = result.views.network_from_original[0], result.views.original_hw[0]
    ids = ids_on_image(result.panoptic.instance_id[0].cpu(), mapping, hw)
    boxes = {int(number): bounding_box(ids == number) for number in np.unique(ids) if number > 0}
    shares = {number: float((ids == number).mean()) for number in boxes}
    names = {segment.instance_id: result.panoptic.labels.name(segment.class_id) or "" for segment in result.panoptic.segments}
    pairs = sorted(
        (
            (box_iou(thing.box, box), index, number)
            for index, thing in enumerate(photograph.things)
            for number, box in boxes.items()
        ),
        reverse=True,
    )
    found: dict[int, FoundThing] = {}
    used: set[int] = set()
    for iou, index, number in pairs:
        if index not in found and number not in used and iou > 0:
            used.add(number)
            thing = photograph.things[index]
            found[index] = FoundThing(
                iou, shares[number] / (thing.fill * area(thing.box)), names[number], names[number] in thing.names
            )
    things = tuple(found.get(index, FoundThing(0.0, 0.0, "", False)) for index in range(len(photograph.things)))
    errors = (math.nan, math.nan)
    if depth is not None:
        truth = sample_at_network(torch.from_numpy(depth), mapping, result.views.hw)
        found_depth = depth_errors(result.reconstruction.depth[0].cpu(), truth)
        errors = found_depth.abs_rel if result.is_metric else math.nan, found_depth.abs_rel_median
    return PhotographFigures(things, len(boxes), max(shares.values(), default=0.0), *errors)


def bounding_box(mask: npt.NDArray[np.bool_]) -> Box:
    """Find the box around the pixels of a mask; shares of width and height."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return float(columns[0] / width), float(rows[0] / height), float((columns[-1] + 1) / width), float((rows[-1] + 1) / height)


def box_iou(one: Box, other: Box) -> float:
    """Divide the area that two boxes share by the area that either covers."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    both = area(one) + area(other) - shared
    return shared / both if both > 0 else 0.0


def area(box: Box) -> float:
    """Multiply the sides of a box; a share of the picture."""
    return (box[2] - box[0]) * (box[3] - box[1])
