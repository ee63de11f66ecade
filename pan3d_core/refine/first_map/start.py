"""The map that a refinement begins with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.first_map.queries import QuerySettings, queries_from_boxes, queries_from_masks
from pan3d_core.refine.model import PanopticMap
from pan3d_core.refine.rendering import SURFACE_OPACITY
from pan3d_core.refine.views import RefineView, require_classes, require_labels
from pan3d_core.rendering.rasterizer import rasterize
from pan3d_core.structures import Gaussians


def first_map(
    views: Sequence[RefineView],
    labels: LabelSpace,
    gaussians: Gaussians,
    queries: QuerySettings | None = None,
    *,
    boxes: Sequence[OrientedBox] = (),
    seed: int = 0,
    harmonics: int = 0,
) -> PanopticMap:
    """Begin a map: Gaussians with one query per object that the views' masks show; nothing is learnt yet.

    Args:
        views: Calibrated, in one world; depth is measured, or else that of the Gaussians.
        labels: Classes that the views' labels refer to.
        gaussians: Of the scene.
        queries: How queries begin; None = the defaults.
        boxes: Of objects that are known already, in the world; with any of them queries are made of these, not of masks.
        seed: Of the map's random numbers.
        harmonics: Highest degree of what the colours depend on the view by; 0 = not at all.

    Returns:
        The map.

    Raises:
        ValueError: There are no views, their classes are not those of `labels`, or no view has any labels.
    """
    require_classes(views, labels)
    require_labels(views)
    if boxes:
        begun = queries_from_boxes(boxes, gaussians.means, queries)
        return PanopticMap(gaussians, begun, labels, seed, harmonics=harmonics)
    depth = [view.depth if view.depth is not None else rendered_depth(gaussians, view) for view in views]
    begun = queries_from_masks(views, depth, gaussians.means, queries)
    return PanopticMap(gaussians, begun, labels, seed, harmonics=harmonics)


@torch.no_grad()
def rendered_depth(gaussians: Gaussians, view: RefineView) -> Tensor:
    """(H, W) z-depth of the surface that a view sees of the Gaussians, metres, 0 = none."""
    shown = rasterize(gaussians, view.cam_from_world[None], view.intrinsics[None], view.image_hw)
    return torch.where(shown.opacity[0] >= SURFACE_OPACITY, shown.depth[0], 0.0)
