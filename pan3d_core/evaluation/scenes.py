"""Where scenes with truth come from: scene folders and shards of training data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pan3d_core.labels import LabelSpace
from pan3d_core.scene_io import DEPTH_UNIT_M, SCENE_FILE, Scene, SceneObject, SceneTruth, read_scene
from pan3d_core.structures import CameraView


@dataclass(frozen=True)
class SceneReference:
    """Where one scene lies; small enough to be handed to another process, which reads it."""

    path: Path  # scene folder, or shard folder
    index: int | None = None  # row of the shard

    @property
    def name(self) -> str:
        """Name for messages; the same that the scene of a shard has."""
        return self.path.name if self.index is None else f"{self.path.name}/{self.index}"

    def read(self) -> Scene:
        """The scene. Raises `FileNotFoundError` or `ValueError` naming file and field."""
        return read_scene(self.path) if self.index is None else read_shard_scene(self.path, self.index)


def list_scenes(paths: Sequence[Path], limit: int = 0) -> list[SceneReference]:
    """References to the scenes below the given paths: scene folders, folders of them, or shards of training data.

    `limit` > 0 ends after so many. Raises `FileNotFoundError` for a path without any scene.
    """
    found = itertools.chain.from_iterable(_references_of(Path(path)) for path in paths)
    return list(itertools.islice(found, limit or None))


def find_scenes(paths: Sequence[Path], limit: int = 0) -> Iterator[Scene]:
    """The scenes of `list_scenes`, read one at a time."""
    for reference in list_scenes(paths, limit):
        yield reference.read()


def read_shard_scene(folder: Path, index: int) -> Scene:
    """Row `index` of a training shard: `images` (N, S, h, w, 3) uint8, `depth` in 0.1 mm, `ids`, `kinds`, cameras."""
    names = ("images", "depth", "ids", "kinds", "intrinsics", "cam_from_world", "support_height")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r")[index] for name in names}
    labels = LabelSpace.things(tuple(json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))["kinds"]))
    images = torch.from_numpy(arrays["images"].copy()).permute(0, 3, 1, 2).float() / 255
    depth = torch.from_numpy(arrays["depth"].astype(np.float32)) * DEPTH_UNIT_M
    ids = torch.from_numpy(arrays["ids"].astype(np.int64))
    kinds = arrays["kinds"]
    views = tuple(
        CameraView(
            image=images[view],
            intrinsics=torch.from_numpy(arrays["intrinsics"][view].copy()),
            cam_from_world=torch.from_numpy(arrays["cam_from_world"][view].copy()),
            depth=depth[view],
            camera=f"camera_{view}",
        )
        for view in range(len(images))
    )
    objects = tuple(SceneObject(k, labels.names[kinds[k]], int(kinds[k])) for k in range(1, len(kinds)) if kinds[k] < len(labels))
    truth = SceneTruth(tuple(ids), tuple(depth), objects, labels)
    return Scene(f"{folder.name}/{index}", views, truth, float(arrays["support_height"]))


def _references_of(path: Path) -> Iterator[SceneReference]:
    if (path / SCENE_FILE).exists():
        yield SceneReference(path)
        return
    if (path / "images.npy").exists():
        yield from (SceneReference(path, index) for index in range(len(np.load(path / "images.npy", mmap_mode="r"))))
        return
    inner = sorted(item for item in path.iterdir() if item.is_dir()) if path.is_dir() else []
    inner = [item for item in inner if (item / SCENE_FILE).exists() or (item / "images.npy").exists()]
    if not inner:
        raise FileNotFoundError(f"scenes: expected {SCENE_FILE} or images.npy in or below {path}, got neither")
    for item in inner:
        yield from _references_of(item)
