"""Objects of a refined scene as knowledge of a place: the same object gets the same id and name whenever it is seen there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pan3d_core.gaussians.files import read_scene_file
from pan3d_core.gaussians.places import MIN_OPACITY, TRIM
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.geometry.boxes import OrientedBox, upright_box
from pan3d_core.geometry.spherical_harmonics import CONSTANT
from pan3d_core.memory.likeness import similarity
from pan3d_core.structures import Panoptic3D, Segment

# Of an object over what any of the two ids has: fewer common pixels are chance.
MIN_COMMON_SHARE = 0.25  # assumed


@dataclass(frozen=True)
class MapMatching:
    """When an object that is seen is one of the map."""

    max_distance_m: float = 0.05  # assumed: of the boxes' middles
    min_similarity: float = 0.5  # assumed: of place, overlap and colour, as the memory weighs them

    def __post_init__(self) -> None:
        if not self.max_distance_m > 0 or not 0 <= self.min_similarity <= 1:
            got = f"{self.max_distance_m:g} and {self.min_similarity:g}"
            raise ValueError(f"MapMatching.max_distance_m, min_similarity: expected above 0 and 0 to 1, got {got}")


@dataclass(frozen=True)
class MapObject:
    """One object of a map."""

    instance_id: int  # > 0
    name: str
    box: OrientedBox  # world, upright, around the object's Gaussians
    color_rgb: Tensor  # (3,) median, 0..1
    text_embedding: None = None  # a map stores none; `similarity` asks for it

    @property
    def center_m(self) -> Tensor:
        """(3,) world."""
        return self.box.world_from_box[:3, 3]

    @property
    def extent_m(self) -> Tensor:
        """(3,) full size along the box's axes."""
        return self.box.size_m


@dataclass(frozen=True)
class RefinedMap:
    """What is known of a place. Raises `ValueError` where two objects share an id."""

    objects: tuple[MapObject, ...]
    world_frame_id: str = "world"
    matching: MapMatching = MapMatching()

    def __post_init__(self) -> None:
        ids = self.ids()
        if len(set(ids)) < len(ids) or any(value < 1 for value in ids):
            raise ValueError(f"RefinedMap.objects: expected different ids from 1 on, got {ids}")

    def ids(self) -> tuple[int, ...]:
        """Ids of all objects, in their order."""
        return tuple(item.instance_id for item in self.objects)

    def match(self, segments: Sequence[Segment], taken: Collection[int] = ()) -> dict[int, int]:
        """Row of `segments` -> id of the object of the map that it is; ids in `taken` are left out.

        One to one, by the assignment of largest total similarity; what is too unlike, or too far from all, has no entry.
        """
        free = [item for item in self.objects if item.instance_id not in taken]
        table = np.zeros((len(segments), len(free)))
        for row, segment in enumerate(segments):
            for column, item in enumerate(free):
                table[row, column] = similarity(item, segment, self.matching.max_distance_m)
        rows, columns = linear_sum_assignment(table, maximize=True)
        enough = self.matching.min_similarity
        return {int(row): free[column].instance_id for row, column in zip(rows, columns) if table[row, column] >= enough}

    def named(self, panoptic: Panoptic3D) -> Panoptic3D:
        """The scene with objects of the map called what the map calls them, where that is one of the scene's classes.

        The map has seen them from many sides, so it is believed: such a name has probability 1.
        """
        names = {item.instance_id: item.name for item in self.objects}
        semantic_id, segments = panoptic.semantic_id, []
        for segment in panoptic.segments:
            name = names.get(segment.instance_id)
            class_id = panoptic.labels.names.index(name) if name in panoptic.labels.names else segment.class_id
            if class_id != segment.class_id:
                semantic_id = torch.where(panoptic.instance_id == segment.instance_id, class_id, semantic_id)
                segment = replace(segment, class_id=class_id, class_score=1.0)
            segments.append(segment)
        return replace(panoptic, semantic_id=semantic_id, segments=tuple(segments))


