"""Training samples from recordings of rooms, and whatever else `pan3d eval` reads: stretches of neighbouring views at one size.

An object's kind is that of its own name or else of its class. Objects of other kinds, and all pixels of scenes that nobody has
annotated, are void: ids without a kind (`SceneBatch.void`). There may be any number of objects. Depth ends at 6.55 m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pan3d_core.views.scene_folder import Scene, SceneObject
from pan3d_eval.datasets import SceneReference, ViewSelection, dataset_of
from pan3d_eval.datasets.table import read_unlabelled
from pan3d_sim.data.scene_records import NAMELESS_KIND, SceneRecord, empty_columns
from training.data.scenes.sampled import SampledScene, fill_column

MAX_KINDS = NAMELESS_KIND  # their numbers are stored in a byte, whose last values mean no name and no object


@dataclass(frozen=True)
class SamplePlan:
    """What a sample is: so many views, so far apart, at this size, and how many are taken of a recording."""

    kinds: tuple[str, ...]
    views: int = 8
    interval: int = 20  # images of the recording from one view to the next
    samples: int = 4  # of each recording, evenly from its begin to its end
    width: int = 518
    height: int = 392

    def __post_init__(self) -> None:
        if not self.kinds or len(self.kinds) > MAX_KINDS or len(set(map(plain, self.kinds))) != len(self.kinds):
            raise ValueError(f"classes: expected 1 to {MAX_KINDS} names, none twice, got {', '.join(self.kinds) or 'none'}")
        for name, least in (("views", 1), ("interval", 1), ("samples", 1), ("width", 14), ("height", 14)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")

    def samples_of(self, reference: SceneReference) -> int:
        """How many samples a scene gives: one where it is no recording but a set of views."""
        return self.samples if reference.index is None and dataset_of(reference.path) is not None else 1

    def read(self, reference: SceneReference, number: int) -> tuple[SceneRecord, Scene]:
        """Read sample `number` of a scene.

        Args:
            reference: Where the scene lies.
            number: 0 to `samples_of` - 1.

        Returns:
            The sample, and the scene that it was made from.

        Raises:
            FileNotFoundError: A file of the scene is missing.
            ValueError: The scene is damaged, or lacks views, calibration, poses or depth; names scene and field.
        """
        stretch = ViewSelection(self.views, self.interval, (number, self.samples))
        try:
            unlabelled = read_unlabelled(reference.path, stretch) if reference.index is None else None
            scene = unlabelled or replace(reference, views=stretch).read()
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"scene {reference.name}: {error}") from error
        if len(scene.views) < self.views:
            raise ValueError(f"scene {scene.name}: views: expected at least {self.views}, got {len(scene.views)}")
        scene = scene.of_cameras([view.camera for view in scene.views[: self.views]])
        try:
            return self.record(scene, number), scene
        except ValueError as error:
            if str(error).startswith(f"scene {scene.name}:"):
                raise
            raise ValueError(f"scene {reference.name}: {error}") from error

    def record(self, scene: Scene, seed: int) -> SceneRecord:
        """The views of a scene as training data. `ValueError` that names scene and field where something is missing."""
        sampled = SampledScene.of(scene, self.width, self.height)
        truth, ids = scene.truth, sampled.ids
        known = {} if truth is None else {item.instance_id: item for item in truth.objects}
        present = torch.bincount(ids.flatten()).nonzero()[:, 0].tolist()
        seen = [known[number] for number in present if number in known]
        kinds = [self.kind_of(item, scene) for item in seen]
        objects = [(item, kind) for item, kind in zip(seen, kinds, strict=True) if kind >= 0]
        void = len(objects) + 1
        columns = empty_columns(len(scene.views), void)
        # Whatever has an id is void until it has a kind; without truth that is everything.
        place = torch.full((int(ids.max()) + 1,), void)
        place[0] = void if truth is None else 0
        for k, (item, kind) in enumerate(objects, start=1):
            fill_column(columns, k, item, kind, ids)
            place[item.instance_id] = k
        stored = place[ids].numpy().astype(np.uint8 if void < 256 else np.uint16)
        return sampled.record(stored, columns, np.nan if scene.support_height_m is None else scene.support_height_m, seed)

    def kind_of(self, item: SceneObject, scene: Scene) -> int:
        """Index of an object's kind, by its own name, else by its class; -1 = none of these."""
        places = {plain(name): index for index, name in enumerate(self.kinds)}
        return next((places[name] for name in names_of(item, scene) if name in places), -1)


def names_of(item: SceneObject, scene: Scene) -> tuple[str, ...]:
    """What an object of a scene is called: its own name, then that of its class."""
    named = scene.truth is not None and item.class_id >= 0
    return (plain(item.name), *([plain(scene.truth.labels.name(item.class_id))] if named and scene.truth else ()))


def plain(name: str) -> str:
    """A name as it is compared: lower case, single blanks."""
    return " ".join(name.lower().replace("_", " ").split())


def labelled_kinds(references: Sequence[SceneReference]) -> tuple[str, ...]:
    """The classes of things of the first scene that can be read. `ValueError` where none has labels."""
    for reference in references:
        try:
            scene = replace(reference, views=ViewSelection(1)).read()
        except (FileNotFoundError, ValueError):
            continue
        if scene.truth is not None and len(scene.truth.labels):
            labels = scene.truth.labels
            return tuple(name for name, thing in zip(labels.names, labels.is_thing, strict=True) if thing)
    raise ValueError("classes: expected names, since no scene that can be read has labels, got none")
