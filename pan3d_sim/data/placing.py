"""Where the objects of a training scene lie, without physics: apart, side by side until they touch, or heaped on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pan3d_sim.objects.coats import Coat, sample_coat
from pan3d_sim.objects.kinds import ObjectSpec, object_box, rest_pose, surface_points
from pan3d_sim.objects.meshes import matrix_from_quat

WORKSPACE_HALF_M = 0.24
ARRANGEMENTS = ("plain", "mixed")  # apart only; apart, touching and heaped in turn
MAX_TOUCHING, MAX_HEAPED = 15, 25
_TOUCHING_SHARE, _HEAPED_SHARE = 0.2, 0.35  # of the scenes of mixed arrangements
_CELL_M, _GRID = 0.008, 100  # of the map of heights, about 0.8 m wide
_TRIES = 6  # drops of which the one that comes to lie lowest is kept
_HIGHEST_M = 0.3  # what would reach higher stays away
_TILTED_SHARE = 0.35  # of what lies on a heap: leaning at any angle


@dataclass(frozen=True)
class PlacedObject:
    """An object of the bank as one scene shows it."""

    spec: ObjectSpec
    coat: Coat
    position: np.ndarray  # (3,) metres, world
    quat_wxyz: np.ndarray  # (4,)

    @property
    def rgb(self) -> tuple[float, float, float]:
        """Colour of its main part."""
        return self.coat.rgb

    @property
    def color_name(self) -> str:
        """Word for it."""
        return self.coat.color_name

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """world_from_box (4, 4) along the object's own axes, and full extents (3,), metres."""
        world_from_object = np.eye(4)
        world_from_object[:3, :3] = matrix_from_quat(self.quat_wxyz / np.linalg.norm(self.quat_wxyz))
        world_from_object[:3, 3] = self.position
        return object_box(self.spec, world_from_object)

    def sphere(self) -> tuple[float, float, float, float]:
        """Centre (world, metres) and radius of a ball around the object's box."""
        world_from_box, size = self.box()
        x, y, z = world_from_box[:3, 3].tolist()
        return x, y, z, 0.5 * float(np.linalg.norm(size))


Placed = dict[int, PlacedObject]  # by index of the object


def place(rng: np.random.Generator, objects: Sequence[ObjectSpec], arrangement: str = "plain") -> Placed:
    """Draw which objects a scene shows and where they lie.

    Args:
        rng: Source of all chance.
        objects: Those that there are.
        arrangement: One of `ARRANGEMENTS`.

    Returns:
        Index of the object -> how it lies, with z = 0 as the support.
    """
    if arrangement == "plain":
        return _place_apart(rng, objects, int(rng.integers(3, 10)))
    choice = rng.random()
    if choice < _HEAPED_SHARE:
        return _place_heaped(rng, objects, int(rng.integers(5, MAX_HEAPED + 1)))
    if choice < _HEAPED_SHARE + _TOUCHING_SHARE:
        return _place_touching(rng, objects, int(rng.integers(4, MAX_TOUCHING + 1)))
    return _place_apart(rng, objects, int(rng.integers(2, 13)))


def place_all(rng: np.random.Generator, objects: Sequence[ObjectSpec]) -> Placed:
    """Put all objects apart from each other, as far as there is room.

    Args:
        rng: Source of all chance.
        objects: Those that are wanted.

    Returns:
        As of `place`; what found no room in a few tries is not among them.
    """
    return _place_apart(rng, objects, len(objects))


def _place_apart(rng: np.random.Generator, objects: Sequence[ObjectSpec], count: int) -> Placed:
    """Up to `count` objects at rest on the support without overlap of their outlines."""
    gap = rng.uniform(0.003, 0.012) if rng.random() < 0.35 else rng.uniform(0.015, 0.04)  # packed or separated
    half = WORKSPACE_HALF_M * rng.uniform(0.6, 1.0)
    tilted_share = 0.6 if rng.random() < 0.12 else 0.03  # objects in piles lean on each other
    placed: Placed = {}
    footprints: list[np.ndarray] = []
    for index in rng.permutation(len(objects))[:count]:
        spec = objects[index]
        for _ in range(12):
            position, quat = rest_pose(spec, rng, rng.uniform(-half, half, 2), 0.0, tilted=rng.random() < tilted_share)
            world = spec.vertices @ matrix_from_quat(quat).T + position
            outline = _outline(world[:, :2], gap)
            if all(_separated(outline, other) for other in footprints):
                footprints.append(outline)
                placed[int(index)] = PlacedObject(spec, sample_coat(rng, spec), position, quat)
                break
    return placed


