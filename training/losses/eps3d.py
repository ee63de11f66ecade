"""Objective of EPS3D: rendered colour, text-aligned semantics, per-view instance contrast and Ins2Sem (Eqs. 4 to 8).

The paper gives the four weights, M and K. Sampling, temperature and the pull to unit length of the instance term follow
Unified-Lift, an earlier method of the same first author, and are assumed. The instance term is a *sum* over pixels divided by
the number of ids, which is why its weight is so small. Depth and pose are held by a frozen VGGT on its surest 70 % of pixels,
as in AnySplat, whose weights are published and whose terms are taken to be VGGT's (`geometry_loss`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from pan3d_core.models.vggt.network import VggtOutput
from training.losses.geometry import GeometryLossWeights, distillation_losses

GEOMETRY_WEIGHTS = GeometryLossWeights(camera=10.0, depth=1.0)
CONFIDENT_SHARE = 0.7


@dataclass(frozen=True)
class Eps3dLossWeights:
    """The paper's weights; constants from `pixels` to `unit_length` are assumed."""

    color: float = 0.1
    instances: float = 1e-3
    semantics: float = 0.1
    ins2sem: float = 1e-4
    anchors: int = 1000
    neighbours: int = 30
    pixels: int = 32768  # of one view
    min_pixels: int = 20  # ids with so many sampled pixels or fewer are left out
    temperature_scale: float = 10.0
    lowest_temperature: float = 0.5
    highest_temperature: float = 1.0
    unit_length: float = 1.0  # weight of (|f| - 1)^2 within the instance term
    length_gradient: bool = False  # whether the division by a feature's length is part of the instance term's gradient
    balance: float = 0.0  # 0 = as published: every pixel counts alike; 1 = every id does, in instance and semantic term


EPS3D_WEIGHTS = Eps3dLossWeights()


@dataclass(frozen=True)
class RenderedView:
    """One view as the Gaussians show it, with what the 2D models say about it; channels first."""

    color: Tensor  # (3, H, W)
    true_color: Tensor  # (3, H, W)
    semantics: Tensor  # (C, Hs, Ws) decoded to the text space
    true_semantics: Tensor  # (C, Hs, Ws)
    instances: Tensor  # (D, H, W)
    instance_ids: Tensor  # (H, W) ids of this view alone, 0 = none


