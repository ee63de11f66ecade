"""Things without a name: solids stuck together at random, in any colours and prints; they teach what a thing is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pan3d_sim.objects.coats import mean_rgb, nearest_color
from pan3d_sim.objects.kinds import NUM_PATTERNS, ObjectSpec
from pan3d_sim.objects.meshes import Mesh, Part, cuboid, lathe, matrix_from_quat, tube
from pan3d_sim.objects.packages import around, printed_sides
from pan3d_sim.objects.prints import sample_palette
from pan3d_sim.objects.rest_poses import hull_vertices, stable_poses

NAMELESS = "thing"  # the kind of what has no name; no class of any network
_LONGEST_M = (0.04, 0.26)
_ONE_COLOR_SHARE, _PRINTED_SHARE = 0.3, 0.4
_POSES = 12  # entries of the list of resting poses, each as likely as the others


def sample_odd_shape(rng: np.random.Generator) -> ObjectSpec:
    """Draw a thing of one to five solids that nobody has a word for.

    Args:
        rng: Source of all chance.

    Returns:
        A thing that keeps its own surface as modelled ones do; its kind is `NAMELESS`.
    """
    meshes = _stuck_together(rng, [_solid(rng) for _ in range(rng.choice(5, p=(0.2, 0.3, 0.25, 0.15, 0.1)) + 1)])
    meshes = _standing(meshes, rng.uniform(*_LONGEST_M))
    palette = sample_palette(rng)
    one_color = rng.random() < _ONE_COLOR_SHARE
    parts = [_coated(rng, mesh, palette, one_color) for mesh in meshes]
    parts.sort(key=lambda part: -float(np.ptp(part.mesh.vertices, axis=0).prod()))
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    corners = hull_vertices(vertices)
    quats, weights = stable_poses(corners, vertices.mean(0))
    w, x, y, z = quats[rng.choice(len(quats), _POSES, p=weights)].T.tolist()
    red, green, blue = _main_rgb(parts[0])
    length, depth, height = np.ptp(vertices, axis=0).tolist()
    return ObjectSpec(
        NAMELESS, nearest_color((red, green, blue)), (red, green, blue), tuple(parts), (), tuple(zip(w, x, y, z)),
        density=float(rng.uniform(350, 650)), pattern=int(rng.integers(NUM_PATTERNS)), specular=float(rng.uniform(0.05, 0.8)),
        extents_m=(length, depth, height), hull=corners, pieces=tuple(mesh.vertices for mesh in meshes),
    )  # fmt: skip


def _solid(rng: np.random.Generator) -> Mesh:
    """A block, a turned piece or a bent rod of about one unit."""
    choice = rng.random()
    if choice < 0.35:
        width, depth, height = rng.uniform(0.15, 1.0, 3)
        return cuboid((width, depth, height))
    if choice < 0.75:
        count = int(rng.integers(2, 6))
        heights, radii = np.linspace(0, rng.uniform(0.2, 1.0), count), rng.uniform(0.1, 0.5, count)
        profile = [(0.0, 0.0), *zip(radii.tolist(), heights.tolist()), (0.0, float(heights[-1]))]
        return lathe(profile, int(rng.choice((5, 6, 8, 20))))
    bend, thick = rng.uniform(0.0, 1.2), rng.uniform(0.05, 0.2)
    angles = np.linspace(-bend, bend, 9)
    radius = 0.5 / max(bend, 0.05)
    path = np.stack([radius * np.sin(angles), radius * (np.cos(angles) - 1), np.zeros(9)], axis=1)
    return tube(path, thick * rng.uniform(0.6, 1.0, 9))


def _stuck_together(rng: np.random.Generator, solids: list[Mesh]) -> list[Mesh]:
    """Each turned, and moved until its middle lies on the surface of one before it."""
    placed: list[Mesh] = []
    for solid in solids:
        quat = rng.normal(size=4)
        if rng.random() < 0.5:  # most things are built at right angles
            quat = np.round(quat / np.abs(quat).max())
        points = (solid.vertices - solid.vertices.mean(0)) @ matrix_from_quat(quat / np.linalg.norm(quat)).T
        if placed:
            other = placed[rng.integers(len(placed))].vertices
            points = points + other[rng.integers(len(other))]
        placed.append(Mesh(points, solid.faces))
    return placed


def _standing(meshes: list[Mesh], longest_m: float) -> list[Mesh]:
    """Of the wanted size, on z = 0, the middle of their box above the origin."""
    points = np.concatenate([mesh.vertices for mesh in meshes])
    low, high = points.min(0), points.max(0)
    foot = np.array([*(0.5 * (low + high))[:2], low[2]])
    return [replace(mesh, vertices=(mesh.vertices - foot) * longest_m / (high - low).max()) for mesh in meshes]


def _coated(rng: np.random.Generator, mesh: Mesh, palette: np.ndarray, one_color: bool) -> Part:
    """The mesh in a colour of the palette, the first where all have one, or in a print of it."""
    if rng.random() < _PRINTED_SHARE:
        return Part(mesh, texture=printed_sides(rng, palette, 1), texcoords=around(mesh))
    red, green, blue = palette[0 if one_color else rng.integers(len(palette))].tolist()
    return Part(mesh, (red, green, blue))


def _main_rgb(part: Part) -> tuple[float, float, float]:
    return part.tint if part.texture is None else mean_rgb(part.texture)  # type: ignore[return-value]
