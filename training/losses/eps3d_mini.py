"""The objective of `pan3d-mini-eps3d`: that of EPS3D on rendered views, those that the network saw and those that it did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.models.eps3d.heads import LOGIT_SCALE, TextDecoder, half_size
from pan3d_core.models.eps3d.network import PanopticRendering, panoptic_features, render_panoptic
from pan3d_core.models.mini.eps3d import Eps3dMiniOutputs
from training.data.arrays import SceneBatch
from training.losses.eps3d import Eps3dLossWeights, RenderedView, balanced_weights, eps3d_losses

MINI_TERMS = Eps3dLossWeights(color=10.0, lowest_temperature=0.1, highest_temperature=0.3, balance=0.75, length_gradient=True)


@dataclass(frozen=True)
class Eps3dMiniLossWeights:
    """Weights of the published terms, some of which differ here, and what is supervised.

    The head of the Gaussians starts from nothing instead of AnySplat's weights, so their colours weigh more. At first small
    objects count nearly as much as the table beneath them, or they would be learned late; at the end no more than their pixels,
    or their masks would spread over the table around them. Lower temperatures let the instance term look at those that it
    confuses, and its gradient only turns features and does not lengthen them. A contrast with texts tells kinds apart sooner
    than the distance to their descriptions does.
    """

    terms: Eps3dLossWeights = field(default_factory=lambda: MINI_TERMS)
    final_balance: float = 0.0  # `terms.balance` goes there over the run
    texts: float = 0.05  # contrast of pixels with all texts that the teacher knows
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


def text_contrast(semantics: Tensor, decoder: TextDecoder, teacher: tuple[Tensor, Tensor], balance: Tensor) -> Tensor:
    """Cross-entropy of rendered semantics (V, F, H, W) over texts (T, E), the right one being the nearest to the teacher's
    features (V, E, H // 2, W // 2); weights (V, H, W)."""
    features, texts = teacher
    known = (features != 0).any(1)
    rows = half_size(semantics).movedim(1, -1)[known]
    right = (features.movedim(1, -1)[known] @ texts.T).argmax(-1)
    cosines = decoder.cosines(rows, texts)
    weight = balance[:, ::2, ::2][known]
    return (F.cross_entropy(LOGIT_SCALE * cosines, right, reduction="none") * weight).sum() / weight.sum().clamp_min(1e-6)


def eps3d_mini_losses(
    outputs: Eps3dMiniOutputs,
    truth: SceneBatch,
    posed: Tensor,
    decoder: TextDecoder,
    weights: Eps3dMiniLossWeights | None = None,
    progress: float = 0.0,
) -> dict[str, Tensor]:
    """Terms of `eps3d_losses`, means over the scenes. `truth` holds the teacher's maps; the first of its views are those of the
    outputs, in the same order; posed (B,); `progress` of the run, 0 to 1."""
    weights = weights or Eps3dMiniLossWeights()
    done = min(max(progress, 0.0), 1.0)
    own_terms = replace(weights.terms, balance=(1 - done) * weights.terms.balance + done * weights.final_balance)
    scenes = []
    for b, gaussians in enumerate(outputs.gaussians):
        cameras = target_cameras(outputs, truth, b, posed=bool(posed[b] > 0) and weights.splatting)
        views = torch.randperm(len(cameras))[: weights.rendered_views].tolist()
        shown = rendered_views(outputs, truth, b, (cameras, views))
        if not weights.splatting:
            shown = with_pixel_features(shown, outputs, b, views)
        ids = torch.stack([truth.taught.ids[b, view] for view in views])
        features = torch.stack([truth.taught.features[b, view] for view in views])
        decoded = decoder(shown.semantics)
        pairs = [
            RenderedView(
                color=shown.colors[place],
                true_color=truth.images[b, view],
                semantics=decoded[place],
                true_semantics=features[place],
                instances=shown.instances[place],
                instance_ids=ids[place],
            )
            for place, view in enumerate(views)
        ]
        of_gaussians = panoptic_features(gaussians)
        terms = eps3d_losses(pairs, of_gaussians, own_terms)
        if truth.taught.texts is not None and weights.texts:
            balance = torch.stack([balanced_weights(own, own_terms.balance) for own in ids])
            terms["texts"] = text_contrast(shown.semantics, decoder, (features, truth.taught.texts), balance)
            terms["total"] = terms["total"] + weights.texts * terms["texts"]
        scenes.append(terms)
    return {name: torch.stack([own[name] for own in scenes]).mean() for name in scenes[0]}
