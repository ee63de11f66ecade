"""`pan3d bench planning`: do the shapes that a motion planner is told hold the objects that stand there, and how much more?

Rendered cells are seen once by their fixed cameras. Of each true object that is remembered nearby, points of its whole surface,
also of its unseen sides, are looked for in the shape of the memory's object; volumes are compared with that of the true convex
hull. Shapes are padded by several multiples of the standard deviation of the object's place.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import ConvexHull

from pan3d_core.config import ModelConfig, PipelineConfig, PlanningConfig
from pan3d_core.engines import build_engine
from pan3d_core.memory import MemoryObject
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.planning import CollisionBody, collision_body
from pan3d_core.planning.meshes import Floats, Ints
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.objects.kinds import surface_points

SHAPES = ("box", "hull", "parts", "mesh")
NEAR_M = 0.05  # a remembered object whose middle is further from a true one is another
SURFACE_POINTS, SPACE_POINTS = 300, 1000
TOUCH_M = 1e-3  # what lies on the support counts as this high: shapes end there
CHUNK = 100_000  # pairs of a point and a triangle that are looked at together


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench planning", description=__doc__)
    parser.add_argument("--scenes", type=int, default=10, help="cells (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=900, help="of the first cell (default: %(default)s)")
    parser.add_argument("--cameras", type=int, default=4, help="that see it (default: %(default)s)")
    parser.add_argument("--model", default="pan3d-mini", help="engine (default: %(default)s)")
    parser.add_argument("--sigmas", type=float, nargs="+", default=[0.0, 1.0, 2.0], help="of padding (default: %(default)s)")
    parser.add_argument("--depth", action="store_true", help="with depth cameras")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Measure. Shares of surfaces, and volumes over true ones."""
    arguments = parse(argv)
    bare = PlanningConfig(padding_m=0.0, padding_sigmas=0.0, max_padding_m=0.0, unseen_margin_m=0.0)
    settings = {"bare": bare} | {f"{sigmas:g}_sigmas": PlanningConfig(padding_sigmas=sigmas) for sigmas in arguments.sigmas}
    found: dict[str, list[tuple[float, float]]] = {}
    seen, missed, paddings = 0, 0, []
    engine = build_engine(ModelConfig(name=arguments.model))
    config = PipelineConfig.from_dict({"workspace": {"support_height_m": 0.0}})
    for seed in range(arguments.seed, arguments.seed + arguments.scenes):
        with RobotCell(seed, num_cameras=arguments.cameras) as cell:
            pipeline = PerceptionPipeline(engine, config)
            pipeline.process(cell.views(depth=arguments.depth))
            rng = np.random.default_rng([seed, 5])
            for index in range(len(cell.objects)):
                item = nearest(pipeline.memory.world.objects, cell.world_from_object(index)[:3, 3])
                seen, missed = seen + (item is not None), missed + (item is None)
                if item is None:
                    continue
                paddings.append(collision_body(item, PlanningConfig(), 0.0).padding_m)
                for shape in SHAPES:
                    for name, setting in settings.items():
                        body = collision_body(item, replace(setting, shape=shape), 0.0)
                        found.setdefault(f"{shape}_{name}", []).append(judged(body, cell, index, rng))
    figures = {name: summary(np.array(rows)) for name, rows in found.items()}
    return {"objects": seen, "not_remembered": missed, "padding_m": np.mean(paddings, axis=0).round(4).tolist(), **figures}


def summary(rows: Floats) -> dict[str, float]:
    """Of (N, 2) shares and ratios."""
    return {
        "surface_within": float(rows[:, 0].mean()),
        "objects_within_0.99": float((rows[:, 0] >= 0.99).mean()),
        "objects_within_0.90": float((rows[:, 0] >= 0.90).mean()),
        "volume_ratio_median": float(np.median(rows[:, 1])),
    }


def nearest(objects: Sequence[MemoryObject], place: Floats) -> MemoryObject | None:
    """The remembered object at a true one's place, as seen from above.

    Args:
        objects: That are remembered.
        place: (3,) metres, world.

    Returns:
        None where none is near.
    """
    away = {item.instance_id: np.linalg.norm(item.rest.center_m[:2].numpy() - place[:2]) for item in objects}
    best = min(objects, key=lambda item: float(away[item.instance_id]), default=None)
    return best if best is not None and away[best.instance_id] <= NEAR_M else None


def judged(body: CollisionBody, cell: RobotCell, index: int, rng: np.random.Generator) -> tuple[float, float]:
    """Compare a shape with the true object.

    Args:
        body: Of the memory.
        cell: With the object.
        index: Of the object.
        rng: That points are drawn by.

    Returns:
        Share of its surface within the shape, and the shape's volume over that of its convex hull.
    """
    obj, pose = cell.objects[index], cell.world_from_object(index)
    surface = surface_points(obj, rng, SURFACE_POINTS) @ pose[:3, :3].T + pose[:3, 3]
    surface[:, 2] = surface[:, 2].clip(min=TOUCH_M)
    surface = (surface - body.world_from_body[:3, 3]) @ body.world_from_body[:3, :3]
    space = rng.uniform(-0.5, 0.5, (SPACE_POINTS, 3)) * body.size_m
    volume = float(within(body, space).mean() * body.size_m.prod())
    return float(within(body, surface).mean()), volume / ConvexHull(obj.vertices).volume


def within(body: CollisionBody, points: Floats) -> np.ndarray:
    """(N,) bool: which of (N, 3) points in the body's frame are in it."""
    if not body.parts:
        inside: np.ndarray = np.all(np.abs(points) <= body.size_m / 2 + 1e-9, axis=1)
        return inside
    turns = np.stack([winding(part.corners, part.triangles, points) for part in body.parts]).max(0)
    found: np.ndarray = turns > 0.5
    return found


def winding(corners: Floats, triangles: Ints, points: Floats) -> Floats:
    """Count how often a closed surface winds around points, by solid angles (van Oosterom and Strackee 1983).

    Args:
        corners: (V, 3).
        triangles: (T, 3) of corners, counter-clockwise as seen from outside.
        points: (N, 3).

    Returns:
        (N,) 1 within, 0 outside.
    """
    rows = max(1, CHUNK // len(triangles))
    pieces = [_winding(corners[triangles], points[begin : begin + rows]) for begin in range(0, len(points), rows)]
    return np.concatenate(pieces)


def _winding(faces: Floats, points: Floats) -> Floats:
    a, b, c = (faces[None, :, k] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(side, axis=-1) for side in (a, b, c))
    over = (a * np.cross(b, c)).sum(-1)
    under = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    angles: Floats = np.arctan2(over, under).sum(1) / (2 * np.pi)
    return angles
