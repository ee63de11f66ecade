"""Points on the true surfaces of what lies in a cell."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.objects.kinds import ObjectSpec
from pan3d_sim.objects.meshes import matrix_from_quat

SURFACE_SPACING_M = 0.003
BURIED_M = 0.0025  # collision shapes follow the visible surface to about this


def true_surfaces(cell: RobotCell) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Sample the surface of every object on the table.

    Args:
        cell: Of modelled objects the convex pieces count, which are what physics knows of them.

    Returns:
        Index in `cell.objects` -> points and outward normals (N, 3), metres, world.
    """
    rng, found = np.random.default_rng(cell.seed), {}
    for index, obj in enumerate(cell.objects):
        if index not in cell.removed:
            pose = cell.world_from_object(index)
            points, normals = _sample_surface(obj, rng)
            found[index] = points @ pose[:3, :3].T + pose[:3, 3], normals @ pose[:3, :3].T
    return found


def _sample_surface(obj: ObjectSpec, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points, about one per `SURFACE_SPACING_M` squared, and unit normals, in the object's frame."""
    triangles = _piece_triangles(obj) if obj.pieces else _mesh_triangles(obj)
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area = 0.5 * np.linalg.norm(cross, axis=1)
    count = int(area.sum() / SURFACE_SPACING_M**2)
    chosen = rng.choice(len(triangles), count, p=area / area.sum())
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u)[:, None], np.where(u + v > 1, 1 - v, v)[:, None]
    corner = triangles[chosen]
    points = corner[:, 0] + u * (corner[:, 1] - corner[:, 0]) + v * (corner[:, 2] - corner[:, 0])
    outside = _depth_inside(points, obj) <= BURIED_M
    return points[outside], (cross[chosen] / (2 * area[chosen])[:, None])[outside]


def _mesh_triangles(obj: ObjectSpec) -> np.ndarray:
    """(T, 3, 3) corners of the visible triangles, counter-clockwise from outside."""
    return np.concatenate([part.mesh.vertices[part.mesh.faces] for part in obj.parts])


def _piece_triangles(obj: ObjectSpec) -> np.ndarray:
    """(T, 3, 3) corners of the faces of convex pieces, counter-clockwise from outside."""
    found = []
    for corners in obj.pieces:
        hull = ConvexHull(corners)
        triangles = corners[hull.simplices]
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        inward = np.einsum("ij,ij->i", normals, hull.equations[:, :3]) < 0
        found.append(np.where(inward[:, None, None], triangles[:, ::-1], triangles))
    return np.concatenate(found)


def _depth_inside(points: np.ndarray, obj: ObjectSpec) -> np.ndarray:
    """(N,) metres that points lie inside the solid, negative outside: one part may stand in another (pages in covers, a handle
    in a wall)."""
    deepest = np.full(len(points), -np.inf)
    for shape in obj.collision:
        local = np.abs((points - shape.position) @ matrix_from_quat(np.asarray(shape.quat_wxyz)))
        if shape.shape == "box":
            depth = (np.asarray(shape.size) - local).min(1)
        elif shape.shape == "cylinder":
            depth = np.minimum(shape.size[0] - np.hypot(local[:, 0], local[:, 1]), shape.size[1] - local[:, 2])
        else:
            half_length = shape.size[1] if shape.shape == "capsule" else 0.0
            axial = np.maximum(local[:, 2] - half_length, 0.0)
            depth = shape.size[0] - np.linalg.norm(np.stack([local[:, 0], local[:, 1], axial], axis=1), axis=1)
        deepest = np.maximum(deepest, depth)
    for corners in obj.pieces:
        faces = ConvexHull(corners).equations
        deepest = np.maximum(deepest, -(points @ faces[:, :3].T + faces[:, 3]).max(1))
    return deepest
