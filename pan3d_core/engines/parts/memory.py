"""What happens when an engine needs more memory than the device has."""

from __future__ import annotations

import logging

import torch

from pan3d_core.engines.facts import Engine
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

log = logging.getLogger("pan3d.runtime.memory")


def run_within_memory(engine: Engine, views: ViewBatch) -> tuple[Reconstruction, InstanceSet, ViewBatch]:
    """Run an engine, on half of the views when all do not fit into the device's memory.

    Args:
        engine: Any.
        views: As its facts ask for.

    Returns:
        The engine's answer, and the views that it is about.

    Raises:
        torch.OutOfMemoryError: Half of the views do not fit either, or there is only one.
        ValueError: As the engine.
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
    """Choose `count` views that together see most: the first, then always the one farthest from those chosen before
    (Gonzalez 1985); evenly spaced ones where the cameras' places are unknown. Indices in ascending order."""
    if views.cam_from_world is None:
        return torch.linspace(0, views.num_views - 1, count).long().tolist()
    centers = invert_rigid(views.cam_from_world)[:, :3, 3].float()
    chosen = [0]
    while len(chosen) < count:
        distance = torch.cdist(centers, centers[chosen]).amin(dim=1)
        distance[chosen] = -1.0  # cameras may stand in one place
        chosen.append(int(distance.argmax()))
    return sorted(chosen)
