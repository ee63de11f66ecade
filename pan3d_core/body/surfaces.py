"""Triangles of boxes, cylinders and spheres, coarser triangles of meshes, and surfaces a little larger than they are."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from pan3d_core.body.description import Floats, Ints

SIDES = 16  # of a cylinder, whose corners lie a little outside it and whose sides a little inside, 1 % of the radius at most
MAX_FACES = 1500  # of one mesh
FINEST_M = 0.002  # corners of meshes closer than this become one
MAX_ROWS = 100  # of points on one triangle
FARTHEST = 2.5  # a sharp corner moves outwards by so many times the padding, at most
Triangles = tuple[Floats, Ints]  # (V, 3) metres and (F, 3), counter-clockwise as seen from outside


def box_triangles(size_m: Floats) -> Triangles:
    """Make a box around the origin.

    Args:
        size_m: (3,) full lengths of its sides.
    """
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * size_m
    return convex_triangles(corners)


def cylinder_triangles(radius_m: float, length_m: float) -> Triangles:
    """Make a cylinder around the z axis, its middle at the origin.

    Args:
        radius_m: Of its round.
        length_m: Along z.

    Returns:
        Its triangles; long ones are divided, since the time to draw one grows with the box around it.
    """
    turns = np.arange(SIDES) * (2 * np.pi / SIDES)
    rings = max(1, round(length_m / max(2 * radius_m, 1e-3)))
    heights = np.linspace(-0.5, 0.5, rings + 1) * length_m
    round_ = np.stack([np.cos(turns), np.sin(turns)], axis=-1) * radius_m / np.sqrt(np.cos(np.pi / SIDES))
    vertices = [np.column_stack([round_, np.full(SIDES, height)]) for height in heights]
    ends = np.array([[0.0, 0.0, heights[0]], [0.0, 0.0, heights[-1]]])
    here, there = np.arange(SIDES), np.roll(np.arange(SIDES), -1)
    faces = []
    for ring in range(rings):
        low, high = ring * SIDES, (ring + 1) * SIDES
        faces.append(np.column_stack([low + here, low + there, high + there]))
        faces.append(np.column_stack([low + here, high + there, high + here]))
    bottom, top = (rings + 1) * SIDES, (rings + 1) * SIDES + 1
    faces.append(np.column_stack([np.full(SIDES, bottom), there, here]))
    faces.append(np.column_stack([np.full(SIDES, top), rings * SIDES + here, rings * SIDES + there]))
    return np.concatenate([*vertices, ends]), np.concatenate(faces).astype(np.int64)


def sphere_triangles(radius_m: float) -> Triangles:
    """Make a sphere around the origin.

    Args:
        radius_m: Of the sphere.
    """
    count = 8 * SIDES
    height = 1 - 2 * (np.arange(count) + 0.5) / count  # points of a Fibonacci lattice
    turn = np.arange(count) * (np.pi * (3 - np.sqrt(5)))
    flat = np.sqrt(1 - height**2)
    return convex_triangles(radius_m * np.column_stack([flat * np.cos(turn), flat * np.sin(turn), height]))


def convex_triangles(points: Floats) -> Triangles:
    """Close the convex hull of points.

    Args:
        points: (N, 3) metres, four or more that lie in no plane.

    Returns:
        Its triangles.

    Raises:
        ValueError: The points lie in a plane, or are too few.
    """
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError) as error:
        raise ValueError(f"points: expected four or more that lie in no plane, got {len(points)} that have no hull") from error
    new_of_old = np.full(len(points), -1)
    new_of_old[hull.vertices] = np.arange(len(hull.vertices))
    vertices = np.asarray(points, np.float64)[hull.vertices]
    return outside_out(vertices, new_of_old[hull.simplices].astype(np.int64), hull.equations[:, :3])


def outside_out(vertices: Floats, faces: Ints, normals: Floats) -> Triangles:
    """Turn triangles so that they are counter-clockwise as seen from outside.

    Args:
        vertices: (V, 3).
        faces: (F, 3) in any sense of rotation.
        normals: (F, 3) that point outwards.

    Returns:
        The vertices, and the faces turned.
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    wrong = np.einsum("fk,fk->f", np.cross(b - a, c - a), normals) < 0
    faces = faces.copy()
    faces[wrong] = faces[wrong][:, ::-1]
    return vertices, faces


def coarser(vertices: Floats, faces: Ints) -> Triangles:
    """Merge corners of a mesh that are close, in cells that grow until it has at most `MAX_FACES` triangles.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3).

    Returns:
        The mesh, turned inside out where it enclosed less than nothing.
    """
    cell_m = FINEST_M
    while True:
        _, new_of_old, counts = np.unique(np.round(vertices / cell_m), axis=0, return_inverse=True, return_counts=True)
        new_of_old = new_of_old.reshape(-1)
        merged = np.stack([np.bincount(new_of_old, vertices[:, k]) for k in range(3)], axis=-1) / counts[:, None]
        corners = np.sort(new_of_old[faces], axis=-1)
        whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2])
        kept = np.flatnonzero(whole)[np.unique(corners[whole], axis=0, return_index=True)[1]]
        if len(kept) <= MAX_FACES:
            break
        cell_m *= 1.3
    fewer = new_of_old[faces[kept]].astype(np.int64)
    a, b, c = (merged[fewer[:, k]] for k in range(3))
    return merged, fewer if np.einsum("fk,fk->", a, np.cross(b, c)) >= 0 else fewer[:, ::-1]


def outward(vertices: Floats, faces: Ints) -> Floats:
    """Find the way in which each corner of a surface moves when its faces move outwards.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3), counter-clockwise as seen from outside.

    Returns:
        (V, 3): `vertices + padding * outward` is a surface whose faces lie `padding` outside, but at very sharp corners.
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=-1)
    normal = cross / np.maximum(area, 1e-15)[:, None]
    weight = area / max(float(area.mean()), 1e-15)
    # Least squares of normal . way = 1 over the faces around a corner, so that a box grows to a box.
    left = np.zeros((len(vertices), 3, 3))
    right = np.zeros((len(vertices), 3))
    for k in range(3):
        np.add.at(left, faces[:, k], weight[:, None, None] * normal[:, :, None] * normal[:, None, :])
        np.add.at(right, faces[:, k], weight[:, None] * normal)
    scale = np.maximum(np.trace(left, axis1=1, axis2=2), 1e-12)
    way: Floats = np.linalg.solve(left + (1e-3 * scale)[:, None, None] * np.eye(3), right[..., None])[..., 0]
    length = np.linalg.norm(way, axis=-1, keepdims=True)
    limited: Floats = way * np.minimum(1.0, FARTHEST / np.maximum(length, 1e-12))
    return limited


def surface_points(vertices: Floats, faces: Ints, step_m: float) -> Floats:
    """Spread points over a surface, its corners among them.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3).
        step_m: Between points, at most, but for triangles so long that they would have more than `MAX_ROWS` rows.

    Returns:
        (N, 3) metres.
    """
    corners = vertices[faces]  # (F, 3, 3)
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max(1)
    rows = np.clip(np.ceil(longest / step_m), 1, MAX_ROWS).astype(int)
    spread = []
    for count in np.unique(rows):
        first, second = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
        inside = first + second <= count
        shares = np.stack([first[inside], second[inside], (count - first - second)[inside]], axis=-1) / count
        spread.append((shares @ corners[rows == count]).reshape(-1, 3))
    found: Floats = np.concatenate(spread)
    return found
