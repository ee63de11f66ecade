"""Training scenes from scene folders, such as recordings of real cells."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from pan3d_core.views.scene_folder import SCENE_FILE, Scene, read_scene
from pan3d_sim.data.scene_records import MAX_OBJECTS, DamagedScene, SceneRecord, empty_columns
from training.data.scenes.sampled import SampledScene, fill_column


@dataclass(frozen=True)
class FolderShards:
    """Scene folders (`pan3d_core.views.scene_folder`), brought to one size; see `open_scene_folders`."""

    location: str
    chapters: tuple[str, ...]
    kinds: tuple[str, ...]
    num_views: int
    width: int = 144
    height: int = 112
    worker_context = None
    largest_buffer = 10**7

    def keys(self, chapter: int) -> list[str]:
        """The folder's name: one scene per chapter."""
        return [self.chapters[chapter]]

    def read(self, chapter: int, wanted: Collection[str]) -> Iterator[tuple[str, Path]]:
        """Where the scene lies."""
        if self.chapters[chapter] in wanted:
            yield self.chapters[chapter], Path(self.location) / self.chapters[chapter]

    def decode(self, stored: Path) -> SceneRecord:
        """Read the folder and sample its images, depths and ids as the pipeline would for the network."""
        try:
            scene = read_scene(stored)
            if len(scene.views) < self.num_views:
                raise DamagedScene(f"views: expected at least {self.num_views}, got {len(scene.views)}")
            return record_from_scene(scene, self.kinds, self.width, self.height)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedScene(f"{type(error).__name__}: {error}") from error


def open_scene_folders(location: str | Path, *, width: int = 144, height: int = 112) -> FolderShards:
    """Open all scene folders directly below a folder; the first says the kinds and how many views the others need.

    Args:
        location: The folder above them.
        width: Columns (px) of the pictures that training sees.
        height: Rows (px) of them.

    Returns:
        The scenes as a source of training records.

    Raises:
        ValueError: There is no scene folder.
    """
    found = tuple(sorted(path.parent.name for path in Path(location).glob(f"*/{SCENE_FILE}")))
    if not found:
        raise ValueError(f"data: expected scene folders with {SCENE_FILE} in {location}, got none")
    first = read_scene(Path(location) / found[0])
    kinds = first.truth.labels.names if first.truth else ()
    return FolderShards(str(location), found, kinds, len(first.views), width, height)


def record_from_scene(scene: Scene, kinds: tuple[str, ...], width: int, height: int) -> SceneRecord:
    """A scene at the size of the network. Raises `ValueError` when calibration or truth is missing."""
    if scene.truth is None or scene.support_height_m is None:
        lacks = "instances" if scene.truth is None else "the support's height"
        raise ValueError(f"scene {scene.name}: expected instances, depth and the support's height, got a scene without {lacks}")
    sampled = SampledScene.of(scene, width, height)
    columns, dense = empty_columns(len(scene.views)), torch.zeros_like(sampled.ids)
    seen = [item for item in scene.truth.objects if not item.is_void and bool((sampled.ids == item.instance_id).any())]
    void = torch.isin(sampled.ids, torch.tensor(scene.truth.void_ids, dtype=sampled.ids.dtype))
    if len(seen) + bool(void.any()) > MAX_OBJECTS:
        raise ValueError(f"objects: expected at most {MAX_OBJECTS} that can be seen, got {len(seen)}")
    for k, item in enumerate(seen, start=1):
        if item.class_id < 0:
            raise ValueError(f"objects: expected a class for every object, got none for {item.name or item.instance_id}")
        kind = kinds.index(scene.truth.labels.names[item.class_id])
        fill_column(columns, k, item, kind, sampled.ids)
        dense[sampled.ids == item.instance_id] = k
    dense[void] = len(seen) + 1  # an id that has no kind
    return sampled.record(dense.byte().numpy(), columns, scene.support_height_m, -1)
