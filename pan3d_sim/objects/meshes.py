"""Triangle meshes and collision primitives that the object kinds are built from. Metres, object frame, z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Mesh:
    """A visible surface: vertices (V, 3), faces (F, 3) counter-clockwise from outside."""

    vertices: Array
    faces: Array


@dataclass(frozen=True)
class Part:
    """One visible mesh. `tint` is its own RGB (0..1), or "main" for the colour of the object."""

    mesh: Mesh
    tint: str | tuple[float, float, float] = "main"
    opacity: float = 1.0
    texture: Array | None = None  # (h, w, 3) uint8, in place of a pattern
    texcoords: Array | None = None  # (V, 2) of the mesh's vertices in the texture, v counts downwards


@dataclass(frozen=True)
class Primitive:
    """A collision shape in MuJoCo's meaning of `size`: box half extents; cylinder and capsule (radius, half length)."""

    shape: str  # "box", "cylinder", "capsule", "sphere"
    size: tuple[float, ...]
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quat_wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)


def quat_between_z(direction: Array) -> tuple[float, float, float, float]:
    """Shortest rotation (w, x, y, z) that takes +z to `direction`."""
    d = np.asarray(direction, float) / np.linalg.norm(direction)
    if d[2] < -0.999999:
        return (0.0, 1.0, 0.0, 0.0)
    quat = np.array([1.0 + d[2], -d[1], d[0], 0.0])
    w, x, y, z = (quat / np.linalg.norm(quat)).tolist()
    return w, x, y, z


def quat_multiply(a: Array, b: Array) -> Array:
    """Hamilton product of (w, x, y, z) quaternions."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return np.array(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ]
    )


def matrix_from_quat(quat_wxyz: Array) -> Array:
    """(4,) unit quaternion (w, x, y, z) -> (3, 3) rotation."""
    w, x, y, z = np.asarray(quat_wxyz, float)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def lathe(profile: list[tuple[float, float]], sides: int = 24) -> Mesh:
    """Surface of revolution about z. `profile` lists (radius, z) from the bottom, outside upwards; radius 0 closes it."""
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    rings = [np.stack([r * np.cos(angles), r * np.sin(angles), np.full(sides, z)], axis=1) for r, z in profile]
    vertices = np.concatenate(rings)
    faces = []
    for level in range(len(profile) - 1):
        low, high = level * sides, (level + 1) * sides
        for k in range(sides):
            n = (k + 1) % sides
            if profile[level][0] > 0:
                faces.append((low + k, low + n, high + n))
            if profile[level + 1][0] > 0:
                faces.append((low + k, high + n, high + k))
    return _without_collapsed(Mesh(vertices, np.array(faces)))


def tube(path: Array, radii: Array | float, sides: int = 10) -> Mesh:
    """Tube along `path` (P, 3) in a plane that contains z or is flat, closed at both ends."""
    path = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radii, float), len(path))
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    chord = path[-1] - path[0]
    bend = path[len(path) // 2] - 0.5 * (path[0] + path[-1])
    normal = np.cross(chord, bend) if np.linalg.norm(np.cross(chord, bend)) > 1e-9 else np.cross(chord, [0.3, 0.9, 0.2])
    normal /= np.linalg.norm(normal)
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    rings = []
    for point, tangent, radius in zip(path, tangents, radii):
        side = np.cross(tangent, normal)
        rings.append(point + radius * (np.cos(angles)[:, None] * normal + np.sin(angles)[:, None] * side))
    vertices = np.concatenate([*rings, path[:1], path[-1:]])
    first, last = len(path) * sides, len(path) * sides + 1
    faces = []
    for level in range(len(path) - 1):
        low, high = level * sides, (level + 1) * sides
        for k in range(sides):
            n = (k + 1) % sides
            faces += [(low + k, high + n, low + n), (low + k, high + k, high + n)]
    end = (len(path) - 1) * sides
    for k in range(sides):
        n = (k + 1) % sides
        faces += [(first, k, n), (last, end + n, end + k)]
    return _outward(Mesh(vertices, np.array(faces)))


def cuboid(size: tuple[float, float, float], center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mesh:
    """Box of full extents `size`; every face has its own vertices so that shading stays flat."""
    half = 0.5 * np.asarray(size)
    vertices: list[Array] = []
    faces: list[tuple[int, int, int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            base = len(vertices)
            for du, dv in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = np.zeros(3)
                corner[axis], corner[u], corner[v] = sign * half[axis], du * half[u], dv * half[v]
                vertices.append(corner + np.asarray(center))
            order = [(0, 1, 2), (0, 2, 3)] if sign > 0 else [(0, 2, 1), (0, 3, 2)]
            faces += [(base + a, base + b, base + c) for a, b, c in order]
    return Mesh(np.array(vertices), np.array(faces))


def ring_wall(bottom: tuple[float, float], top: tuple[float, float], thickness: float, count: int = 14) -> list[Primitive]:
    """Boxes around z that approximate a (possibly tilted) wall from (radius, z) `bottom` to `top`, outer radii."""
    (r0, z0), (r1, z1) = bottom, top
    length = float(np.hypot(r1 - r0, z1 - z0))
    tilt = float(np.arctan2(r1 - r0, z1 - z0))  # leaning outwards
    r_mid, z_mid = 0.5 * (r0 + r1) - 0.5 * thickness, 0.5 * (z0 + z1)
    half_width = max(r0, r1) * np.tan(np.pi / count)
    walls = []
    for k in range(count):
        angle = 2 * np.pi * k / count
        yaw = np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])
        lean = np.array([np.cos(tilt / 2), 0, np.sin(tilt / 2), 0])
        quat = quat_multiply(yaw, lean)
        position = (r_mid * np.cos(angle), r_mid * np.sin(angle), z_mid)
        walls.append(Primitive("box", (0.5 * thickness, half_width, 0.5 * length), position, tuple(quat)))
    return walls


def capsule_between(a: Array, b: Array, radius: float) -> Primitive:
    """Capsule with its axis from a to b."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return Primitive("capsule", (radius, 0.5 * float(np.linalg.norm(b - a))), tuple(0.5 * (a + b)), quat_between_z(b - a))


def _without_collapsed(mesh: Mesh) -> Mesh:
    """Merge the identical vertices of closed lathe ends, which would otherwise get arbitrary normals."""
    rounded = np.round(mesh.vertices, 7)
    unique, index = np.unique(rounded, axis=0, return_inverse=True)
    faces = index.reshape(-1)[mesh.faces]
    distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    return Mesh(unique, faces[distinct])


def _outward(mesh: Mesh) -> Mesh:
    """Flip all faces when the signed volume is negative."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum()
    return mesh if volume >= 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1].copy())
