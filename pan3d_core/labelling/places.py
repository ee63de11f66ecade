"""Objects by place: surfaces that stand on the support in the depth of all views, joined to things, and shown in every view.

One view measures an object in parts: depth has holes, and others hide it. All views together measure nearly all of it. So
surfaces are cut out of the depth of all views at once, and each view is shown what any of them measured, as far as it does not
look through it. What stands on nothing hangs on the thing beside it: petals on a stalk, a lid on a can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.engines.facts import Engine
from pan3d_core.geometry.arrays import Floats, Ints
from pan3d_core.geometry.cameras import project, unproject_depth
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.structures import CameraView
from pan3d_core.views.preprocessing import preprocess

FOOT_M = 0.015  # a surface whose lowest points are higher above the support does not stand on it
REACH_M = 0.02  # of what hangs, to the thing that it hangs on
THROUGH_M = 0.02  # a pixel that measures this much farther looks past a place
LAYER_M = 0.03  # what lies this much behind the nearest place around a pixel is hidden there
CRUMB = 0.25  # share of the places of the thing beside it, below which a thing may be a part of that
LEAST_HITS = 4  # of the nine pixels around one, that a thing must fill to have it
_LOWEST = 1.0  # percentile of heights, below which points are noise
_FINE_M, _COARSE_M = 0.003, 0.01  # one point is kept in a cube of this side, of things and of all else
_FAR_M = 1e3  # depth where nothing is


@dataclass(frozen=True)
class Places:
    """N places in the world."""

    points: Tensor  # (N, 3) metres
    owner: Tensor  # (N,) int64 id of the object, 0 = none


@dataclass(frozen=True)
class ShownPlaces:
    """What V views show of places."""

    ids: Tensor  # (V, H, W) int64 object, 0 = none
    known: Tensor  # (V, H, W) bool, whether anything was measured there, by this view or another one
    depth: Tensor  # (V, H, W) metres of the places that are shown, 0 = none


def places_of_depth(engine: Engine, views: Sequence[CameraView], support_height_m: float) -> Places:
    """Cut things out of the depth of views.

    Args:
        engine: `depth_clusters`.
        views: V with poses; at least one has depth.
        support_height_m: World z of the surface that things stand on, metres.

    Returns:
        Things, and what else was measured.
    """
    batch = preprocess(list(views), engine.facts.preprocess, support_height_m)
    reconstruction, found = engine(batch)
    measured = reconstruction.depth > 0
    points = unproject_depth(reconstruction.depth, reconstruction.intrinsics, reconstruction.cam_from_world)[measured]
    numbers = torch.arange(1, len(found.scores) + 1)[:, None, None, None]
    owner = (numbers * (found.mask_logits > 0)).sum(0)[measured]
    piece = owner > 0
    things, number = _thinned(points[piece].double().numpy(), owner[piece].numpy(), _FINE_M)
    rest, nobody = _thinned(points[~piece].double().numpy(), owner[~piece].numpy(), _COARSE_M)
    joined = _with_hanging(things, number, support_height_m)
    return Places(torch.from_numpy(np.concatenate([things, rest])).float(), torch.from_numpy(np.concatenate([joined, nobody])))


def _thinned(points: Floats, owner: Ints, side_m: float) -> tuple[Floats, Ints]:
    """One point of each owner in each cube."""
    cubes = np.floor(points / side_m).astype(np.int64)
    first = np.unique(np.column_stack([cubes, owner]), axis=0, return_index=True)[1]
    return points[first], owner[first]


def _with_hanging(points: Floats, number: Ints, support_height_m: float) -> Ints:
    """(N,) numbers from 1, where pieces that do not stand have that of the nearest piece beside them, the smallest first."""
    clouds = [points[number == value] for value in np.unique(number)]
    trees = [cKDTree(cloud) for cloud in clouds]
    near: dict[tuple[int, int], float] = {}
    for first, cloud in enumerate(clouds):
        for second in range(first):
            gap = float(np.min(trees[second].query(cloud, distance_upper_bound=REACH_M)[0]))
            near[first, second] = near[second, first] = gap
    stands = [float(np.percentile(cloud[:, 2], _LOWEST)) - support_height_m < FOOT_M for cloud in clouds]
    members = {row: [row] for row in range(len(clouds))}
    for _ in range(len(clouds)):
        hanging = [group for group, rows in members.items() if not any(stands[row] for row in rows)]
        hanging.sort(key=lambda group: sum(len(clouds[row]) for row in members[group]))
        for group in hanging:
            others = [
                (near[a, b], other) for other, rows in members.items() if other != group for a in members[group] for b in rows
            ]
            gap, other = min(others, default=(np.inf, group))
            if gap < REACH_M:
                members[other] += members.pop(group)
                break
        else:
            break
    joined = np.zeros(len(points), dtype=np.int64)
    for value, rows in enumerate(members.values(), start=1):
        joined[np.isin(number, np.unique(number)[rows])] = value
    return joined


def crumbs(places: Places) -> frozenset[int]:
    """Find things that may be parts of what is beside them: much smaller, and hardly farther away than a joint.

    Args:
        places: Of things that stand.

    Returns:
        Their ids.
    """
    ids = [value for value in places.owner.unique().tolist() if value > 0]
    clouds = {value: places.points[places.owner == value].double().numpy() for value in ids}
    trees = {value: cKDTree(cloud) for value, cloud in clouds.items()}
    return frozenset(
        small
        for small in ids
        for large in ids
        if len(clouds[small]) < CRUMB * len(clouds[large])
        and float(np.min(trees[large].query(clouds[small], distance_upper_bound=REACH_M)[0])) < REACH_M
    )


def shown_places(places: Places, views: Sequence[CameraView]) -> ShownPlaces:
    """Show places in views.

    Args:
        places: In the world of the views.
        views: V of one size, with poses; where one measures something far behind a thing it does not show the thing.

    Returns:
        Objects, what is known, and depth.
    """
    made = [_in_view(places, view) for view in views]
    ids, known, depth = (torch.stack(parts) for parts in zip(*made, strict=True))
    return ShownPlaces(ids, known, depth)


def _in_view(places: Places, view: CameraView) -> tuple[Tensor, Tensor, Tensor]:
    intrinsics, cam_from_world = (item.float().cpu() for item in view.calibration())
    height, width = view.hw
    pixels, z = project(transform_points(cam_from_world, places.points), intrinsics)
    column, row = pixels.round().long().unbind(-1)
    inside = (z > 0) & (column >= 0) & (row >= 0) & (column < width) & (row < height)
    count = int(places.owner.max()) + 1 if len(places.owner) else 1
    slot = (places.owner * height * width + row * width + column)[inside]
    nearest = torch.full((count * height * width,), _FAR_M).scatter_reduce(0, slot, z[inside], "amin").view(count, height, width)
    front = -F.max_pool2d(-nearest.amin(0)[None, None], 3, stride=1, padding=1)[0, 0]
    is_there = nearest < _FAR_M
    layer = (is_there & (nearest < front + LAYER_M)).float()
    filled = _around(layer)
    share, best = torch.cat([torch.zeros_like(filled[:1]), filled[1:]]).max(0)
    ids = torch.where(share > (LEAST_HITS - 0.5) / 9, best, 0)
    farthest = F.max_pool2d(torch.where(is_there, nearest, 0.0)[None], 3, stride=1, padding=1)[0].gather(0, ids[None])[0]
    measured = torch.zeros(view.hw) if view.depth is None else view.depth.float().cpu()
    ids = torch.where((ids > 0) & (measured > farthest + THROUGH_M), 0, ids)
    own = filled.gather(0, ids[None])[0]
    depth = torch.where(own > 0, _around(layer * nearest).gather(0, ids[None])[0] / own.clamp_min(1e-6), 0.0)
    return ids, (measured > 0) | (depth > 0), depth


def _around(values: Tensor) -> Tensor:
    """(K, H, W) means of the nine pixels around each."""
    return F.avg_pool2d(values[None], 3, stride=1, padding=1, count_include_pad=False)[0]
