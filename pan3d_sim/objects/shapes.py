"""The shapes of the kinds: visible parts, collision primitives and resting poses, drawn from random numbers.

`BUILDERS` are the kinds that training data shows. The random numbers that each draws are part of every seeded scene.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pan3d_sim.objects.meshes import Mesh, Part, Primitive, capsule_between, cuboid, lathe, ring_wall, tube

UPRIGHT = (1.0, 0.0, 0.0, 0.0)
ON_SIDE = (np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0)  # z of the object becomes horizontal
UPSIDE_DOWN = (0.0, 1.0, 0.0, 0.0)
Geometry = tuple[list[Part], list[Primitive], tuple]
WHITE, STEEL, WOOD, DARK = (0.9, 0.9, 0.88), (0.6, 0.61, 0.63), (0.62, 0.44, 0.26), (0.12, 0.12, 0.13)


def _box(rng: np.random.Generator) -> Geometry:
    width, depth, height = rng.uniform(0.045, 0.068), rng.uniform(0.06, 0.10), rng.uniform(0.09, 0.15)
    parts = [Part(cuboid((width, depth, height), (0, 0, height / 2)))]
    label = rng.uniform(0.35, 0.75)
    parts.append(Part(cuboid((width + 0.001, depth * label, height * label * 0.6), (0, 0, height * 0.55)), WHITE))
    shape = Primitive("box", (width / 2, depth / 2, height / 2), (0, 0, height / 2))
    return parts, [shape], (UPRIGHT, UPRIGHT, ON_SIDE)


def _can(rng: np.random.Generator) -> Geometry:
    r, h = rng.uniform(0.028, 0.034), rng.uniform(0.09, 0.125)
    body = lathe([(0, 0), (r * 0.85, 0), (r, 0.006), (r, h - 0.008), (r * 0.86, h), (0, h)])
    lid = lathe([(0, h - 0.001), (r * 0.84, h - 0.001), (r * 0.84, h + 0.0015), (0, h + 0.0015)])
    band = lathe([(r + 0.0005, h * 0.38), (r + 0.0005, h * 0.62)])
    parts = [Part(body), Part(lid, STEEL), Part(band, WHITE)]
    return parts, [Primitive("cylinder", (r, h / 2), (0, 0, h / 2))], (UPRIGHT, UPRIGHT, UPRIGHT, ON_SIDE)


def _bottle(rng: np.random.Generator) -> Geometry:
    r, h, neck = rng.uniform(0.027, 0.034), rng.uniform(0.17, 0.22), rng.uniform(0.010, 0.013)
    shoulder = h * rng.uniform(0.55, 0.68)
    body = [(0, 0), (r * 0.9, 0), (r, 0.005), (r, shoulder), (r * 0.8, shoulder + 0.02)]
    profile = [*body, (neck, shoulder + 0.045), (neck, h), (0, h)]
    cap = lathe([(0, h - 0.018), (neck + 0.003, h - 0.018), (neck + 0.003, h + 0.003), (0, h + 0.003)])
    label = lathe([(r + 0.0006, shoulder * 0.3), (r + 0.0006, shoulder * 0.8)])
    parts = [Part(lathe(profile)), Part(cap, DARK if rng.random() < 0.5 else WHITE), Part(label, WHITE)]
    neck_length = h - shoulder - 0.02
    shapes = [
        Primitive("cylinder", (r, shoulder / 2), (0, 0, shoulder / 2)),
        Primitive("cylinder", (r * 0.7, 0.012), (0, 0, shoulder + 0.012)),
        Primitive("cylinder", (neck, neck_length / 2), (0, 0, h - neck_length / 2)),
    ]
    return parts, shapes, (UPRIGHT, UPRIGHT, UPRIGHT, ON_SIDE)


def vessel(r_bottom: float, r_top: float, h: float, wall: float) -> tuple[Mesh, list[Primitive]]:
    outer = [(0.0, 0.0), (r_bottom, 0.0), (r_top, h)]
    inner = [(r_top - wall, h), (r_bottom - wall, wall), (0.0, wall)]
    shapes = [Primitive("cylinder", (r_bottom * 0.98, wall / 2), (0, 0, wall / 2)), *ring_wall((r_bottom, 0.0), (r_top, h), wall)]
    return lathe(outer + inner), shapes


def _mug(rng: np.random.Generator) -> Geometry:
    r, h = rng.uniform(0.034, 0.039), rng.uniform(0.08, 0.10)
    mesh, shapes = vessel(r, r, h, 0.004)
    reach, low, high = rng.uniform(0.026, 0.033), h * 0.2, h * 0.82
    angles = np.linspace(-np.pi / 2, np.pi / 2, 9)
    rise = (low + high) / 2 + (high - low) / 2 * np.sin(angles)
    path = np.stack([r - 0.002 + reach * np.cos(angles), 0 * angles, rise], axis=1)
    for a, b in ((0, 3), (3, 5), (5, 8)):
        shapes.append(capsule_between(path[a], path[b], 0.0055))
    return [Part(mesh), Part(tube(path, 0.0058))], shapes, (UPRIGHT,) * 5 + (ON_SIDE,)


def _cup(rng: np.random.Generator) -> Geometry:
    top, h = rng.uniform(0.034, 0.039), rng.uniform(0.085, 0.115)
    bottom = top * rng.uniform(0.62, 0.75)
    mesh, shapes = vessel(bottom, top, h, 0.003)
    band = lathe([(bottom + 0.3 * (top - bottom) + 0.0006, 0.3 * h), (bottom + 0.65 * (top - bottom) + 0.0006, 0.65 * h)])
    return [Part(mesh), Part(band, WHITE)], shapes, (UPRIGHT, UPRIGHT, UPRIGHT, UPSIDE_DOWN)


def _bowl(rng: np.random.Generator) -> Geometry:
    top, h = rng.uniform(0.058, 0.075), rng.uniform(0.042, 0.06)
    t = np.linspace(0.0, np.pi / 2, 8)
    outer = [(0.0, 0.0), (top * 0.4, 0.0)] + [(top * (0.4 + 0.6 * np.sin(a)), h * (1 - np.cos(a))) for a in t[2:]]
    inner = [(r - 0.0045, max(z, 0.0045)) for r, z in reversed(outer[1:])] + [(0.0, 0.0045)]
    mid = (top * (0.4 + 0.6 * np.sin(np.pi / 4)), h * (1 - np.cos(np.pi / 4)))
    shapes = [Primitive("cylinder", (top * 0.42, 0.003), (0, 0, 0.003))]
    shapes += ring_wall((top * 0.42, 0.001), mid, 0.005, 16) + ring_wall(mid, (top, h), 0.005, 16)
    return [Part(lathe(outer + inner, 28))], shapes, (UPRIGHT,)


def _plate(rng: np.random.Generator) -> Geometry:
    r, h = rng.uniform(0.075, 0.095), rng.uniform(0.014, 0.020)
    outer = [(0.0, 0.0), (r * 0.6, 0.0), (r, h)]
    inner = [(r - 0.003, h + 0.002), (r * 0.58, 0.005), (0.0, 0.005)]
    rim = lathe([(r * 0.80, h * 0.62 + 0.002), (r * 0.90, h * 0.84 + 0.0025)], 28)
    shapes = [Primitive("cylinder", (r * 0.62, 0.003), (0, 0, 0.003)), *ring_wall((r * 0.6, 0.001), (r, h), 0.004, 18)]
    return [Part(lathe(outer + inner, 28)), Part(rim, DARK if rng.random() < 0.5 else WHITE)], shapes, (UPRIGHT,)


def _ball(rng: np.random.Generator) -> Geometry:
    r = rng.uniform(0.025, 0.036)
    angles = np.linspace(-np.pi / 2, np.pi / 2, 13)
    profile = [(max(r * np.cos(a), 0.0) if 0 < i < 12 else 0.0, r + r * np.sin(a)) for i, a in enumerate(angles)]
    stripe = lathe([(r * np.cos(a) + 0.0005, r + r * np.sin(a)) for a in (-0.12, 0.0, 0.12)])
    parts = [Part(lathe(profile)), Part(stripe, WHITE)]
    return parts, [Primitive("sphere", (r,), (0, 0, r))], (UPRIGHT, ON_SIDE, (0.9, 0.3, 0.3, 0.0))


def _book(rng: np.random.Generator) -> Geometry:
    length, width, thick = rng.uniform(0.13, 0.17), rng.uniform(0.09, 0.12), rng.uniform(0.018, 0.035)
    pages = cuboid((width - 0.004, length - 0.006, thick - 0.006), (0.003, 0, thick / 2))
    covers = [cuboid((width, length, 0.003), (0, 0, 0.0015)), cuboid((width, length, 0.003), (0, 0, thick - 0.0015))]
    spine = cuboid((0.003, length, thick), (-width / 2 + 0.0015, 0, thick / 2))
    title = cuboid((width * 0.6, length * 0.15, 0.001), (0, length * 0.2, thick))
    parts = [Part(mesh) for mesh in (*covers, spine)] + [Part(pages, WHITE), Part(title, WHITE)]
    return parts, [Primitive("box", (width / 2, length / 2, thick / 2), (0, 0, thick / 2))], (UPRIGHT, UPRIGHT, UPRIGHT, ON_SIDE)


def _block(rng: np.random.Generator) -> Geometry:
    size = rng.uniform(0.035, 0.052, 3) if rng.random() < 0.3 else np.full(3, rng.uniform(0.036, 0.052))
    shape = Primitive("box", tuple(size / 2), (0, 0, size[2] / 2))
    return [Part(cuboid(tuple(size), (0, 0, size[2] / 2)))], [shape], (UPRIGHT,)


def _banana(rng: np.random.Generator) -> Geometry:
    bend, r = rng.uniform(0.075, 0.10), rng.uniform(0.0155, 0.0185)
    angles = np.linspace(-0.85, 0.85, 11)
    path = np.stack([bend * np.sin(angles), bend * (np.cos(angles) - 0.85), np.full(11, r)], axis=1)
    radii = r * np.array([0.35, 0.6, 0.8, 0.93, 1, 1, 1, 0.93, 0.8, 0.55, 0.3])
    parts = [Part(tube(path, radii, 8))]
    ends = [path[0] + (path[0] - path[1]) * 0.5, path[-1] + (path[-1] - path[-2]) * 0.2]
    parts.append(Part(tube(np.stack([path[0], ends[0]]), r * 0.3, 6), (0.30, 0.22, 0.08)))
    shapes = [capsule_between(path[i], path[i + 2], float(0.92 * radii[i : i + 3].mean())) for i in (1, 3, 5, 7)]
    return parts, shapes, (UPRIGHT,)


def _pan(rng: np.random.Generator) -> Geometry:
    r, h, reach = rng.uniform(0.07, 0.085), rng.uniform(0.028, 0.038), rng.uniform(0.11, 0.14)
    mesh, shapes = vessel(r * 0.9, r, h, 0.004)
    path = np.array([[r - 0.004, 0, h * 0.75], [r + reach * 0.5, 0, h * 0.95], [r + reach, 0, h]])
    shapes.append(capsule_between(path[0], path[2], 0.0095))
    return [Part(mesh), Part(tube(path, 0.0100, 8), DARK)], shapes, (UPRIGHT,)


def _hammer(rng: np.random.Generator) -> Geometry:
    length, r, head = rng.uniform(0.19, 0.23), rng.uniform(0.0115, 0.014), rng.uniform(0.075, 0.095)
    axis = np.array([[-length / 2, 0, 0.014], [0, 0, 0.014], [length / 2, 0, 0.014]])
    parts = [Part(tube(axis, np.array([r, r, r * 0.8]), 10)), Part(cuboid((0.026, head, 0.026), (length / 2, 0, 0.014)), STEEL)]
    shapes = [capsule_between(axis[0], axis[2], r * 0.97), Primitive("box", (0.013, head / 2, 0.013), (length / 2, 0, 0.014))]
    return parts, shapes, (UPRIGHT,)


def _tape(rng: np.random.Generator) -> Geometry:
    outer, h = rng.uniform(0.040, 0.050), rng.uniform(0.020, 0.045)
    inner = outer * rng.uniform(0.6, 0.72)
    ring = lathe([(inner, 0), (outer, 0), (outer, h), (inner, h), (inner, 0)], 28)
    core = lathe([(inner - 0.0005, h), (inner - 0.0005, 0)], 28)
    return [Part(ring), Part(core, (0.66, 0.52, 0.36))], ring_wall((outer, 0), (outer, h), outer - inner, 16), (UPRIGHT,)


def _vase(rng: np.random.Generator) -> Geometry:
    belly, neck, h = rng.uniform(0.032, 0.038), rng.uniform(0.014, 0.018), rng.uniform(0.13, 0.17)
    heights = np.array([0.0, 0.12, 0.3, 0.5, 0.68, 0.82, 0.93, 1.0]) * h
    radii = np.array([0.6, 0.85, 1.0, 0.88, 0, 0, 0, 0]) * belly + np.array([0, 0, 0, 0, 1.35, 1.0, 1.1, 1.45]) * neck
    outer = [(0.0, 0.0), *zip(radii.tolist(), heights.tolist())]
    mesh = lathe([*outer, (radii[-1] - 0.003, h), (radii[-2] - 0.004, h * 0.9), (0.0, h * 0.88)])
    shapes = []
    for (r0, z0), (r1, z1) in zip(outer[1:-1], outer[2:]):
        shapes.append(Primitive("cylinder", (0.5 * (r0 + r1), 0.5 * (z1 - z0)), (0, 0, 0.5 * (z0 + z1))))
    return [Part(mesh)], shapes, (UPRIGHT, UPRIGHT, UPRIGHT, ON_SIDE)


BUILDERS: dict[str, Callable[[np.random.Generator], Geometry]] = {
    "box": _box, "can": _can, "bottle": _bottle, "mug": _mug, "cup": _cup, "bowl": _bowl, "plate": _plate, "ball": _ball,
    "book": _book, "block": _block, "banana": _banana, "pan": _pan, "hammer": _hammer, "tape": _tape, "vase": _vase,
}  # fmt: skip
