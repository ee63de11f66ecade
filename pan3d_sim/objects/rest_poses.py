"""In which poses a thing stands by itself: on the faces of its convex hull above which its centre of mass lies."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from pan3d_sim.objects.meshes import quat_between_z

STABLE_MARGIN = 0.06  # of the way from the centre of mass's foot to the nearest edge, relative to the height above the face
MAX_POSES = 8
_SAME_FACE = 0.9995  # cosine between normals of triangles that are one face


def hull_vertices(vertices: np.ndarray) -> np.ndarray:
    """(H, 3) corners of the convex hull of (V, 3) points. Raises `ValueError` for points in one plane or fewer than four."""
    return vertices[_hull(vertices).vertices]


def stable_poses(vertices: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the orientations in which an object rests on a plane.

    Args:
        vertices: (V, 3) of the object, z up, metres.
        center: (3,) of its mass.

    Returns:
        Unit quaternions (N, 4), w x y z, that turn the object so that it rests, and how likely each is when it is dropped (N,).

    Raises:
        ValueError: It has no volume, or does not rest on any face.
    """
    hull = _hull(vertices)
    found = _standing(hull, center, STABLE_MARGIN) or _standing(hull, center, 0.0)  # round things rest on a tiny face
    if not found:
        raise ValueError("rest: expected a face of the hull below the centre of mass, got none")
    found.sort(key=lambda item: -item[1])
    quats, weights = np.array([quat for quat, _ in found[:MAX_POSES]]), np.array([weight for _, weight in found[:MAX_POSES]])
    return quats, weights / weights.sum()


def _standing(hull: ConvexHull, center: np.ndarray, margin: float) -> list[tuple[tuple[float, float, float, float], float]]:
    """Rotations that bring a face down on which the object rests, each with its likelihood."""
    normals, areas = hull.equations[:, :3], _areas(hull)
    found = []
    for face in _faces(hull):
        normal = (normals[face] * areas[face, None]).sum(0)
        normal /= np.linalg.norm(normal)
        corners = hull.points[np.unique(hull.simplices[face])]
        height = float((corners @ normal).mean() - center @ normal)
        if height > 0 and _rests(corners, center, normal, margin * height):
            found.append((quat_between_z(_mirrored(normal)), float(areas[face].sum()) / height**2))
    return found


def _hull(vertices: np.ndarray) -> ConvexHull:
    try:
        return ConvexHull(vertices)
    except (QhullError, ValueError) as error:
        raise ValueError(f"vertices: expected a solid, got {len(vertices)} points without volume") from error


def _mirrored(normal: np.ndarray) -> np.ndarray:
    """The direction whose shortest turn from +z is the inverse of the shortest turn that brings `normal` to -z."""
    return np.array([normal[0], normal[1], -normal[2]])


def _areas(hull: ConvexHull) -> np.ndarray:
    a, b, c = (hull.points[hull.simplices[:, k]] for k in range(3))
    areas: np.ndarray = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return areas


def _faces(hull: ConvexHull) -> list[np.ndarray]:
    """Triangles of the hull that lie in one plane, together."""
    left, faces = np.ones(len(hull.simplices), bool), []
    for index in np.argsort(-_areas(hull)):
        if left[index]:
            same = left & (hull.equations[:, :3] @ hull.equations[index, :3] > _SAME_FACE)
            left[same] = False
            faces.append(np.flatnonzero(same))
    return faces


def _rests(corners: np.ndarray, center: np.ndarray, normal: np.ndarray, room: float) -> bool:
    """Whether the foot of the centre of mass lies inside the face, at least `room` (metres) from its edges."""
    side = np.cross(normal, [1.0, 0, 0] if abs(normal[0]) < 0.9 else [0, 1.0, 0])
    side /= np.linalg.norm(side)
    plane = np.stack([side, np.cross(normal, side)], axis=1)
    flat = (corners - center) @ plane
    try:
        edges = ConvexHull(flat).equations
    except (QhullError, ValueError):
        return False
    return bool((edges[:, 2] <= -room).all())
