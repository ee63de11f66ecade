"""Kinds that no training data shows, for measuring what is found of things never seen before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pan3d_sim.objects.meshes import Mesh, Part, Primitive, capsule_between, lathe, ring_wall, tube
from pan3d_sim.objects.shapes import DARK, ON_SIDE, STEEL, UPRIGHT, UPSIDE_DOWN, WHITE, Geometry


def _teapot(rng: np.random.Generator) -> Geometry:
    r, h = rng.uniform(0.050, 0.060), rng.uniform(0.075, 0.095)
    angles = np.linspace(-1.15, 1.2, 11)
    body = [(0.0, 0.0), *((r * np.cos(a), h * (0.5 + 0.5 * np.sin(a) / np.sin(1.2))) for a in angles), (0.0, h)]
    body[1] = (body[1][0], 0.0)
    lid = [(r * 0.42, h - 0.002), (r * 0.36, h + 0.008), (0.010, h + 0.012), (0.009, h + 0.018), (0.013, h + 0.024)]
    spout = np.array([[r * 0.75, 0, h * 0.30], [r * 1.25, 0, h * 0.45], [r * 1.45, 0, h * 0.75], [r * 1.75, 0, h * 0.98]])
    turn = np.linspace(-np.pi / 2, np.pi / 2, 9)
    reach = rng.uniform(0.030, 0.038)
    handle = np.stack([-r * 0.85 - reach * np.cos(turn), 0 * turn, h * 0.5 + h * 0.34 * np.sin(turn)], axis=1)
    knob = DARK if rng.random() < 0.5 else "main"
    parts = [
        Part(lathe(body)),
        Part(lathe([(0.0, h - 0.002), *lid, (0.0, h + 0.026)])),
        Part(tube(spout, np.array([0.017, 0.012, 0.009, 0.008]))),
        Part(tube(handle, 0.0058), knob),
    ]
    shapes = [Primitive("cylinder", (r * 0.94, h / 2), (0, 0, h / 2))]
    shapes += [capsule_between(spout[i], spout[i + 1], 0.010) for i in range(3)]
    shapes += [capsule_between(handle[i], handle[j], 0.0056) for i, j in ((0, 3), (3, 5), (5, 8))]
    return parts, shapes, (UPRIGHT,)


def _candle(rng: np.random.Generator) -> Geometry:
    base, stem, wax = rng.uniform(0.040, 0.052), rng.uniform(0.008, 0.011), rng.uniform(0.010, 0.013)
    foot, h = rng.uniform(0.035, 0.06), rng.uniform(0.07, 0.12)
    holder = [
        (0, 0),
        (base, 0),
        (base, 0.006),
        (stem, 0.012),
        (stem, foot - 0.012),
        (wax + 0.006, foot),
        (wax + 0.006, foot + 0.01),
    ]
    parts = [
        Part(lathe([*holder, (0, foot + 0.01)])),
        Part(lathe([(0, foot), (wax, foot), (wax, foot + h), (wax * 0.3, foot + h + 0.004), (0, foot + h + 0.004)]), WHITE),
        Part(lathe([(0, foot + h), (0.0022, foot + h), (0.0022, foot + h + 0.013), (0, foot + h + 0.013)], 8), DARK),
    ]
    shapes = [
        Primitive("cylinder", (base, 0.004), (0, 0, 0.004)),
        Primitive("cylinder", (wax + 0.003, foot / 2), (0, 0, foot / 2)),
        Primitive("cylinder", (wax, h / 2), (0, 0, foot + h / 2)),
    ]
    return parts, shapes, (UPRIGHT, UPRIGHT, UPRIGHT, ON_SIDE)


def _funnel(rng: np.random.Generator) -> Geometry:
    top, neck, wall = rng.uniform(0.050, 0.065), rng.uniform(0.008, 0.011), 0.0025
    pipe, cone = rng.uniform(0.045, 0.06), rng.uniform(0.05, 0.065)
    outer = [(neck, 0.0), (neck, pipe), (top, pipe + cone), (top, pipe + cone + 0.012)]
    inner = [(r - wall, z) for r, z in reversed(outer)]
    shapes = [*ring_wall(outer[0], outer[1], wall, 8), *ring_wall(outer[1], outer[2], wall, 16)]
    return [Part(lathe([*outer, *inner, outer[0]], 28))], shapes, (UPSIDE_DOWN, UPSIDE_DOWN, ON_SIDE)


def _dumbbell(rng: np.random.Generator) -> Geometry:
    r, disc, length = rng.uniform(0.030, 0.040), rng.uniform(0.030, 0.042), rng.uniform(0.15, 0.19)
    sides = 6 if rng.random() < 0.6 else 24  # hexagonal or round heads
    grip = tube(np.array([[0, 0, z] for z in (disc * 0.9, length / 2, length - disc * 0.9)]), 0.0125, 12)
    edge = 0.005
    parts = [Part(grip, STEEL)]
    for low in (0.0, length - disc):
        profile = [(0, low), (r - edge, low), (r, low + edge), (r, low + disc - edge), (r - edge, low + disc), (0, low + disc)]
        parts.append(Part(lathe(profile, sides)))
    shapes = [Primitive("cylinder", (0.0125, length / 2 - disc * 0.5), (0, 0, length / 2))]
    shapes += [Primitive("cylinder", (r * 0.93, disc / 2), (0, 0, z)) for z in (disc / 2, length - disc / 2)]
    lying = tuple(np.array([np.cos(np.pi / 4), 0.0, np.sin(np.pi / 4), 0.0]).tolist())
    return parts, shapes, (lying, lying, lying, UPRIGHT)


def _spoon(rng: np.random.Generator) -> Geometry:
    length, width, r = rng.uniform(0.15, 0.20), rng.uniform(0.020, 0.027), rng.uniform(0.0045, 0.006)
    deep, rise = rng.uniform(0.011, 0.016), rng.uniform(0.012, 0.022)
    t = np.linspace(0.0, np.pi / 2, 6)
    outer = [(0.0, 0.0), *((width * np.sin(a), deep * (1 - np.cos(a))) for a in t[1:])]
    inner = [(radius - 0.0022, max(z, 0.0022)) for radius, z in reversed(outer[1:])]
    scoop = lathe([*outer, *inner, (0.0, 0.0022)])
    stretched = Mesh(scoop.vertices * np.array([1.35, 1.0, 1.0]), scoop.faces)
    path = np.array(
        [[width * 1.3, 0, deep], [width * 1.3 + 0.35 * length, 0, deep + rise], [width * 1.3 + length, 0, deep + 0.5 * rise]]
    )
    parts = [Part(stretched), Part(tube(path, np.array([r * 0.7, r * 0.8, r * 1.3])))]
    shapes = [Primitive("box", (width * 1.2, width * 0.85, deep / 2), (0, 0, deep / 2))]
    shapes += [capsule_between(path[i], path[i + 1], r) for i in range(2)]
    return parts, shapes, (UPRIGHT,)


HELD_OUT_BUILDERS: dict[str, Callable[[np.random.Generator], Geometry]] = {
    "teapot": _teapot, "candle": _candle, "funnel": _funnel, "dumbbell": _dumbbell, "spoon": _spoon,
}  # fmt: skip
