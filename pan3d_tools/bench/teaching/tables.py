"""Groups of objects that are taught one by one, and then stand among each other on tables that are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView
from pan3d_core.teaching import Looks, Seen, TaughtLibrary
from pan3d_core.teaching.describing import masked_pictures
from pan3d_sim.cameras.depth_sensors import DepthSensor
from pan3d_sim.cameras.seen_surfaces import SeenSurfaces
from pan3d_sim.cell.robot_cell import camera_view
from pan3d_sim.data.repeated_objects import RepeatedObjects, RepeatedScene
from pan3d_sim.library.bank import ObjectLibrary
from pan3d_sim.objects.kinds import HELD_OUT_KINDS, KINDS, ObjectSpec, sample_object
from pan3d_sim.worlds.config import WORLDS
from pan3d_sim.worlds.photographs import read_photographs
from pan3d_sim.worlds.world import World

WORLD = "surfaces"
NUM_VIEWS = 4
_FIRST_TABLE = 1000  # numbers of scenes: below it objects are shown, above it they stand among each other
_MANY_TABLES = 100
NOBODY = -1
_ORDER_SEED = 7  # of the order in which modelled objects are put into groups
# Groups of the training split from which cues' weights are learnt, and nothing else: their objects must look as new as a user's.
FIRST_FITTED, FITTED, GROUP = 6, 3, 21


@dataclass(frozen=True)
class Candidate:
    """An instance that the pipeline found on a table."""

    looks: Looks
    index: int  # of the object that most of its pixels show; NOBODY = none
    iou: float  # with that object, over the pixels of all views
    pixels: int  # of that object in the instance


@dataclass(frozen=True)
class Group:
    """Objects of which each was shown once, and what was found on tables with all of them."""

    count: int  # of objects
    taught: dict[int, Looks]  # by object; those that were not found when they were shown are missing
    rounds: tuple[tuple[Candidate, ...], ...]  # of several times that all tables were looked at


@dataclass(frozen=True)
class Source:
    """Where objects and surfaces are from."""

    objects: Path | None  # folder of modelled objects; None = procedural ones
    photographs: Path | None  # of surfaces; None = procedural ones
    split: str  # of the objects: "train" or "held-out"

    def draw(self, group: int, count: int) -> list[ObjectSpec]:
        """Draw the objects of a group, which are in no other group of the split as far as they are modelled.

        Args:
            group: Number of the group.
            count: How many.

        Returns:
            The objects.

        Raises:
            ValueError: The folder has too few.
        """
        if self.objects is not None:
            library = ObjectLibrary(self.objects, self.split)
            return library.draw_different(np.random.default_rng(_ORDER_SEED), count, group * count)
        kinds, rng = KINDS if self.split == "train" else HELD_OUT_KINDS, np.random.default_rng([group, 8])
        return [sample_object(rng, kinds[index % len(kinds)]) for index in range(count)]

    def world(self) -> World:
        """Tables of any colour and print."""
        return World(WORLDS[WORLD], None if self.photographs is None else read_photographs(self.photographs))


def numbers_to_learn_from(count: int) -> npt.NDArray[np.int64]:
    """Say which modelled objects of the training split looks may be learnt from.

    Args:
        count: Of all.

    Returns:
        Their numbers: all but those of the groups that the weights of the cues are fitted to.

    Raises:
        ValueError: There are too few.
    """
    end = (FIRST_FITTED + FITTED) * GROUP
    if count < end:
        raise ValueError(f"--object-folder: expected at least {end} objects of the training split, got {count}")
    order = np.random.default_rng(_ORDER_SEED).permutation(count)
    return np.setdiff1d(np.arange(count), order[FIRST_FITTED * GROUP : end])


@dataclass(frozen=True)
class Looker:
    """A pipeline, and the depth cameras that it is given."""

    pipeline: PerceptionPipeline
    sensor: DepthSensor | None  # None = exact depth
    has_depth: bool = True  # False = colour only

    def look(self, objects: RepeatedObjects, number: int, wanted: Sequence[int]) -> tuple[RepeatedScene, list[Candidate]]:
        """Render a table, and find what stands on it.

        Args:
            objects: Of the group.
            number: Of the scene.
            wanted: Which objects stand there.

        Returns:
            The scene, and all instances.
        """
        scene = objects.scene(number, wanted, NUM_VIEWS)
        pipeline = self.pipeline.fresh()
        pipeline.use_library(TaughtLibrary())
        pipeline.process(self._views(objects, scene, number))
        return scene, candidates_of(pipeline.shown(), scene)

    def _views(self, objects: RepeatedObjects, scene: RepeatedScene, number: int) -> list[CameraView]:
        rng, rendered = np.random.default_rng(number), scene.rendered
        gloss = np.array([0.0, *(objects.objects[index].specular for index in scene.shown)])
        views = []
        for row, camera in enumerate(rendered.cameras):
            image, depth = rendered.images[row], rendered.depth[row]
            if self.sensor is not None:
                surfaces = SeenSurfaces(depth, float(camera.intrinsics[0, 0]), image, gloss=gloss[rendered.ids[row]])
                depth = self.sensor.measure(surfaces, rng)
            views.append(camera_view(camera, image, depth if self.has_depth else None))
        return views


def candidates_of(seen: Seen, scene: RepeatedScene) -> list[Candidate]:
    """Compare the instances of a result with what was rendered.

    Args:
        seen: The result.
        scene: The truth.

    Returns:
        Those with an appearance.
    """
    pictures = masked_pictures(seen.result.panoptic, seen.result.views, seen.views)
    truth, found = scene.rendered.ids, []
    for instance_id, looks in seen.looks.items():
        masks = [item.ids == instance_id for item in pictures]
        counts = np.zeros(len(scene.shown) + 1, int)
        for mask, ids in zip(masks, truth):
            counts += np.bincount(ids[mask], minlength=len(counts))
        best = int(counts.argmax())
        union = counts.sum() + int((truth == best).sum()) - counts[best]
        index = scene.shown[best - 1] if best else NOBODY
        found.append(Candidate(looks, index, float(counts[best] / max(union, 1)) if best else 0.0, int(counts[best])))
    return found


def without_networks(group: Group) -> Group:
    """Say what was taught and found by an engine that gives nothing of what networks say.

    Args:
        group: With it.

    Returns:
        The group without.
    """

    def seen(looks: Looks) -> Looks:
        return replace(looks, crops=None, vectors=None, meaning=None)

    rounds = tuple(tuple(replace(item, looks=seen(item.looks)) for item in found) for found in group.rounds)
    return Group(group.count, {index: seen(looks) for index, looks in group.taught.items()}, rounds)


def make_group(source: Source, looker: Looker, number: int, count: int, on_table: int, rounds: int) -> Group:
    """Show every object of a group by itself, then look at all of them on tables.

    Args:
        source: Of objects and surfaces.
        looker: Looks.
        number: Of the group.
        count: Of objects.
        on_table: Objects on one table, as far as there is room.
        rounds: How often all objects are put on tables.

    Returns:
        What was taught, and what was found.
    """
    with RepeatedObjects(1000 + number, source.draw(number, count), world=source.world()) as objects:
        taught = {}
        for index in range(count):
            own = [item for item in looker.look(objects, index, [index])[1] if item.index == index]
            if own:  # whoever shows it points at it
                taught[index] = max(own, key=lambda item: item.pixels).looks
        rng = np.random.default_rng([number, 9])
        found = [tuple(_all_tables(objects, looker, rng, on_table, which)) for which in range(rounds)]
    return Group(count, taught, tuple(found))


def _all_tables(objects: RepeatedObjects, looker: Looker, rng: np.random.Generator, on_table: int, which: int) -> list[Candidate]:
    """Instances of all tables of a round; what found no room on one goes to the next."""
    rest: list[int] = rng.permutation(len(objects.objects)).tolist()
    found: list[Candidate] = []
    for table in range(_MANY_TABLES):
        if not rest:
            break
        scene, candidates = looker.look(objects, _FIRST_TABLE + _MANY_TABLES * which + table, rest[:on_table])
        found += candidates
        rest = [index for index in rest if index not in scene.shown]
    return found
