"""What views say about the places of objects that were not found: hidden, empty, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.structures import Reconstruction

SAMPLES = 96  # points of an object that are looked for in each view
# Of an object's points that a view must have in its picture, with depth, to say anything.
MIN_INSIDE = 0.5
MOST = 0.5  # of those, that decide what a view says
RELATIVE_MARGIN = 0.03  # of the distance: depth of a network is a few per cent off


class Place(Enum):
    """What the views say together about the place of an object."""

    NOT_LOOKED = "no view looks there"
    HIDDEN = "hidden in every view that looks there"
    EMPTY = "seen empty"
    UNCLEAR = "neither hidden nor empty"


@dataclass(frozen=True)
class Evidence:
    """About one object."""

    place: Place
    hidden_by: tuple[int, ...] = ()  # ids in the pixels before it, most first; without 0, what is no object
    views: int = 0  # that say so
    by_robot: bool = False  # most of what is before it is the robot itself


def look_for(
    surfaces: Sequence[Tensor], seen: Reconstruction, instance_id: Tensor, margin_m: float, body: Tensor | None = None
) -> list[Evidence]:
    """Compare the depth that views see with that of objects as they were.

    A view's nearer half of an object's points is what it would show; where most of them lie behind what is seen, the object is
    hidden, where most lie before it, the view looks through the place. The robot hides what is behind it, and shows no place
    empty.

    Args:
        surfaces: (M, 3) points of each object, metres, world; at least one.
        seen: Metric.
        instance_id: (S, h, w) owners of the pixels of `seen`, 0 = none.
        margin_m: Difference of depth that says nothing, at least; 3 % of the distance where that is more.
        body: (S, h, w) bool, the pixels that show the robot; None = none do.

    Returns:
        One for each object.
    """
    if not surfaces:
        return []
    points = torch.stack([_sampled(item) for item in surfaces])  # (K, P, 3)
    pixels, depth = project(transform_points(seen.cam_from_world, points.reshape(1, -1, 3)), seen.intrinsics)  # (S, K * P)
    shape = (len(seen.depth), len(surfaces), SAMPLES)
    height, width = seen.depth.shape[-2:]
    column, row = pixels.round().unbind(-1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (depth > 0)
    flat = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
    depth, inside = depth.reshape(shape), inside.reshape(shape)
    measured = seen.depth.flatten(1).gather(1, flat).reshape(shape)
    owner = instance_id.flatten(1).gather(1, flat).reshape(shape)
    front = depth <= depth.median(dim=-1, keepdim=True).values
    counted = front & inside & (measured > 0) & measured.isfinite()
    margin = (RELATIVE_MARGIN * depth).clamp_min(margin_m)
    hidden = counted & (measured < depth - margin)
    robot = torch.zeros_like(counted) if body is None else body.flatten(1).gather(1, flat).reshape(shape)
    through = counted & (measured > depth + margin) & ~robot
    total = counted.sum(-1)
    looks = total >= MIN_INSIDE * front.sum(-1)
    says_hidden = looks & (hidden.sum(-1) >= MOST * total)
    says_empty = looks & (through.sum(-1) >= MOST * total)
    by_robot = 2 * (hidden & robot).sum((0, 2)) > hidden.sum((0, 2))
    found = [_together(looks[:, k], says_hidden[:, k], says_empty[:, k], owner[:, k][hidden[:, k]]) for k in range(len(surfaces))]
    return [replace(item, by_robot=item.place is Place.HIDDEN and bool(by_robot[k])) for k, item in enumerate(found)]


def _together(looks: Tensor, hidden: Tensor, empty: Tensor, owners: Tensor) -> Evidence:
    """What (S,) views say together; `owners` of the pixels before the object."""
    if not bool(looks.any()):
        return Evidence(Place.NOT_LOOKED)
    num_looking, num_hidden, num_empty = int(looks.sum()), int(hidden.sum()), int(empty.sum())
    if num_hidden == num_looking:
        ids, counts = owners[owners > 0].unique(return_counts=True)
        return Evidence(Place.HIDDEN, tuple(ids[counts.argsort(descending=True)].tolist()), num_hidden)
    if 2 * num_empty > num_looking - num_hidden:
        return Evidence(Place.EMPTY, views=num_empty)
    return Evidence(Place.UNCLEAR, views=num_looking - num_hidden - num_empty)


def _sampled(points: Tensor) -> Tensor:
    """SAMPLES of the points, evenly, some of them twice where there are fewer."""
    return points[torch.linspace(0, len(points) - 1, SAMPLES).round().long()]