def color_loss(rendered: Tensor, image: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (rendered - image).abs().mean()


def cosine_distillation(features: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
    """One minus the cosine between (C, H, W) features, mean over the pixels of which the teacher says something (Eq. 4).

    `weight` (H, W): how much each pixel counts, alike without it.
    """
    counted = (teacher != 0).any(0).to(features.dtype)
    counted = counted if weight is None else counted * weight
    distance = 1 - F.cosine_similarity(features, teacher.detach(), dim=0)
    return (distance * counted).sum() / counted.sum().clamp_min(1e-6)


def balanced_weights(ids: Tensor, balance: float) -> Tensor:
    """Weights of pixels by their ids (any shape): count of the id to the power of minus `balance`, with mean 1."""
    _, member, counts = torch.unique(ids, return_inverse=True, return_counts=True)
    weight = counts.float().pow(-balance)[member]
    return weight / weight.mean()


def instance_contrast(
    features: Tensor, ids: Tensor, weights: Eps3dLossWeights = EPS3D_WEIGHTS, generator: Generator | None = None
) -> Tensor:
    """Contrast of pixels (N, D) with the mean features of one view's ids (N,), 0 = none (Eq. 5) -> scalar.

    Each pixel should be most like the centroid of its own id: -log softmax over ids of f . c_j / phi_j, summed over pixels
    and divided by the number of ids. Features are divided by their length, through which no gradient flows unless
    `length_gradient`; phi_j widens with the spread of id j and is a constant for the gradient. 0 where fewer than two ids are
    left.
    """
    features, ids = features[ids > 0], ids[ids > 0]
    if len(ids) > weights.pixels:
        chosen = torch.randperm(len(ids), generator=generator)[: weights.pixels].to(ids.device)
        features, ids = features[chosen], ids[chosen]
    length = features.norm(dim=-1, keepdim=True)
    unit = features / (length if weights.length_gradient else length.detach()).clamp_min(1e-6)
    known, member, counts = torch.unique(ids, return_inverse=True, return_counts=True)
    large = counts > weights.min_pixels
    kept = large[member]
    pull = weights.unit_length * (length - 1).square().mean() if len(length) else features.sum() * 0.0
    if int(large.sum()) < 2:
        return pull
    rank = torch.cumsum(large, 0) - 1
    unit, member, counts = unit[kept], rank[member[kept]], counts[large]
    centroids = unit.new_zeros(len(counts), unit.shape[-1]).index_add(0, member, unit) / counts[:, None]
    temperature = _temperatures(unit.detach(), centroids.detach(), member, counts, weights)
    contrast = F.cross_entropy(unit @ centroids.T / temperature, member, reduction="none")
    return (contrast * balanced_weights(member, weights.balance)).sum() / len(counts) + pull


def _temperatures(features: Tensor, centroids: Tensor, member: Tensor, counts: Tensor, weights: Eps3dLossWeights) -> Tensor:
    """(J,) scale * sum |f - c_j| / (n_j ln(n_j + 10)), bounded."""
    spread = features.new_zeros(len(counts)).index_add(0, member, (features - centroids[member]).norm(dim=-1))
    raw = weights.temperature_scale * spread / (counts * torch.log(counts + 10.0))
    return raw.clamp(weights.lowest_temperature, weights.highest_temperature)


def ins2sem(
    semantics: Tensor, instances: Tensor, weights: Eps3dLossWeights = EPS3D_WEIGHTS, generator: Generator | None = None
) -> Tensor:
    """Semantics of Gaussians (G, C) should agree with those of the Gaussians most like them in instance (G, D) (Eq. 7).

    M random anchors, K nearest of each by the cosine of the instance features, itself excluded; mean of one minus the cosine
    of the semantics. The instance features choose and get no gradient. 0 for fewer than two Gaussians.
    """
    count = len(semantics)
    neighbours = min(weights.neighbours, count - 1)
    if neighbours < 1:
        return semantics.sum() * 0.0
    anchors = torch.randperm(count, generator=generator)[: weights.anchors].to(semantics.device)
    with torch.no_grad():
        direction = F.normalize(instances, dim=-1)
        nearest = []
        for part in anchors.split(max(1, (1 << 26) // count)):  # bounds the memory of the similarities
            similarity = direction[part] @ direction.T
            similarity[torch.arange(len(part)), part] = -math.inf
            nearest.append(similarity.topk(neighbours, dim=-1).indices)
        chosen = torch.cat(nearest)
    unit = F.normalize(semantics, dim=-1)
    return (1 - (unit[anchors][:, None] * unit[chosen]).sum(-1)).mean()


def geometry_loss(outputs: VggtOutput, teacher: VggtOutput) -> Tensor:
    """Depth and cameras against a frozen VGGT's for the same images, on the pixels that it is surest of; weighted already."""
    return distillation_losses(outputs, teacher, GEOMETRY_WEIGHTS, confident_share=CONFIDENT_SHARE)["total"]


def eps3d_losses(
    views: Sequence[RenderedView],
    gaussians: tuple[Tensor, Tensor],
    weights: Eps3dLossWeights = EPS3D_WEIGHTS,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Compute the objective of one scene without `geometry_loss` (EPS3D).

    Args:
        views: What was rendered into the views, with its truth.
        gaussians: Semantics (G, C) and instance features (G, D) of the Gaussians.
        weights: Of the terms.
        generator: Source of chance for the Gaussians that are compared.

    Returns:
        Means over the views of `color`, `semantics` and `instances`, `ins2sem` of the Gaussians, and the weighted `total`.
    """
    terms: dict[str, list[Tensor]] = {"color": [], "semantics": [], "instances": []}
    for view in views:
        terms["color"].append(color_loss(view.color, view.true_color))
        at_features = (view.instance_ids[None, None].float(), view.true_semantics.shape[-2:])
        weight = balanced_weights(F.interpolate(*at_features, mode="nearest")[0, 0], weights.balance)
        terms["semantics"].append(cosine_distillation(view.semantics, view.true_semantics, weight))
        pixels = view.instances.flatten(1).T
        terms["instances"].append(instance_contrast(pixels, view.instance_ids.flatten(), weights, generator))
    losses = {name: torch.stack(values).mean() for name, values in terms.items()}
    losses["ins2sem"] = ins2sem(*gaussians, weights, generator)
    losses["total"] = (
        weights.color * losses["color"] + weights.semantics * losses["semantics"]
        + weights.instances * losses["instances"] + weights.ins2sem * losses["ins2sem"]
    )  # fmt: skip
    return losses
