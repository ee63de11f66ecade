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
) -> PanopticMap:
    """Gaussians with one query per object that the views' masks show at their depth, measured or else that of the Gaussians;
    or, given the `boxes` of objects that are known already, one per box.

    Nothing is learnt yet. Raises `ValueError` for labels that are not those of `labels`, and where no view has any.
    """
    require_classes(views, labels)
    require_labels(views)
    if boxes:
        return PanopticMap(gaussians, queries_from_boxes(boxes, gaussians.means, queries), labels, seed)
    depth = [view.depth if view.depth is not None else rendered_depth(gaussians, view) for view in views]
    return PanopticMap(gaussians, queries_from_masks(views, depth, gaussians.means, queries), labels, seed)


@torch.no_grad()
def rendered_depth(gaussians: Gaussians, view: RefineView) -> Tensor:
    """(H, W) z-depth of the surface that a view sees of the Gaussians, metres, 0 = none."""
    shown = rasterize(gaussians, view.cam_from_world[None], view.intrinsics[None], view.image_hw)
    return torch.where(shown.opacity[0] >= SURFACE_OPACITY, shown.depth[0], 0.0)
