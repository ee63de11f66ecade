"""Where an object can be put: free places on the support, or on top of another object."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from pan3d_core.config import MotionConfig
from pan3d_core.motion.arm import Floats
from pan3d_core.motion.scene import MotionScene, Obstacle

GRID_M = 0.02
MOVED_M = 0.08  # a place nearer to where it stands is none
TURNS_RAD = (0.0, np.pi / 2, -np.pi / 2, np.pi)
PLENTY_M = 0.08  # more room around a place makes it no better
MIDDLE_M = 0.03  # what lies this near to the middle of an object is what things are put on


def free_places(
    scene: MotionScene, instance_id: int, area_m: tuple[Floats, Floats], config: MotionConfig, count: int = 8
) -> tuple[Floats, ...]:
    """Find places for an object on the support.

    Args:
        scene: Everything else keeps its distance.
        instance_id: The object.
        area_m: (2,) lowest and (2,) highest x and y, world, of its middle.
        config: Gap around it.
        count: Most places.

    Returns:
        (4, 4) each: the motion of the object in the world. Those with more room come first, of equal ones the nearer.
    """
    moved = scene.object(instance_id)
    outlines = [_outline(item.corners[:, :2]) for item in scene.objects if item.instance_id != instance_id]
    standing = np.concatenate([np.zeros((0, 2)), scene.cells[:, :2], *outlines])
    low, high = area_m
    axes = [np.arange(low[k], high[k] + 1e-9, GRID_M) for k in range(2)]
    spots = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    room = np.full(len(spots), np.inf)
    if len(standing):
        near = cKDTree(standing)
        for corner in _outline(moved.corners[:, :2]) - moved.middle[:2]:
            room = np.minimum(room, near.query(spots + corner)[0])
    away = np.linalg.norm(spots - moved.middle[:2], axis=1)
    fits = (room > config.place_gap_m) & (away > MOVED_M)
    order = np.lexsort((away, -np.round(np.minimum(room, PLENTY_M) / GRID_M)))
    chosen: list[int] = []
    for row in order:
        if fits[row] and all(np.linalg.norm(spots[row] - spots[other]) > 2 * GRID_M for other in chosen):
            chosen.append(int(row))
        if len(chosen) == count:
            break
    return tuple(motion_to(moved, np.append(spots[row], moved.corners[:, 2].min())) for row in chosen)


def place_on(scene: MotionScene, instance_id: int, onto: int, points: Floats) -> tuple[Floats, ...]:
    """Put an object on the middle of another one.

    Args:
        scene: Both are in it.
        instance_id: What is put there.
        onto: The id of what it is put on.
        points: (N, 3) metres, world, of the surface of `onto`: a plate is lower in its middle than at its rim.

    Returns:
        (4, 4) each: the motion of the object in the world.
    """
    moved, base = scene.object(instance_id), scene.object(onto)
    near = np.linalg.norm(points[:, :2] - base.middle[:2], axis=1) < MIDDLE_M
    top = float(np.median(points[near, 2])) if near.any() else float(base.corners[:, 2].max())
    return (motion_to(moved, np.append(base.middle[:2], top)),)


def motion_to(moved: Obstacle, bottom: Floats, turn_rad: float = 0.0) -> Floats:
    """Move an object upright.

    Args:
        moved: The object as it stands.
        bottom: (3,) metres, world: where the middle of its foot comes to.
        turn_rad: About the vertical through its middle.

    Returns:
        (4, 4) motion in the world.
    """
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    motion = np.eye(4)
    motion[:2, :2] = [[cosine, -sine], [sine, cosine]]
    foot = np.append(moved.middle[:2], moved.corners[:, 2].min())
    motion[:3, 3] = bottom - motion[:3, :3] @ foot
    return motion


def turned(motion: Floats, moved: Obstacle) -> tuple[Floats, ...]:
    """The same place with other turns of the object about the vertical, since an arm may reach one of them only.

    Args:
        motion: (4, 4) as `motion_to` makes it.
        moved: The object as it stands.

    Returns:
        (4, 4) each.
    """
    foot = np.append(moved.middle[:2], moved.corners[:, 2].min())
    bottom = motion[:3, :3] @ foot + motion[:3, 3]
    return tuple(motion_to(moved, bottom, turn) for turn in TURNS_RAD)


def _outline(corners: Floats) -> Floats:
    """(M, 2) points on and within a convex outline, about `GRID_M` apart, so that nothing fits between."""
    center = corners.mean(0)
    hull = corners[ConvexHull(corners).vertices]
    sides = np.roll(hull, -1, axis=0) - hull
    counts = np.ceil(np.linalg.norm(sides, axis=1) / GRID_M).astype(int)
    edge = np.concatenate([start + np.arange(n)[:, None] / n * side for start, side, n in zip(hull, sides, counts)])
    rings = max(1, int(np.ceil(np.linalg.norm(hull - center, axis=1).max() / GRID_M)))
    return np.concatenate([center + k / rings * (edge - center) for k in range(1, rings + 1)])
