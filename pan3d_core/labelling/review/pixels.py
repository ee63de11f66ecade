"""The pixels of objects: what belongs to which after some actions, and how an object falls into pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox, upright_box
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.voxels import build_voxel_graph, components
from pan3d_core.labelling.review.actions import ADD, MERGE, OUTLINE, SPLIT, Action
from pan3d_core.labelling.review.runs import Piece, mask_of, runs_of
from pan3d_core.views.scene_folder import Scene

Ints = npt.NDArray[np.int64]
ViewMasks = tuple[Tensor, ...]  # (H, W) bool of every view

VOXEL_M = 0.01  # parts that are farther apart than a voxel are separate
SPECK = 0.05  # share of an object below which a separate part is none of its own
_TRIM = 0.02  # share of an object's points that its box leaves out on every side
_MIN_POINTS = 4  # that a box can be put around


@dataclass(frozen=True)
class ScenePixels:
    """What every pixel of V views shows."""

    ids: ViewMasks  # (H, W) int64 object, 0 = none
    points: tuple[Tensor, ...]  # (H, W, 3) world, metres; NaN where depth is not known

    def inside(self, object_id: int) -> ViewMasks:
        """Where an object is."""
        return tuple(ids == object_id for ids in self.ids)

    def of_object(self, object_id: int) -> Tensor:
        """(N, 3) world: the known points of an object, view by view."""
        inside = self.inside(object_id)
        return torch.cat([points[mask & _known(points)] for points, mask in zip(self.points, inside, strict=True)])


def world_points(scene: Scene) -> tuple[Tensor, ...]:
    """Per view (H, W, 3) points of its true depth, NaN where there is none."""
    made = []
    for view, depth in zip(scene.views, scene.known_truth().depth, strict=True):
        if depth is None or view.intrinsics is None or view.cam_from_world is None:
            made.append(torch.full((*view.hw, 3), torch.nan))
            continue
        points = unproject_depth(depth.float(), view.intrinsics.float(), view.cam_from_world.float())
        made.append(torch.where(depth[..., None] > 0, points, torch.nan))
    return tuple(made)


def ids_after(ids: Sequence[Tensor], actions: Iterable[Action]) -> tuple[Tensor, ...]:
    """Say which pixels belong to which object after some actions.

    Args:
        ids: (H, W) int64 of every view, before.
        actions: Of this scene, in their order.

    Returns:
        The same after what was merged, split, added and outlined anew.

    Raises:
        ValueError: Pieces were cut from other pictures; names scene and object.
    """
    now = [item.clone() for item in ids]
    for action in actions:
        if action.kind == MERGE:
            now = [torch.where(item == action.object_id, action.into, item) for item in now]
        elif action.kind == SPLIT:
            for piece in action.pieces:
                for row, mask in enumerate(_masks(now, action, piece)):
                    now[row] = torch.where(mask & (now[row] == action.object_id), piece.object_id, now[row])
        elif action.kind in (ADD, OUTLINE):
            (piece,) = action.pieces
            for row, mask in enumerate(_masks(now, action, piece)):
                others = now[row].masked_fill(now[row] == action.object_id, 0)
                now[row] = torch.where(mask, action.object_id, others)
    return tuple(now)


def _masks(now: Sequence[Tensor], action: Action, piece: Piece) -> list[Tensor]:
    """(H, W) bool of every view."""
    if len(piece.runs) != len(now):
        raise ValueError(
            f"{action.scene}/{action.object_id}: runs: expected {len(now)}, one for each view, got {len(piece.runs)}; "
            "the scene is not the one that was reviewed"
        )
    return [mask_of(runs, (int(ids.shape[0]), int(ids.shape[1]))) for ids, runs in zip(now, piece.runs, strict=True)]


def box_of(pixels: ScenePixels, object_id: int) -> OrientedBox | None:
    """Fit an upright box around an object; None where too few of its points are known.

    Args:
        pixels: Of the scene.
        object_id: Whose box.
    """
    points = pixels.of_object(object_id)
    return upright_box(points, _TRIM) if len(points) >= _MIN_POINTS else None


def separate_parts(pixels: ScenePixels, object_id: int) -> list[ViewMasks]:
    """Take an object apart where its cloud is not connected.

    Args:
        pixels: Of the scene.
        object_id: Of an object whose depth is known.

    Returns:
        The parts, the largest one first; pixels that are no part of their own go to the nearest.
    """
    points = pixels.of_object(object_id).double().numpy()
    graph = build_voxel_graph(points, VOXEL_M)
    group = components(len(graph.counts), graph.edges)[graph.voxel_of_point]
    order = np.argsort(-np.bincount(group), kind="stable")
    large = [number for number in order if (group == number).sum() >= SPECK * len(points)]
    place = np.full(len(order), -1)
    place[large] = np.arange(len(large))
    group = place[group]
    if (group < 0).any() and large:
        sure = group >= 0
        group[~sure] = group[sure][cKDTree(points[sure]).query(points[~sure])[1]]
    return _parts(pixels, object_id, group, max(len(large), 1))


def parts_by_clicks(pixels: ScenePixels, object_id: int, clicks: Tensor) -> list[ViewMasks]:
    """Take an object apart so that every pixel goes to the nearest of some places.

    Args:
        pixels: Of the scene.
        object_id: Of an object whose depth is known.
        clicks: (K, 3) world, one on each part.

    Returns:
        K parts in the order of the clicks.
    """
    points = pixels.of_object(object_id)
    group = torch.cdist(points.double(), clicks.double()).argmin(1) if len(points) else torch.zeros(0, dtype=torch.int64)
    return _parts(pixels, object_id, group.numpy(), len(clicks))


def parts_by_views(pixels: ScenePixels, object_id: int, views: Sequence[int]) -> list[ViewMasks]:
    """Take what some views show of an object apart from what the others do.

    Args:
        pixels: Of the scene.
        object_id: Whose views.
        views: Rows.

    Returns:
        What the other views show, and what these do.

    Raises:
        ValueError: There is no such view.
    """
    inside = pixels.inside(object_id)
    if wrong := [row for row in views if not 0 <= row < len(inside)]:
        raise ValueError(f"views: expected 0 to {len(inside) - 1}, got {wrong[0]}")
    nothing = [torch.zeros_like(mask) for mask in inside]
    here = tuple(mask if row in views else none for row, (mask, none) in enumerate(zip(inside, nothing, strict=True)))
    there = tuple(none if row in views else mask for row, (mask, none) in enumerate(zip(inside, nothing, strict=True)))
    return [there, here]


def pieces_of(parts: Sequence[ViewMasks], first_id: int) -> tuple[Piece, ...]:
    """Make pieces of all parts but the first, which stays the object.

    Args:
        parts: Two or more that have pixels.
        first_id: Of the first piece; the others follow.

    Returns:
        The pieces.

    Raises:
        ValueError: Fewer than two parts have pixels.
    """
    full = [part for part in parts if any(bool(mask.any()) for mask in part)]
    if len(full) < 2:
        raise ValueError(f"split: expected at least two parts, got {len(full)}")
    return tuple(Piece(number, tuple(runs_of(mask) for mask in part)) for number, part in enumerate(full[1:], start=first_id))


def _parts(pixels: ScenePixels, object_id: int, group: Ints, count: int) -> list[ViewMasks]:
    """Parts by the group of every known point; a pixel without depth goes with the nearest of its view that has it."""
    made: list[list[Tensor]] = [[] for _ in range(count)]
    start = 0
    for mask, points in zip(pixels.inside(object_id), pixels.points, strict=True):
        known = (mask & _known(points)).numpy()
        of_pixel = np.zeros(known.shape, dtype=np.int64)
        of_pixel[known] = group[start : start + int(known.sum())]
        start += int(known.sum())
        if known.any():
            nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
            of_pixel = of_pixel[tuple(nearest)]
        for number, masks in enumerate(made):
            masks.append(mask & torch.from_numpy(of_pixel == number))
    return [tuple(masks) for masks in made]


def _known(points: Tensor) -> Tensor:
    return torch.isfinite(points[..., 0])
