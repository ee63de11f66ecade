"""Training scenes from scene folders, such as recordings of real cells."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from pan3d_core.config import PreprocessConfig
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.sampling import sample_at_network
from pan3d_core.views.scene_folder import DEPTH_UNIT_M, SCENE_FILE, Scene, read_scene
from pan3d_sim.data.scene_records import MAX_OBJECTS, DamagedScene, SceneRecord, empty_columns


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
    """All scene folders directly below a folder; the first says the kinds and how many views the others need.

    Raises `ValueError` when there are none.
    """
    found = tuple(sorted(path.parent.name for path in Path(location).glob(f"*/{SCENE_FILE}")))
    if not found:
        raise ValueError(f"data: expected scene folders with {SCENE_FILE} in {location}, got none")
    first = read_scene(Path(location) / found[0])
    kinds = first.truth.labels.names if first.truth else ()
    return FolderShards(str(location), found, kinds, len(first.views), width, height)


def record_from_scene(scene: Scene, kinds: tuple[str, ...], width: int, height: int) -> SceneRecord:
    """A scene at the size of the network. Raises `ValueError` when calibration or truth is missing."""
    measured = [depth for depth in (scene.truth.depth if scene.truth else ()) if depth is not None]
    if scene.truth is None or scene.support_height_m is None or len(measured) < len(scene.views):
        raise ValueError("scene: expected instances, depth and the support's height, got a scene without")
    batch = preprocess(scene.views, PreprocessConfig(height=height, width=width))
    if batch.intrinsics is None or batch.cam_from_world is None:
        raise ValueError("scene: expected calibrated cameras, got some without intrinsics or poses")
    mappings = list(batch.network_from_original)
    ids = torch.stack([sample_at_network(own, mapping, batch.hw) for own, mapping in zip(scene.truth.instance_ids, mappings)])
    depth = torch.stack([sample_at_network(own, mapping, batch.hw) for own, mapping in zip(measured, mappings)])
    columns, dense = empty_columns(len(mappings)), torch.zeros_like(ids)
    seen = [item for item in scene.truth.objects if bool((ids == item.instance_id).any())]
    if len(seen) > MAX_OBJECTS:
        raise ValueError(f"objects: expected at most {MAX_OBJECTS} that can be seen, got {len(seen)}")
    for k, item in enumerate(seen, start=1):
        if item.class_id < 0:
            raise ValueError(f"objects: expected a class for every object, got none for {item.name or item.instance_id}")
        dense[ids == item.instance_id] = k
        columns["kinds"][k] = kinds.index(scene.truth.labels.names[item.class_id])
        columns["visible_pixels"][k] = (ids == item.instance_id).sum((1, 2)).numpy()
        if item.box is not None:
            columns["world_from_box"][k], columns["box_size"][k] = item.box.world_from_box.numpy(), item.box.size_m.numpy()
    units = (depth / DEPTH_UNIT_M).round()
    usable = torch.isfinite(units) & (units > 0) & (units <= 65535)
    return SceneRecord(
        -1,
        (batch.images * 255).round().byte().permute(0, 2, 3, 1).numpy(),
        torch.where(usable, units, 0).int().numpy().astype("uint16"),
        dense.byte().numpy(),
        **columns,
        intrinsics=batch.intrinsics.float().numpy(),
        cam_from_world=batch.cam_from_world.float().numpy(),
        support_height=torch.tensor(scene.support_height_m).float().numpy(),
    )
