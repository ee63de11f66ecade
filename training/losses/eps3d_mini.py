"""The objective of `pan3d-mini-eps3d`: that of EPS3D on rendered views, those that the network saw and those that it did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.models.eps3d import PanopticRendering, render_panoptic
from pan3d_core.models.eps3d_heads import TextDecoder
from pan3d_core.models.eps3d_mini import Eps3dMiniOutputs
from training.datasets import SceneBatch
from training.losses.eps3d import Eps3dLossWeights, RenderedView, eps3d_losses


@dataclass(frozen=True)
class Eps3dMiniLossWeights:
    """Weights of the published terms, some of which differ here, and what is supervised.

    The head of the Gaussians starts from nothing instead of AnySplat's weights, so their colours weigh more; small objects count
    nearly as much as the table beneath them; and the gradient of the instance term only turns features. Where it may lengthen
    them as well, as in Unified-Lift, it does little else in a short run.
    """

    terms: Eps3dLossWeights = field(default_factory=lambda: Eps3dLossWeights(color=10.0, balance=0.75, length_gradient=True))
    splatting: bool = True  # of features; False: those of the heads' own pixels are supervised, in the views that the network saw
    rendered_views: int = 2  # drawn from all of a scene's views


def target_cameras(outputs: Eps3dMiniOutputs, truth: SceneBatch, b: int, *, posed: bool) -> Tensor:
    """`cam_from_scene` (V, 4, 4) of the views of scene `b` that can be rendered: those that the network saw as it takes them, and
    with poses the others as they are."""
    seen = outputs.cam_from_scene[b]
    if not posed:
        return seen
    others = truth.cam_from_world[b, len(seen) :] @ invert_rigid(outputs.geometry.plane_from_world[b])
    return torch.cat([seen, others])


def rendered_views(
    outputs: Eps3dMiniOutputs, truth: SceneBatch, b: int, cameras: tuple[Tensor, Sequence[int]]
) -> PanopticRendering:
    """Scene `b` in the cameras (V, 4, 4) with these numbers among the truth's views."""
    cam_from_scene, views = cameras
    size = (truth.images.shape[-2], truth.images.shape[-1])
    return render_panoptic(outputs.gaussians[b], cam_from_scene[list(views)], truth.intrinsics[b, list(views)], size)


def with_pixel_features(shown: PanopticRendering, outputs: Eps3dMiniOutputs, b: int, views: Sequence[int]) -> PanopticRendering:
    """The heads' own features of these views in the place of rendered ones."""
    maps, chosen = outputs.maps, list(views)
    return replace(shown, semantics=maps.semantics[b, chosen], instances=maps.instances[b, chosen])


def eps3d_mini_losses(
    outputs: Eps3dMiniOutputs,
    truth: SceneBatch,
    posed: Tensor,
    decoder: TextDecoder,
    weights: Eps3dMiniLossWeights | None = None,
) -> dict[str, Tensor]:
    """Terms of `eps3d_losses`, means over the scenes. `truth` holds the teacher's maps; the first of its views are those of the
    outputs, in the same order; posed (B,)."""
    weights = weights or Eps3dMiniLossWeights()
    scenes = []
    for b, gaussians in enumerate(outputs.gaussians):
        cameras = target_cameras(outputs, truth, b, posed=bool(posed[b] > 0) and weights.splatting)
        views = torch.randperm(len(cameras))[: weights.rendered_views].tolist()
        shown = rendered_views(outputs, truth, b, (cameras, views))
        if not weights.splatting:
            shown = with_pixel_features(shown, outputs, b, views)
        decoded = decoder(shown.semantics)
        pairs = [
            RenderedView(
                color=shown.colors[place],
                true_color=truth.images[b, view],
                semantics=decoded[place],
                true_semantics=truth.teacher.features[b, view],
                instances=shown.instances[place],
                instance_ids=truth.teacher.ids[b, view],
            )
            for place, view in enumerate(views)
        ]
        features = (gaussians.semantic_features, gaussians.instance_features)
        scenes.append(eps3d_losses(pairs, features, weights.terms))
    return {name: torch.stack([own[name] for own in scenes]).mean() for name in scenes[0]}
