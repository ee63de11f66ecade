"""Drawing modelled objects from a folder of prepared ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pan3d_sim.library.convert import PreparedObject, PreparedPart
from pan3d_sim.library.folder import INDEX_FILE, ObjectFacts, load_object, read_index
from pan3d_sim.library.pieces import convex_pieces
from pan3d_sim.library.tables import TRAIN, UNSEEN_KIND, UNSEEN_OBJECT
from pan3d_sim.objects.coats import nearest_color
from pan3d_sim.objects.kinds import NUM_PATTERNS, ObjectSpec, surface_points
from pan3d_sim.objects.meshes import Mesh, Part
from pan3d_sim.objects.shapes import UPRIGHT

# What data sets choose between.
OBJECT_SPLITS = {"train": (TRAIN,), "held-out": (UNSEEN_OBJECT, UNSEEN_KIND)}
SCALE_RANGE = (0.85, 1.15)
_PIECE_POINTS = 3000
_UPRIGHT_SHARE, _POSES = 0.6, 20  # of the resting poses that an object has in its list

_SPIRAL = np.arange(120) + 0.5
_DOWN = np.arccos(1 - 2 * _SPIRAL / len(_SPIRAL))
_AROUND = np.pi * (1 + 5**0.5) * _SPIRAL
_SPHERE = np.stack([np.cos(_AROUND) * np.sin(_DOWN), np.sin(_AROUND) * np.sin(_DOWN), np.cos(_DOWN)], axis=1)
_DIRECTIONS = np.concatenate([np.eye(3), -np.eye(3), _SPHERE])


class ObjectLibrary:
    """The modelled objects of one split. What it draws follows from the random numbers and the folder's index alone."""

    def __init__(self, folder: Path, split: str = "train") -> None:
        """Read the index. Raises `ValueError` for an unknown split or a folder without objects of it."""
        if split not in OBJECT_SPLITS:
            raise ValueError(f"object split: expected one of {', '.join(OBJECT_SPLITS)}, got {split!r}")
        self.folder, self.split = Path(folder), split
        own = [item for item in read_index(self.folder).objects if item.split in OBJECT_SPLITS[split]]
        if not own:
            raise ValueError(f"objects: expected some of {split} in {folder}, got none")
        self._by_kind: dict[str, list[ObjectFacts]] = {}
        for item in own:
            self._by_kind.setdefault(item.kind, []).append(item)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of its objects."""
        return tuple(self._by_kind)

    @property
    def count(self) -> int:
        """How many objects it has."""
        return sum(len(items) for items in self._by_kind.values())

    @property
    def digest(self) -> str:
        """Short checksum of the index: equal ones give equal scenes."""
        return hashlib.sha256((self.folder / INDEX_FILE).read_bytes()).hexdigest()[:12]

    def sample(self, rng: np.random.Generator, *, solid: bool = False) -> ObjectSpec:
        """Draw an object.

        Args:
            rng: Source of all chance.
            solid: Add the convex pieces that physics needs.

        Returns:
            One of any kind, all kinds equally likely, a little larger or smaller than it is.

        Raises:
            FileNotFoundError: The object's file is missing.
            ValueError: The file is damaged; names it.
        """
        of_kind = self._by_kind[self.kinds[int(rng.integers(len(self.kinds)))]]
        facts = of_kind[int(rng.integers(len(of_kind)))]
        spec = spec_of(facts.kind, load_object(self.folder / facts.file), rng)
        if not solid:
            return spec
        return replace(spec, pieces=convex_pieces(surface_points(spec, np.random.default_rng(0), _PIECE_POINTS)))

    def draw_different(self, rng: np.random.Generator, count: int, skip: int = 0) -> list[ObjectSpec]:
        """Draw objects of which no two are the same model.

        Args:
            rng: Source of all chance; the same one and another `skip` give others of the same order.
            count: How many.
            skip: So many of the order are passed over.

        Returns:
            The objects, as `sample` gives them.

        Raises:
            ValueError: The split has too few, or a file is damaged.
        """
        if skip + count > self.count:
            raise ValueError(f"objects: expected at least {skip + count} of {self.split} in {self.folder}, got {self.count}")
        return self.draw(rng, rng.permutation(self.count)[skip : skip + count])

    def draw(self, rng: np.random.Generator, numbers: Sequence[int] | npt.NDArray[np.int64]) -> list[ObjectSpec]:
        """Draw the objects of these numbers, one of them several times where its number is there several times.

        Args:
            rng: Source of all chance.
            numbers: 0 to `count` - 1, in the order of the kinds.

        Returns:
            The objects, as `sample` gives them.

        Raises:
            FileNotFoundError: The object's file is missing.
            ValueError: The file is damaged; names it.
        """
        own = [item for kind in self.kinds for item in self._by_kind[kind]]
        chosen = [own[number] for number in numbers]
        return [spec_of(item.kind, load_object(self.folder / item.file), rng) for item in chosen]


def spec_of(kind: str, item: PreparedObject, rng: np.random.Generator) -> ObjectSpec:
    """A prepared object with a drawn scale, pattern (for repainting) and gloss."""
    scale = rng.uniform(*SCALE_RANGE)
    hull = _thinned(item.hull.astype(float)) * scale
    parts = tuple(_part(part, scale) for part in item.parts)
    length, depth, height = (hull.max(0) - hull.min(0)).tolist()
    main = item.parts[0]
    own_gloss = 0.1 + 0.6 * main.specular
    return ObjectSpec(
        kind, nearest_color(main.rgb), main.rgb, parts, (), _resting(item),
        density=float(rng.uniform(350, 650)), pattern=int(rng.integers(NUM_PATTERNS)),
        specular=float(np.clip(rng.normal(own_gloss, 0.15), 0.03, 0.8)), extents_m=(length, depth, height), hull=hull,
    )  # fmt: skip


def _thinned(hull: np.ndarray) -> np.ndarray:
    """The corners of a hull that lie farthest in some of many directions; the axes are among these, so its box stays."""
    return hull[np.unique((hull @ _DIRECTIONS.T).argmax(0))]


def _part(part: PreparedPart, scale: float) -> Part:
    mesh = Mesh(part.vertices.astype(float) * scale, part.faces)
    return Part(mesh, part.rgb, part.opacity, part.texture, part.texcoords)


def _resting(item: PreparedObject) -> tuple[tuple[float, float, float, float], ...]:
    """Poses as a list of which each entry is equally likely: mostly upright, others by how easily the object falls into them."""
    upright = round(_UPRIGHT_SHARE * _POSES)
    counts = np.round(item.rest_weights * (_POSES - upright)).astype(int)
    others = [pose for pose, count in zip(item.rest_quats_wxyz, counts) for _ in range(count)]
    return (UPRIGHT,) * upright + tuple((float(w), float(x), float(y), float(z)) for w, x, y, z in others)
