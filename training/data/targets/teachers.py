"""What 2D models say about training images: masks as of SAM and text-aligned features as of LSeg, which EPS3D learns from.

A teacher is asked once per batch, before the images are changed. Three come with the project: `CellTeacher` (the robot cell's own
truth and our text embeddings), `CallableTeacher` (any 2D model in this process) and `FileTeacher` (what a model said earlier).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor
from torch.nn import functional as F

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.language.minilm import TextEncoder
from pan3d_core.runtime.files import named_file, written_whole
from training.data.arrays import SceneBatch, TeacherMaps
from training.data.targets.text import TextTargets

STUFF = ("table", "floor")
STUFF_FILE = "stuff_embeddings.safetensors"
TABLE_THICKNESS_M = 0.05


class Teacher(Protocol):
    """Masks and features of every view of a batch; all chance comes from the generator."""

    def __call__(self, batch: SceneBatch, generator: Generator) -> TeacherMaps: ...


def taught(batch: SceneBatch, teacher: Teacher, generator: Generator) -> SceneBatch:
    """Ask a teacher about a batch.

    Args:
        batch: Scenes with pictures (B, S, 3, H, W).
        teacher: What says ids (B, S, H, W) and features (B, S, E, h, w) of them.
        generator: For teachers that draw.

    Returns:
        The batch with what the teacher says.

    Raises:
        ValueError: Its maps do not fit the pictures.
    """
    maps = teacher(batch, generator)
    views = batch.images.shape[:2]
    if maps.ids.shape != (*views, *batch.images.shape[-2:]) or maps.ids.is_floating_point():
        raise ValueError(
            f"teacher ids: expected integers of shape {(*views, *batch.images.shape[-2:])}, got {maps.ids.dtype} of "
            f"{tuple(maps.ids.shape)}"
        )
    if maps.features.ndim != 5 or maps.features.shape[:2] != views or not bool(torch.isfinite(maps.features).all()):
        raise ValueError(f"teacher features: expected finite values (B, S, E, h, w), got shape {tuple(maps.features.shape)}")
    return replace(batch, teacher=maps)


def stuff_ids(batch: SceneBatch) -> Tensor:
    """(B, S, H, W) int64: 1 + index into `STUFF` where depth shows table or floor and no object, else 0; 0 in scenes of which
    nobody knows the height of a support."""
    points = unproject_depth(batch.depth, batch.intrinsics, batch.cam_from_world)
    above = points[..., 2] > batch.support_height[:, None, None, None] - TABLE_THICKNESS_M
    free = (batch.ids == 0) & (batch.depth > 0) & torch.isfinite(batch.support_height)[:, None, None, None]
    return torch.where(free & above, 1, torch.where(free, 2, 0))


def cell_classes(batch: SceneBatch, num_kinds: int) -> Tensor:
    """(B, S, H, W) int64: kind of the object, `num_kinds` + index into `STUFF`, or -1 where neither is known."""
    kind = batch.kinds[torch.arange(len(batch.kinds))[:, None, None, None], batch.ids]
    stuff = stuff_ids(batch)
    return torch.where(stuff > 0, num_kinds + stuff - 1, torch.where(batch.ids > 0, kind.clamp_min(-1), -1))


@dataclass(frozen=True)
class CellTeacher:
    """The cell's truth: true masks, and of every kind the embedding of a random one of its descriptions."""

    text: TextTargets
    stuff_embeddings: Tensor  # (2, text_dim) unit vectors of the words in `STUFF`

    def __call__(self, batch: SceneBatch, generator: Generator) -> TeacherMaps:
        table = torch.cat([self.text.draw(generator), self.stuff_embeddings, torch.zeros_like(self.stuff_embeddings[:1])])
        stuff = stuff_ids(batch)
        ids = torch.where(stuff > 0, batch.kinds.shape[1] + stuff, torch.where(batch.void, 0, batch.ids))
        features = table[agreed_half(cell_classes(batch, len(self.text.kinds)))].movedim(-1, 2)
        return TeacherMaps(ids, features, table[:-1])


