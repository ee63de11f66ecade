"""Things with a print: cartons, cans, bottles, mugs and books as shops sell them, of more sizes than those of `shapes`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pan3d_core.structures import present
from pan3d_sim.objects.coats import mean_rgb, nearest_color
from pan3d_sim.objects.kinds import NUM_PATTERNS, ObjectSpec
from pan3d_sim.objects.meshes import Mesh, Part, Primitive, cuboid, lathe
from pan3d_sim.objects.prints import sample_palette, sample_print
from pan3d_sim.objects.shapes import BUILDERS, DARK, ON_SIDE, STEEL, UPRIGHT, WHITE, Geometry

_ON_EDGE = (np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0)  # y of the object becomes vertical
_INSET = 0.01  # of a side's tile, so that its neighbour's colours stay away
_PLAIN_SHARE = 0.15  # of a package's sides: the ground alone
_SIZE_RANGE = (0.75, 1.3)  # of dishes and books, relative to the plain kinds


def sample_package(rng: np.random.Generator, kind: str | None = None) -> ObjectSpec:
    """Draw a printed thing.

    Args:
        rng: Source of all chance.
        kind: One of `PRINTED_KINDS`; None for any of them.

    Returns:
        A thing that keeps its own surface as modelled ones do.

    Raises:
        ValueError: Nothing of the kind is printed.
    """
    kind = kind or str(rng.choice(PRINTED_KINDS))
    if kind not in _PACKAGES:
        raise ValueError(f"kind: expected one of {', '.join(PRINTED_KINDS)}, got {kind!r}")
    parts, collision, rest = _PACKAGES[kind](rng)
    parts = _printed(rng, parts)
    vertices = np.concatenate([part.mesh.vertices for part in parts])
    length, depth, height = (vertices.max(0) - vertices.min(0)).tolist()
    rgb = mean_rgb(present("parts[0].texture", parts[0].texture))
    return ObjectSpec(
        kind, nearest_color(rgb), rgb, tuple(parts), tuple(collision), tuple(rest), density=float(rng.uniform(350, 650)),
        pattern=int(rng.integers(NUM_PATTERNS)), specular=float(rng.uniform(0.05, 0.8)), extents_m=(length, depth, height),
        hull=vertices,
    )  # fmt: skip


def _box(rng: np.random.Generator) -> Geometry:
    """Tall, flat or small."""
    sizes = (((0.04, 0.08), (0.09, 0.2), (0.13, 0.28)), ((0.08, 0.2), (0.08, 0.24), (0.02, 0.05)), ((0.03, 0.1),) * 3)
    width, depth, height = (rng.uniform(low, high) for low, high in sizes[rng.integers(len(sizes))])
    shape = Primitive("box", (width / 2, depth / 2, height / 2), (0, 0, height / 2))
    return [Part(cuboid((width, depth, height), (0, 0, height / 2)))], [shape], (UPRIGHT, UPRIGHT, ON_SIDE, _ON_EDGE)


def _can(rng: np.random.Generator) -> Geometry:
    r, h = rng.uniform(0.024, 0.052), rng.uniform(0.03, 0.17)
    rim = r * rng.uniform(0.86, 1.0)
    body = lathe([(0, 0), (rim, 0), (r, 0.004), (r, h - 0.006), (rim, h), (0, h)])
    lid = lathe([(0, h - 0.001), (rim, h - 0.001), (rim, h + 0.0015), (0, h + 0.0015)])
    rest = (UPRIGHT, UPRIGHT, UPRIGHT, ON_SIDE)
    return [Part(body), Part(lid, _of(rng, STEEL, WHITE))], [Primitive("cylinder", (r, h / 2), (0, 0, h / 2))], rest


def _bottle(rng: np.random.Generator) -> Geometry:
    """Of round or oval section, with a long or hardly any neck."""
    r, h, flat = rng.uniform(0.02, 0.045), rng.uniform(0.1, 0.27), rng.uniform(0.5, 1.0) if rng.random() < 0.5 else 1.0
    neck, shoulder, slope = r * rng.uniform(0.25, 0.75), h * rng.uniform(0.5, 0.85), rng.uniform(0.01, 0.05)
    start = min(shoulder + slope, h - 0.012)
    waist = rng.uniform(0.8, 1.0) if rng.random() < 0.4 else 1.0
    body = [
        (0, 0),
        (r * 0.92, 0),
        (r, 0.006),
        (r * waist, 0.55 * shoulder),
        (r, shoulder),
        (r * 0.85, shoulder + 0.3 * (start - shoulder)),
    ]
    cap_from = h - rng.uniform(0.01, 0.5) * (h - start)
    cap = lathe([(0, cap_from), (neck * 1.15, cap_from), (neck * rng.uniform(0.5, 1.15), h + 0.003), (0, h + 0.003)])
    meshes = [_flattened(mesh, flat) for mesh in (lathe([*body, (neck, start), (neck, h), (0, h)]), cap)]
    parts = [Part(meshes[0]), Part(meshes[1], _of(rng, DARK, WHITE, *map(tuple, sample_palette(rng, 2).tolist())))]
    shapes = [
        Primitive("box", (r * 0.9, r * flat * 0.9, shoulder / 2), (0, 0, shoulder / 2)),
        Primitive("cylinder", (neck * flat, (h - shoulder) / 2), (0, 0, (h + shoulder) / 2)),
    ]
    return parts, shapes, (UPRIGHT, UPRIGHT, UPRIGHT, ON_SIDE if flat > 0.8 else _ON_EDGE)


def _scaled(kind: str) -> Callable[[np.random.Generator], Geometry]:
    """The plain kind without its labels, in more sizes."""

    def build(rng: np.random.Generator) -> Geometry:
        parts, shapes, rest = BUILDERS[kind](rng)
        scale = rng.uniform(*_SIZE_RANGE)
        own = [part for part in parts if part.tint == "main"]
        parts = [
            replace(part, mesh=Mesh(part.mesh.vertices * scale, part.mesh.faces)) for part in (parts if kind == "book" else own)
        ]
        solids = []
        for solid in shapes:
            x, y, z = solid.position
            size = tuple(scale * extent for extent in solid.size)
            solids.append(replace(solid, size=size, position=(scale * x, scale * y, scale * z)))
        return parts, solids, rest

    return build


def _flattened(mesh: Mesh, flat: float) -> Mesh:
    return Mesh(mesh.vertices * [1.0, flat, 1.0], mesh.faces)


def _of(rng: np.random.Generator, *colors: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = colors[rng.integers(len(colors))]
    return red, green, blue


def _printed(rng: np.random.Generator, parts: list[Part]) -> list[Part]:
    """The same parts, those of the object's own colour with prints of one palette."""
    palette = sample_palette(rng)
    done = []
    for part in parts:
        if part.tint == "main":
            flat_sided = len(part.mesh.vertices) == _CUBOID_VERTICES
            texcoords = _on_sides(part.mesh) if flat_sided else around(part.mesh)
            part = replace(part, texture=printed_sides(rng, palette, 3 if flat_sided else 1), texcoords=texcoords)
        done.append(part)
    return done


