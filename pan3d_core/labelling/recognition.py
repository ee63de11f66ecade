"""Taught objects in the views of a scene that is labelled, a few views at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pan3d_core.labelling.doubt import same_object
from pan3d_core.labels import best_taught
from pan3d_core.pictures.overlays import ids_on_image
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView


def recognised_in_views(
    pipeline: PerceptionPipeline, views: Sequence[CameraView], instance_id: Tensor, views_at_once: int
) -> list[dict[int, str]]:
    """Look for taught objects.

    Args:
        pipeline: That has the library.
        views: V of one size.
        instance_id: (V, H, W) int64, what each pixel shows, 0 = no object.
        views_at_once: How many views the pipeline sees together.

    Returns:
        Per view, the ids of the map that were recognised there, with their names.
    """
    found: list[dict[int, str]] = [{} for _ in views]
    for start in range(0, len(views), views_at_once):
        group = views[start : start + views_at_once]
        result = pipeline.fresh().process(group)
        named = {item.instance_id: best_taught(item.taught) for item in result.panoptic.segments}
        for row, camera in enumerate(result.views.cameras):
            index = start + [view.camera for view in group].index(camera)
            mapping = result.views.network_from_original[row].cpu()
            ids = torch.from_numpy(ids_on_image(result.panoptic.instance_id[row].cpu(), mapping, views[index].hw))
            for value, fit in named.items():
                same = 0 if fit is None else same_object(ids == value, instance_id[index])
                if fit is not None and same:
                    found[index][same] = fit.name
    return found
