"""What an arm must not touch, as cameras see it: objects with their unseen sides, other things that stand about, the support."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError, cKDTree

from pan3d_core.config import MotionConfig
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.memory import MemoryObject, ObjectState
from pan3d_core.motion.arm import Floats
from pan3d_core.structures import PerceptionResult

CELL_M = 0.02
LOW_M = 0.03  # points of no object up to this height are the support, seen badly
FRINGE_M = 0.04  # and those this near to an object its fringe
MIN_POINTS, MIN_CELLS = 3, 6  # of a cell; of cells that hang together
HORIZON_M = 1.3  # what is farther from the root of the arm cannot be met
BOX_MARGIN_M = 0.004  # points further outside an object's trimmed box are no part of it


@dataclass(frozen=True)
class Obstacle:
    """Something convex; the arm may be told to touch it."""

    instance_id: int
    corners: Floats  # (V, 3) metres, world; their hull is believed to be full
    name: str = ""

    @property
    def middle(self) -> Floats:
        """(3,) of its extent."""
        middle: Floats = (self.corners.min(0) + self.corners.max(0)) / 2
        return middle

    @property
    def radius_m(self) -> float:
        """Of the circle around its middle, seen from above, that it fits in."""
        return float(np.linalg.norm(self.corners[:, :2] - self.middle[:2], axis=1).max())


@dataclass(frozen=True)
class MotionScene:
    """Everything that is known to stand somewhere."""

    objects: tuple[Obstacle, ...]
    cells: Floats  # (N, 3) metres, world: middles of cells of `CELL_M` that something of no object fills, or nobody has seen
    support_height_m: float | None  # world z

    def object(self, instance_id: int) -> Obstacle:
        """One of the objects.

        Raises:
            KeyError: There is none of this id.
        """
        for item in self.objects:
            if item.instance_id == instance_id:
                return item
        raise KeyError(f"instance_id: expected one of {[item.instance_id for item in self.objects]}, got {instance_id}")

    def without(self, instance_id: int) -> MotionScene:
        """The same after an object was taken away."""
        return replace(self, objects=tuple(item for item in self.objects if item.instance_id != instance_id))


def motion_scene(
    result: PerceptionResult,
    config: MotionConfig,
    support_height_m: float | None,
    remembered: Sequence[MemoryObject] = (),
    unknown: Floats | None = None,
    no_objects: Collection[int] = (),
) -> MotionScene:
    """Make obstacles of what is seen and remembered.

    Args:
        result: Metric, in the world of the arm's root.
        config: How far objects may reach where they were not seen.
        support_height_m: World z of what objects stand on; None = not known, and the arm is not kept off it.
        remembered: Of the memory; those that are hidden now or not explained still stand where they were.
        unknown: (N, 3) middles of cells that nobody has seen, to be kept out of; None = they are free.
        no_objects: Ids of what is seen as an object and cannot be one; its points count as those of no object.

    Returns:
        The scene. An object that is remembered and seen is as it is seen.

    Raises:
        ValueError: The result is not metric.
    """
    if not result.is_metric:
        raise ValueError("result: expected metres, got a reconstruction without metric scale; nothing may move by it")
    points = result.panoptic.points.double().cpu().numpy()
    ids = result.panoptic.point_instance_id.cpu().numpy()
    eyes = _eyes(result)
    names = result.panoptic.labels.names
    ids = np.where(np.isin(ids, list(no_objects)), 0, ids)
    objects = []
    for segment in result.panoptic.segments:
        if segment.instance_id in no_objects:
            continue
        own = _within(points[ids == segment.instance_id], segment.box)
        name = names[segment.class_id] if segment.class_id >= 0 else "object"
        objects += _prism(segment.instance_id, own, eyes, config.unseen_margin_m, support_height_m, name)
    seen = {item.instance_id for item in objects}
    for item in remembered:
        if item.instance_id not in seen | set(no_objects) and item.state in (ObjectState.OCCLUDED, ObjectState.UNCERTAIN):
            surface = item.surface.points.double().cpu().numpy()
            objects += _prism(item.instance_id, surface, eyes, config.unseen_margin_m, support_height_m, item.name)
    cells = _standing(points[ids == 0], points[ids > 0], support_height_m)
    if config.avoid_unknown and unknown is not None:
        cells = np.concatenate([cells, unknown])
    return MotionScene(tuple(objects), cells, support_height_m)


def _eyes(result: PerceptionResult) -> Floats:
    """(3,) mean place of the cameras."""
    poses = result.reconstruction.cam_from_world.double().cpu().numpy()
    eyes: Floats = np.stack([-pose[:3, :3].T @ pose[:3, 3] for pose in poses]).mean(0)
    return eyes


def _within(points: Floats, box: OrientedBox) -> Floats:
    pose, half = box.world_from_box.double().cpu().numpy(), box.size_m.double().cpu().numpy() / 2
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    inside: Floats = points[(np.abs(local) <= half + BOX_MARGIN_M).all(1)]
    return inside


def _prism(
    instance_id: int, points: Floats, eyes: Floats, margin_m: float, support_height_m: float | None, name: str
) -> list[Obstacle]:
    """The outline from above, a little longer away from the cameras, from the support up to the highest point."""
    if len(points) < 4:
        return []
    away = points.mean(0)[:2] - eyes[:2]
    away *= margin_m / max(float(np.linalg.norm(away)), 1e-9)
    flat = np.concatenate([points[:, :2], points[:, :2] + away])
    try:
        flat = flat[ConvexHull(flat).vertices]
    except QhullError:  # all in one line
        low, high = flat.min(0) - 1e-3, flat.max(0) + 1e-3
        flat = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    bottom = points[:, 2].min() if support_height_m is None else support_height_m
    levels = (bottom, max(float(points[:, 2].max()), bottom + 2e-3))
    corners = np.concatenate([np.column_stack([flat, np.full(len(flat), level)]) for level in levels])
    return [Obstacle(instance_id, corners, name)]


def _standing(points: Floats, owned: Floats, support_height_m: float | None) -> Floats:
    """Middles of the cells of things that are no object: walls, boxes of parts, a person's hand."""
    keep = np.isfinite(points).all(1) & (np.linalg.norm(points, axis=1) < HORIZON_M)
    if support_height_m is not None:
        keep &= points[:, 2] > support_height_m + LOW_M
    points = points[keep]
    if len(points) and len(owned):
        points = points[cKDTree(owned).query(points, distance_upper_bound=FRINGE_M)[0] > FRINGE_M]
    if not len(points):
        return np.zeros((0, 3))
    cells, counts = np.unique(np.floor(points / CELL_M).astype(np.int64), axis=0, return_counts=True)
    cells = cells[counts >= MIN_POINTS]
    if not len(cells):
        return np.zeros((0, 3))
    pairs = cKDTree(cells).query_pairs(1.8, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(cells), len(cells)))
    group = connected_components(graph, directed=False)[1]
    return (cells[np.bincount(group)[group] >= MIN_CELLS] + 0.5) * CELL_M
