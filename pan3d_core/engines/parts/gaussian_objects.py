"""Objects of panoptic Gaussians: what `eps3d` and `pan3d-mini-eps3d` do after rendering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.geometry.voxels import build_voxel_graph, components
from pan3d_core.language.text_space import TextSpace
from pan3d_core.models.eps3d.network import PanopticRendering
from pan3d_core.models.eps3d.readout import READOUTS, unit_features

SEED = 0  # of the pixels that are clustered: the same views give the same objects
SHARPNESS = 0.05  # difference of half squared distances to two prototypes that changes the odds by a factor of e
MIN_OPACITY = 0.5  # where less was rendered, no object is seen
MAX_LOGIT = 12.0
# Two objects alike in kind and colour can have one feature, but not stand in one place.
GAP_M = 0.03  # parts of a group that are farther from each other are objects of their own
MIN_PART_PIXELS, MIN_PART_SHARE = 12, 0.08  # over all views, and of the group; what is smaller is a stray bit of the largest part


@dataclass(frozen=True)
class RenderedObjects:
    """K groups of pixels of V views, stuff among them."""

    mask_logits: Tensor  # (K, V, H, W) log odds that a pixel is of this group and not of another
    certainty: Tensor  # (K,) 0..1 mean probability of the group's own pixels
    vectors: Tensor  # (K, E) unit, the group's mean semantics in the text space


def rendered_objects(
    views: PanopticRendering, text_space: TextSpace, readout: str = "cells", points: Tensor | None = None
) -> RenderedObjects:
    """Group the pixels of rendered views by their instance features.

    Args:
        views: V views that were rendered together: a group is the same object in all.
        text_space: Where the semantics are compared with texts.
        readout: "cells" or "pixels", see `models.eps3d.readout`.
        points: (V, H, W, 3) metres in any frame; groups are cut where nothing connects their parts in space. None: they are not.

    Returns:
        The groups, stuff among them; none where nothing was found.

    Raises:
        ValueError: The readout is unknown.
    """
    if readout not in READOUTS:
        raise ValueError(f"readout: expected one of {', '.join(READOUTS)}, got {readout!r}")
    found = READOUTS[readout](views.instances, torch.Generator().manual_seed(SEED))
    prototypes = found.prototypes
    unit = unit_features(views.instances)
    score = torch.einsum("kd,vdhw->kvhw", prototypes, unit) - prototypes.square().sum(-1)[:, None, None, None] / 2
    log_probs = F.log_softmax(score / SHARPNESS, dim=0)
    if len(prototypes) == 1:  # nothing to compare with
        mask_logits = torch.full_like(log_probs, MAX_LOGIT)
    else:
        mask_logits = (log_probs - torch.log1p(-log_probs.exp().clamp_max(1 - 1e-6))).clamp(-MAX_LOGIT, MAX_LOGIT)
    mask_logits = torch.where(views.opacity > MIN_OPACITY, mask_logits, -MAX_LOGIT)
    if points is not None and len(mask_logits):
        mask_logits = torch.cat([separated(group, points) for group in mask_logits])
    probs = mask_logits.sigmoid()
    weight = torch.where(probs > 0.5, probs, 0.0).flatten(1)
    area = (probs > 0.5).flatten(1).sum(-1)
    kept = area > 0
    weight, total = weight[kept], weight[kept].sum(-1, keepdim=True)
    semantics = weight @ views.semantics.movedim(1, -1).flatten(0, 2) / total
    vectors = F.normalize(semantics @ text_space.weight.T + text_space.bias, dim=-1)
    return RenderedObjects(mask_logits[kept], total[:, 0] / area[kept], vectors)


def separated(mask_logits: Tensor, points: Tensor) -> Tensor:
    """Cut one group (V, H, W) where its points (V, H, W, 3) part in space -> (P, V, H, W), mask logits of each part."""
    inside = mask_logits > 0
    graph = build_voxel_graph(points[inside].double().numpy(force=True), GAP_M)
    part = components(len(graph.counts), graph.edges)[graph.voxel_of_point]
    pixels = np.bincount(part, minlength=1)
    large = np.flatnonzero(pixels >= max(MIN_PART_PIXELS, MIN_PART_SHARE * len(part)))
    if len(large) < 2:
        return mask_logits[None]
    part[~np.isin(part, large)] = pixels.argmax()
    of_pixel = torch.full_like(mask_logits, -1, dtype=torch.int64)
    of_pixel[inside] = torch.from_numpy(part).to(of_pixel.device)
    return torch.stack([torch.where((of_pixel == own) | ~inside, mask_logits, -MAX_LOGIT) for own in large.tolist()])
