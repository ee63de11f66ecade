"""What happens when an engine needs more memory than the device has."""

from __future__ import annotations

import logging

import torch

from pan3d_core.engines.facts import Engine
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

log = logging.getLogger("pan3d.runtime.memory")


def run_within_memory(engine: Engine, views: ViewBatch) -> tuple[Reconstruction, InstanceSet, ViewBatch]:
    """The engine's answer, and the views it is about: all, or half of them when all do not fit into memory.

    Raises `torch.OutOfMemoryError` when half of them do not fit either, or when there is only one.
    """
    try:
        return (*engine(views), views)
    except torch.OutOfMemoryError as error:
        if views.num_views < 2:
            raise
        problem = str(error)
    # Here and not in the handler, where the error's traceback still holds the tensors of the failed run.
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    fewer = views.select(spread_views(views, (views.num_views + 1) // 2))
    log.warning("out of memory with %d views, trying %d of them: %s", views.num_views, fewer.num_views, problem)
    return (*engine(fewer), fewer)


def spread_views(views: ViewBatch, count: int) -> list[int]:
    """`count` views that together see most, in their order: the first, then always the one farthest from those chosen
    before (Gonzalez 1985); evenly spaced ones where the cameras' places are unknown."""
    if views.cam_from_world is None:
        return torch.linspace(0, views.num_views - 1, count).long().tolist()
    centers = invert_rigid(views.cam_from_world)[:, :3, 3].float()
    chosen = [0]
    while len(chosen) < count:
        distance = torch.cdist(centers, centers[chosen]).amin(dim=1)
        distance[chosen] = -1.0  # cameras may stand in one place
        chosen.append(int(distance.argmax()))
    return sorted(chosen)
