"""A batch at another image size."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.arrays import SceneBatch


def nearest(maps: Tensor, hw: tuple[int, int]) -> Tensor:
    """(B, S, H, W) of any type; values are picked, never mixed."""
    return F.interpolate(maps.double(), size=hw, mode="nearest-exact").to(maps.dtype)


def cut_to_aspect(batch: SceneBatch, aspect: float | None) -> SceneBatch:
    """The middle of the pictures of a batch that no teacher has been asked about.

    Args:
        batch: B scenes of S views.
        aspect: Height in widths; None leaves the pictures as they are.

    Returns:
        As many rows, or columns, as the shape allows, an even number, since maps of half the size are made of them.
    """
    if aspect is None:
        return batch
    height, width = batch.images.shape[-2:]
    rows, columns = min(height, 2 * round(width * aspect / 2)), min(width, 2 * round(height / aspect / 2))
    top, left = (height - rows) // 2, (width - columns) // 2
    shift = torch.zeros(3, 3)
    shift[0, 2], shift[1, 2] = left, top
    own = (..., slice(top, top + rows), slice(left, left + columns))
    return replace(
        batch,
        images=batch.images[own],
        depth=batch.depth[own],
        ids=batch.ids[own],
        intrinsics=batch.intrinsics - shift,
    )


def resize_batch(batch: SceneBatch, hw: tuple[int, int]) -> SceneBatch:
    """Images by area-aware interpolation, depth and ids by the nearest pixel; intrinsics follow (pixel centres are integers)."""
    height, width = batch.images.shape[-2:]
    if (height, width) == hw:
        return batch
    images = F.interpolate(batch.images.flatten(0, 1), size=hw, mode="bilinear", antialias=True, align_corners=False)
    sx, sy = hw[1] / width, hw[0] / height
    resized_from_original = torch.tensor([[sx, 0.0, (sx - 1) / 2], [0.0, sy, (sy - 1) / 2], [0.0, 0.0, 1.0]])
    return replace(
        batch,
        images=images.clamp(0, 1).unflatten(0, batch.images.shape[:2]),
        depth=nearest(batch.depth, hw),
        ids=nearest(batch.ids, hw),
        intrinsics=resized_from_original @ batch.intrinsics,
        teacher=None if batch.teacher is None else replace(batch.teacher, ids=nearest(batch.teacher.ids, hw)),
    )