def cell_teacher(text: TextTargets, data: Path) -> CellTeacher:
    """The built-in teacher; the embeddings of table and floor are kept beside the data (only their making needs the encoder)."""
    path = data / STUFF_FILE
    if not path.exists():
        save_file({"embeddings": TextEncoder().encode(list(STUFF)).contiguous()}, path)
    return CellTeacher(text, load_file(path)["embeddings"])


def agreed_half(classes: Tensor) -> Tensor:
    """(..., H, W) integers -> (..., H // 2, W // 2), -1 where the four pixels do not agree."""
    four = torch.stack([classes[..., row::2, column::2] for row in (0, 1) for column in (0, 1)])
    return torch.where((four == four[0]).all(0), four[0], -1)


def require_range(context_views: Sequence[int]) -> tuple[int, int]:
    """Return the fewest and the most views that a network may see; `ValueError` for anything else."""
    if len(context_views) != 2 or not 1 <= context_views[0] <= context_views[1]:
        raise ValueError(f"model.context_views: expected fewest and most views, at least 1, got {list(context_views)}")
    return context_views[0], context_views[1]


def draw_context(context_views: Sequence[int], views: int, generator: Generator) -> int:
    """How many of a sample's views the network sees this time, evenly from the fewest to the most that there are."""
    low, high = min(context_views[0], views), min(context_views[1], views)
    return int(torch.randint(low, high + 1, (), generator=generator))


@dataclass(frozen=True)
class CallableTeacher:
    """2D models in this process."""

    masks: Callable[[Tensor], Tensor]  # (3, H, W) RGB 0..1 -> (H, W) integers, ids of this view alone, 0 = none
    features: Callable[[Tensor], Tensor]  # (3, H, W) RGB 0..1 -> (E, h, w), 0 = none

    def __call__(self, batch: SceneBatch, generator: Generator) -> TeacherMaps:
        images = batch.images.flatten(0, 1)
        ids, features = (torch.stack([ask(image) for image in images]) for ask in (self.masks, self.features))
        return TeacherMaps(ids.long().unflatten(0, batch.images.shape[:2]), features.unflatten(0, batch.images.shape[:2]))


@dataclass(frozen=True)
class FileTeacher:
    """What 2D models said earlier: one `KEY.npz` per image with `ids` (H, W) integers and `features` (E, h, w) floats."""

    folder: Path
    size: tuple[int, int] | None = field(default=None)  # of the features; None = that of the files, which must be the same

    def __call__(self, batch: SceneBatch, generator: Generator) -> TeacherMaps:
        found = [self.read(image) for image in batch.images.flatten(0, 1)]
        ids, features = (torch.stack(list(column)) for column in zip(*found, strict=True))
        return TeacherMaps(ids.unflatten(0, batch.images.shape[:2]), features.unflatten(0, batch.images.shape[:2]))

    def read(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Ids and features of one image. Raises `FileNotFoundError` or `ValueError` that names the file."""
        path = self.folder / f"{image_key(image)}.npz"
        if not path.exists():
            raise FileNotFoundError(f"teacher: expected {path}, which does not exist; write it for every training image")
        with named_file(path, "ids and features of an image"), np.load(path, allow_pickle=False) as stored:
            missing = {"ids", "features"} - set(stored.files)
            if missing:
                raise ValueError(f"teacher: expected ids and features in {path}, got none named {min(missing)}")
            ids, features = torch.from_numpy(stored["ids"].astype(np.int64)), torch.from_numpy(stored["features"]).float()
        if self.size is not None:
            features = F.interpolate(features[None], size=self.size, mode="bilinear", antialias=True)[0]
        return ids, features

    def write(self, image: Tensor, ids: Tensor, features: Tensor) -> Path:
        """Keep what a model says about an image (3, H, W), features in half precision; the path."""
        path = self.folder / f"{image_key(image)}.npz"
        with written_whole(path) as part, part.open("wb") as stream:
            np.savez(stream, ids=ids.numpy(force=True).astype(np.int32), features=features.half().numpy(force=True))
        return path


def image_key(image: Tensor) -> str:
    """Name of an image by its content: (3, H, W) RGB 0..1, as the data have it before any augmentation."""
    pixels = (image * 255).round().clamp(0, 255).to(torch.uint8).movedim(0, -1).contiguous()
    return hashlib.sha256(pixels.numpy(force=True).tobytes()).hexdigest()[:24]