def map_of_scene(scene: GaussianScene, matching: MapMatching | None = None) -> RefinedMap:
    """Make a map of a place from its scene.

    Args:
        scene: In metres.
        matching: When an object that is seen later is one of the map; None = the defaults.

    Returns:
        The objects of the scene.

    Raises:
        ValueError: The scene is not metric: its places mean nothing to a robot.
    """
    if not scene.is_metric:
        raise ValueError("GaussianScene.is_metric: expected a scene in metres, got one without a unit")
    objects = tuple(_object(scene, value) for value in scene.ids())
    return RefinedMap(objects, scene.world_frame_id, matching or MapMatching())


def read_map(path: Path | str, world_frame_id: str) -> RefinedMap:
    """The map of a scene's file.

    Raises `FileNotFoundError`, or `ValueError` for a damaged file, a scene that is not metric and one of another frame.
    """
    refined = map_of_scene(read_scene_file(path))
    if refined.world_frame_id != world_frame_id:
        raise ValueError(f"{path}: world_frame_id: expected {world_frame_id!r}, got {refined.world_frame_id!r}")
    return refined


def _object(scene: GaussianScene, instance_id: int) -> MapObject:
    mine = scene.instance_id == instance_id
    solid = mine & (scene.gaussians.opacities >= MIN_OPACITY)
    rows = solid if bool(solid.any()) else mine
    colors = scene.gaussians.colors[rows]
    flat = colors if colors.ndim == 2 else (colors[:, 0] * CONSTANT + 0.5).clamp(0, 1)
    box = upright_box(scene.gaussians.means[rows], TRIM)
    return MapObject(instance_id, scene.names[instance_id], box, flat.median(0).values)


def ids_in_common(made: Tensor, seen: Tensor) -> dict[int, int]:
    """Ids of the objects in `made`, pixels of any shape -> ids under which `seen` of that shape shows them; 0 = none in both.

    One to one, by the assignment of most common pixels. Of the others, an object most of whose pixels show what another one
    shows better is a second one of the same, as where views disagree on depth, and gets 0; the rest get ids that nobody uses.
    """
    if made.shape != seen.shape:
        raise ValueError(f"seen: expected the shape {tuple(made.shape)} of made, got {tuple(seen.shape)}")
    ours, theirs = ([value for value in ids.unique().tolist() if value > 0] for ids in (made, seen))
    share = np.zeros((len(ours), len(theirs)))
    for row, own in enumerate(ours):
        for column, other in enumerate(theirs):
            first, second = made == own, seen == other
            share[row, column] = float((first & second).sum()) / float((first | second).sum())
    rows, columns = linear_sum_assignment(share, maximize=True)
    pairs = zip(rows, columns)
    table = {ours[row]: theirs[column] for row, column in pairs if share[row, column] >= MIN_COMMON_SHARE}
    unused, given = max([*ours, *theirs, 0]) + 1, set(table.values())
    for own in ours:
        if own in table:
            continue
        value, count = seen[made == own].unique(return_counts=True)
        if int(value[count.argmax()]) in given and 2 * int(count.max()) > int(count.sum()):
            table[own] = 0
        else:
            table[own], unused = unused, unused + 1
    return table


def renumbered(scene: GaussianScene, new_ids: Mapping[int, int]) -> GaussianScene:
    """The scene with other ids, 0 = no object any more. Ids that `new_ids` does not name are moved behind all others, so none is
    given twice.

    Raises `ValueError` where two ids would become one, or one less than 0.
    """
    kept = [value for value in new_ids.values() if value != 0]
    if len(set(kept)) < len(kept) or any(value < 0 for value in kept):
        raise ValueError(f"new_ids: expected different ids from 1 on, or 0, got {dict(new_ids)}")
    table, unused = dict(new_ids), max([*new_ids.values(), *scene.names, 0]) + 1
    for value in sorted(scene.names):
        if value not in table:
            table[value], unused = unused, unused + 1
    instance_id = torch.zeros_like(scene.instance_id)
    for old in scene.ids():
        instance_id[scene.instance_id == old] = table[old]
    return replace(scene, instance_id=instance_id, names={table[old]: name for old, name in scene.names.items() if table[old]})
