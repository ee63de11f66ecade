"""Where SegVGGT's surest queries look in each view, beside what they say is their object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.engines import Engine
from pan3d_core.engines.segvggt import SegVggtEngine
from pan3d_core.models.vggt.query_attention import query_attention
from pan3d_core.pictures import Picture, save, to_picture
from pan3d_core.pictures.overlays import outline
from pan3d_core.structures import CameraView
from pan3d_core.views.preprocessing import preprocess

ROWS = 6  # queries that are shown, the surest
BAR = 8  # pixels below each picture: the share of the query's attention, and of its mask, that is in this view
LOOKED, SHOWN = (255, 170, 60), (90, 200, 255)


def require_queries(engine: Engine, name: str) -> SegVggtEngine:
    """Return the engine where queries look at views. `ValueError` for another one."""
    if not isinstance(engine, SegVggtEngine):
        raise ValueError(f"--attention: expected the engine segvggt, whose queries look at views, got {name}")
    return engine


def attention_picture(engine: SegVggtEngine, views: list[CameraView]) -> Picture:
    """Draw where queries look.

    Args:
        engine: With its network in torch.
        views: As for the engine.

    Returns:
        A row for each of the surest queries and a column for each view: its attention, mean over layers and heads, as light; the
        outline of its mask; below, how much of its attention (upper bar) and of its mask (lower bar) is in this view.
    """
    batch = preprocess(views, engine.facts.preprocess)
    images = batch.images[None].to(engine.facts.device)
    with torch.inference_mode():
        output = engine.model(images, aggregator_dtype=engine.aggregator_dtype)
        sure = 1 - output.class_logits[0].softmax(-1)[:, -1]
        rows = sure.argsort(descending=True)[:ROWS].tolist()
        masks = output.mask_logits(torch.tensor(rows, device=images.device))[0].float()
        looked = query_attention(engine.model, images, rows, aggregator_dtype=engine.aggregator_dtype).mean(0)
    size = (images.shape[-2], images.shape[-1])
    drawn = [
        np.concatenate(
            [_cell(batch.images[view], looked[row], masks[row], view, size) for view in range(batch.num_views)], axis=1
        )
        for row in range(len(rows))
    ]
    picture: Picture = np.concatenate(drawn)
    return picture


def _cell(image: Tensor, looked: Tensor, mask: Tensor, view: int, size: tuple[int, int]) -> Picture:
    """One view of one query: attention (S, h, w), mask logits (S, h', w')."""
    light = F.interpolate(looked[view][None, None].cpu(), size=size, mode="bilinear")[0, 0]
    light = (light / looked.max().cpu().clamp_min(1e-12)).clamp(0, 1) ** 0.5
    picture = to_picture((image.cpu() * (0.25 + 0.75 * light)).clamp(0, 1)).copy()
    own = F.interpolate(mask[view][None, None].cpu(), size=size, mode="bilinear")[0, 0] > 0
    picture[outline(own.long().numpy(), width=1) & own.numpy()] = SHOWN
    bars = np.zeros((BAR, size[1], 3), np.uint8)
    shown = (mask > 0).flatten(1).sum(-1).cpu()
    for half, share, color in (
        (slice(0, BAR // 2), float(looked[view].sum() / looked.sum().clamp_min(1e-12)), LOOKED),
        (slice(BAR // 2, BAR), float(shown[view] / shown.sum().clamp_min(1)), SHOWN),
    ):
        bars[half, : round(share * size[1])] = color
    joined: Picture = np.concatenate([picture, bars])
    return joined


def write_attention(path: Path, engine: SegVggtEngine, views: list[CameraView]) -> Path:
    """Write the picture of `attention_picture` to a file; the file."""
    save(path, attention_picture(engine, views))
    return path