def printed_sides(rng: np.random.Generator, palette: np.ndarray, count: int) -> np.ndarray:
    """(h, count h, 3) uint8: prints beside each other, some of them the ground alone."""
    sides = [sample_print(rng, palette if rng.random() > _PLAIN_SHARE else palette[:1]) for _ in range(count)]
    return np.concatenate(sides, axis=1)


_CUBOID_VERTICES = 24


def _on_sides(mesh: Mesh) -> np.ndarray:
    """(24, 2) of a `cuboid` in three tiles beside each other: sides along x, along y, and above and below."""
    points = mesh.vertices.reshape(3, 8, 3)  # by axis
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    shares = ((points - low) / (high - low)).clip(_INSET, 1 - _INSET)
    across, up = (1, 0, 0), (2, 2, 1)
    tiles = [np.stack([(axis + shares[axis, :, across[axis]]) / 3, 1 - shares[axis, :, up[axis]]], axis=1) for axis in range(3)]
    return np.concatenate(tiles)


def around(mesh: Mesh) -> np.ndarray:
    """(V, 2) around z: the print goes half around and its mirror image back, so that there is no seam."""
    x, y, z = mesh.vertices.T
    share = np.abs(np.arctan2(y, x)) / np.pi
    texcoords: np.ndarray = np.stack([share, 1 - (z - z.min()) / (z.max() - z.min())], axis=1)
    return texcoords


_PACKAGES: dict[str, Callable[[np.random.Generator], Geometry]] = {
    "box": _box, "can": _can, "bottle": _bottle, **{kind: _scaled(kind) for kind in ("mug", "cup", "bowl", "book")},
}  # fmt: skip
PRINTED_KINDS = tuple(_PACKAGES)
