"""Where scenes with truth come from: scene folders and shards of training data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from pan3d_core.labels import LabelSpace
from pan3d_core.scene_io import DEPTH_UNIT_M, SCENE_FILE, Scene, SceneObject, SceneTruth, read_scene
from pan3d_core.structures import CameraView


def find_scenes(paths: Sequence[Path], limit: int = 0) -> Iterator[Scene]:
    """Scenes below the given paths, one at a time: scene folders, folders of scene folders, or shards of training data.

    `limit` > 0 ends after so many. Raises `FileNotFoundError` for a path without any scene.
    """
    count = 0
    for path in paths:
        for scene in _scenes_of(Path(path)):
            if limit and count == limit:
                return
            count += 1
            yield scene


def shard_scenes(folder: Path) -> Iterator[Scene]:
    """Scenes of one training shard: `images` (N, S, h, w, 3) uint8, `depth` in 0.1 mm, `ids`, `kinds`, cameras."""
    names = ("images", "depth", "ids", "kinds", "intrinsics", "cam_from_world", "support_height")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    labels = LabelSpace.things(tuple(json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))["kinds"]))
    for index in range(len(arrays["images"])):
        images = torch.from_numpy(arrays["images"][index].copy()).permute(0, 3, 1, 2).float() / 255
        depth = torch.from_numpy(arrays["depth"][index].astype(np.float32)) * DEPTH_UNIT_M
        ids = torch.from_numpy(arrays["ids"][index].astype(np.int64))
        kinds = arrays["kinds"][index]
        views = tuple(
            CameraView(
                image=images[view],
                intrinsics=torch.from_numpy(arrays["intrinsics"][index, view].copy()),
                cam_from_world=torch.from_numpy(arrays["cam_from_world"][index, view].copy()),
                depth=depth[view],
                camera=f"camera_{view}",
            )
            for view in range(len(images))
        )
        objects = tuple(
            SceneObject(k, labels.names[kinds[k]], int(kinds[k])) for k in range(1, len(kinds)) if kinds[k] < len(labels)
        )
        truth = SceneTruth(tuple(ids), tuple(depth), objects, labels)
        yield Scene(f"{folder.name}/{index}", views, truth, float(arrays["support_height"][index]))


def _scenes_of(path: Path) -> Iterator[Scene]:
    if (path / SCENE_FILE).exists():
        yield read_scene(path)
        return
    if (path / "images.npy").exists():
        yield from shard_scenes(path)
        return
    inner = sorted(item for item in path.iterdir() if item.is_dir()) if path.is_dir() else []
    inner = [item for item in inner if (item / SCENE_FILE).exists() or (item / "images.npy").exists()]
    if not inner:
        raise FileNotFoundError(f"scenes: expected {SCENE_FILE} or images.npy in or below {path}, got neither")
    for item in inner:
        yield from _scenes_of(item)
