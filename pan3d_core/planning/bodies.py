"""Remembered objects as closed shapes that a motion planner must not touch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pan3d_core.config import PlanningConfig
from pan3d_core.memory import NUM_SIDES, MemoryObject, ObjectState
from pan3d_core.planning.meshes import THINNEST_M, Columns, Floats, Ints, prism

TRIM_M = 0.01  # points further outside an object's box are no part of it
SLICES = 4  # of an object in parts
ELSEWHERE = (ObjectState.GONE, ObjectState.HELD)


@dataclass(frozen=True)
class MeshPart:
    """A closed surface, in the frame of its body."""

    corners: Floats  # (V, 3) metres
    triangles: Ints  # (T, 3) of corners, counter-clockwise as seen from outside
    seen: bool = True  # False: it holds what may be where no camera looked


@dataclass(frozen=True)
class CollisionBody:
    """One object of a planner's scene."""

    instance_id: int
    name: str  # empty = unnamed
    world_from_body: Floats  # (4, 4) upright, origin in the middle of everything
    size_m: Floats  # (3,) of the box around everything, along the body's axes
    parts: tuple[MeshPart, ...]  # none: the box itself
    unseen: Floats  # (K, 3) unit vectors in the body's frame, to sides from which it was never seen
    padding_m: Floats  # (3,) by which it is larger than what was seen, along the body's axes
    seen_now: bool
    color_rgb: tuple[float, float, float]  # 0..1

    @property
    def key(self) -> str:
        """The id that planners know it by."""
        return body_key(self.instance_id)

    @property
    def world_corners(self) -> Floats:
        """(V, 3) metres, world: of all parts, or of the box."""
        signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
        corners = np.concatenate([part.corners for part in self.parts]) if self.parts else signs * self.size_m
        return corners @ self.world_from_body[:3, :3].T + self.world_from_body[:3, 3]


def body_key(instance_id: int) -> str:
    """The id of an object in planners' scenes, the same for as long as it is remembered."""
    return f"pan3d/{instance_id}"


def collision_bodies(
    objects: Iterable[MemoryObject], config: PlanningConfig, support_height_m: float | None
) -> tuple[CollisionBody, ...]:
    """Make bodies of all objects that stand somewhere, also of those that are hidden or doubted.

    Args:
        objects: Of the memory. What is gone stands nowhere, and what is held moves with a link.
        config: Kind of shapes and their padding.
        support_height_m: World z of what objects stand on; None = not known, and each ends where it was seen lowest.

    Returns:
        One for each, in their order.
    """
    return tuple(collision_body(item, config, support_height_m) for item in objects if item.state not in ELSEWHERE)


def collision_body(item: MemoryObject, config: PlanningConfig, support_height_m: float | None) -> CollisionBody:
    """Close what was seen of an object: down to its support, and further to where nobody looked.

    Args:
        item: Of the memory.
        config: Kind of shapes and their padding.
        support_height_m: World z of what it stands on; None = not known.

    Returns:
        The body. Where little of its surface is known, its box is taken for it.
    """
    frame, size = item.box.world_from_box.double().cpu().numpy(), item.box.size_m.double().cpu().numpy()
    points = _points_of(item, frame, size)
    padding, unseen = _padding(item, config, frame), _unseen(item, frame)
    lowest = float(points[:, 2].min())
    bottom = lowest - float(padding[2]) if support_height_m is None else support_height_m - float(frame[2, 3])
    bottom = min(bottom, float(points[:, 2].max()))
    steps = np.linspace(0.0, config.unseen_margin_m, 1 + max(1, int(np.ceil(config.unseen_margin_m / config.column_m))))[1:]
    further = np.concatenate([points, *(points + step * direction for direction in unseen for step in steps)])
    low = np.append(further[:, :2].min(0) - padding[:2], bottom)
    high = further.max(0) + padding
    parts = _parts(points, further if len(unseen) else None, padding, bottom, config)
    if parts:
        corners = np.concatenate([part.corners for part in parts])
        low, high = corners.min(0), corners.max(0)
    middle, world_from_body = (low + high) / 2, frame.copy()
    world_from_body[:3, 3] += frame[:3, :3] @ middle
    red, green, blue = item.color_rgb.double().tolist()
    return CollisionBody(
        instance_id=item.instance_id,
        name=item.name,
        world_from_body=world_from_body,
        size_m=high - low,
        parts=tuple(MeshPart(part.corners - middle, part.triangles, part.seen) for part in parts),
        unseen=unseen,
        padding_m=padding,
        seen_now=item.seen,
        color_rgb=(red, green, blue),
    )