def _place_touching(rng: np.random.Generator, objects: Sequence[ObjectSpec], count: int) -> Placed:
    """Objects pushed towards a point from all sides until their outlines meet; what would leave the workspace is left out."""
    middle = rng.uniform(-0.06, 0.06, 2)
    gap = rng.uniform(-0.003, 0.004)
    ways = np.arange(0.0, 0.45, 0.003)  # distances from the middle
    placed: Placed = {}
    footprints: list[np.ndarray] = []
    for index in rng.permutation(len(objects))[:count]:
        spec = objects[index]
        position, quat = rest_pose(spec, rng, middle, 0.0)
        world = spec.vertices @ matrix_from_quat(quat).T + position
        angle = rng.uniform(0, 2 * np.pi)
        direction = np.array([np.cos(angle), np.sin(angle)])
        outlines = _outline(world[:, :2], gap) + ways[:, None] * (_DIRECTIONS @ direction)
        free = np.ones(len(ways), bool)
        for other in footprints:
            free &= (outlines + np.roll(other, len(other) // 2) < 0).any(1)
        blocked = np.flatnonzero(~free)
        step = int(blocked[-1]) + 1 if len(blocked) else 0
        if step == len(ways) or np.abs(world[:, :2] + ways[step] * direction).max() > WORKSPACE_HALF_M + 0.03:
            continue
        footprints.append(outlines[step])
        position = position + [*(ways[step] * direction), 0.0]
        placed[int(index)] = PlacedObject(spec, sample_coat(rng, spec), position, quat)
    return placed


def _place_heaped(rng: np.random.Generator, objects: Sequence[ObjectSpec], count: int) -> Placed:
    """Objects let down one after the other, large ones first, onto what lies there already; nothing is inside another thing."""
    middle, spread = rng.uniform(-0.05, 0.05, 2), rng.uniform(0.5, 1.0) * 0.036 * np.sqrt(count)
    heights = np.zeros((_GRID, _GRID))  # top of what lies there
    placed: Placed = {}
    drawn = rng.permutation(len(objects))[:count]
    sizes = np.array([np.prod(objects[index].extents_m[:2]) for index in drawn])
    for index in drawn[np.argsort(-sizes * rng.lognormal(0.0, 0.8, len(drawn)))]:
        spec = objects[index]
        points = _surface_points(spec, int(index))
        best: tuple[float, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]] | None = None
        for _ in range(_TRIES):
            xy = np.clip(middle + rng.normal(0, spread, 2), -0.9 * WORKSPACE_HALF_M, 0.9 * WORKSPACE_HALF_M)
            position, quat = rest_pose(spec, rng, xy, 0.0, tilted=bool(placed) and rng.random() < _TILTED_SHARE)
            world = points @ matrix_from_quat(quat / np.linalg.norm(quat)).T + position
            cells = _cells(world)
            lift = max(0.0, float((heights.ravel()[cells] - world[:, 2]).max()))
            middle_height = float(world[:, 2].mean()) + lift
            if best is None or middle_height < best[0]:
                position = position + [0.0, 0.0, lift]
                best = middle_height, position, quat, (cells, world[:, 2] + lift)
        assert best is not None
        _, position, quat, (cells, tops) = best
        if placed and tops.max() > _HIGHEST_M:
            continue
        np.maximum.at(heights.reshape(-1), cells, tops)
        placed[int(index)] = PlacedObject(spec, sample_coat(rng, spec), position, quat)
    return placed


def _cells(points: np.ndarray) -> np.ndarray:
    """Index of each point's cell in the flat map of heights."""
    cells = np.clip(np.floor(points[:, :2] / _CELL_M).astype(int) + _GRID // 2, 0, _GRID - 1)
    index: np.ndarray = cells[:, 0] * _GRID + cells[:, 1]
    return index


def _surface_points(spec: ObjectSpec, seed: int) -> np.ndarray:
    """(900, 3) points, dense enough that hardly a cell of the map is missed."""
    return surface_points(spec, np.random.default_rng(seed), 900)


def _outline(points: np.ndarray, margin: float) -> np.ndarray:
    """(D,) support distances of (N, 2) points along `_DIRECTIONS`, grown by half of `margin`."""
    return (points @ _DIRECTIONS.T).max(0) + 0.5 * margin


_ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def _separated(a: np.ndarray, b: np.ndarray) -> bool:
    """True when some direction separates two convex outlines (support of -d stands half a turn away)."""
    return bool((a + np.roll(b, len(b) // 2) < 0).any())