def _points_of(item: MemoryObject, frame: Floats, size: Floats) -> Floats:
    """(N, 3) in the frame of its box."""
    points = (item.surface.points.double().cpu().numpy() - frame[:3, 3]) @ frame[:3, :3]
    points = points[(np.abs(points) <= size / 2 + TRIM_M).all(1)]
    if len(points) >= 4:
        return points
    return np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * size


def _padding(item: MemoryObject, config: PlanningConfig, frame: Floats) -> Floats:
    """(3,) along the axes of the box."""
    covariance = item.segment.position_covariance
    if covariance is None:
        return np.full(3, config.max_padding_m)
    turned = frame[:3, :3].T @ covariance.double().cpu().numpy() @ frame[:3, :3]
    variance = np.maximum(np.diag(turned), 0.0)
    if (sides := item.segment.size_sigma_m) is not None:
        variance = variance + (sides.double().cpu().numpy() / 2) ** 2  # of a face: half a side from the middle
    spread: Floats = config.padding_m + config.padding_sigmas * np.sqrt(variance)
    return np.minimum(spread, config.max_padding_m)


def _unseen(item: MemoryObject, frame: Floats) -> Floats:
    """(K, 3) to sides that neither they nor their neighbours were looked at from: a camera sees what turns away from it by less
    than a right angle."""
    seen = [bool(item.sides >> side & 1) for side in range(NUM_SIDES)]
    dark = [k for k in range(NUM_SIDES) if not (seen[k] or seen[k - 1] or seen[(k + 1) % NUM_SIDES])]
    turns = (np.array(dark, np.float64) + 0.5) * 2 * np.pi / NUM_SIDES
    world = np.column_stack([np.cos(turns), np.sin(turns), np.zeros(len(dark))])
    local: Floats = world @ frame[:3, :3]
    return local


def _parts(
    points: Floats, further: Floats | None, padding: Floats, bottom: float, config: PlanningConfig
) -> tuple[MeshPart, ...]:
    if config.shape == "box":
        return ()
    if config.shape == "mesh":
        return _columns(points, further, padding, bottom, config.column_m)
    count = SLICES if config.shape == "parts" else 1
    seen = [MeshPart(*prism(piece, padding, bottom)) for piece in _sliced(points, count)]
    dark = [] if further is None else [MeshPart(*prism(piece, padding, bottom), seen=False) for piece in _sliced(further, count)]
    return (*seen, *dark)


def _sliced(points: Floats, count: int) -> list[Floats]:
    """Pieces along x that overlap by a half, so that no gap is between them; one piece where nothing was seen of some."""
    low, high = points[:, 0].min(), points[:, 0].max()
    wide = (high - low) / count
    ranges = [(low + (k - 0.25) * wide, low + (k + 1.25) * wide) for k in range(count)]
    pieces = [points[(points[:, 0] >= begin) & (points[:, 0] <= end)] for begin, end in ranges]
    return pieces if all(map(len, pieces)) else [points]


def _columns(points: Floats, further: Floats | None, padding: Floats, bottom: float, column_m: float) -> tuple[MeshPart, ...]:
    every = points if further is None else further
    columns = Columns(every[:, :2].min(0) - padding[:2], every[:, :2].max(0) + padding[:2], column_m)
    top = _raised(columns.heights(points, padding), bottom)
    floor = np.full(top.shape, bottom)
    parts = [MeshPart(*columns.mesh(floor, top))]
    if further is not None:
        dark = _raised(columns.heights(further, padding), bottom)
        if (dark > np.maximum(top, floor)).any():
            parts.append(MeshPart(*columns.mesh(np.maximum(top, floor), dark), seen=False))
    return tuple(parts)


def _raised(top: Floats, bottom: float) -> Floats:
    """Heights that are above the bottom: what was seen below the support, as depth is not exact, lies on it."""
    return np.where(np.isfinite(top), np.maximum(top, bottom + THINNEST_M), top)
