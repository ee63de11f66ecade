"""Objective of FAST3DIS: class-agnostic queries, every decoder layer supervised (Eqs. 7 to 9 of its paper).

The paper gives the form of the terms; weights, focal constants, temperature and sample sizes are not published. What is
assumed here follows Mask2Former and supervised contrastive learning (Khosla et al. 2020) and is marked so in the dataclass.
Two choices differ from the printed formulas, so that weights hold for any resolution and number of queries and samples: the
overlap is a share of the claimed area instead of a sum over pixels and mean over pairs (with 32 queries on small images that
form is some 10^-5 and does nothing), and the contrastive loss is a mean instead of a sum over points. `overlap_form` and
`contrast_form` set them back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from pan3d_core.models.losses import mask_bce, mask_dice, pairwise_mask_bce, pairwise_mask_dice
from pan3d_core.models.matching import match_queries
from training.losses.void import heard


@dataclass(frozen=True)
class Fast3disLossWeights:
    """Weights and constants; all numbers are assumed but the warm-up's share, which is the paper's."""

    objectness: float = 2.0
    bce: float = 5.0
    dice: float = 5.0
    contrast: float = 0.5
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    temperature: float = 0.1
    pixels: int = 4096  # of the contrastive loss, over all views
    pixels_per_instance: int = 64  # in one view, at most
    # Schedule of the overlap penalty. A peak of 0 leaves it out; start, peak and floor alike keep it constant.
    overlap_start: float = 0.01
    overlap_peak: float = 1.0
    overlap_floor: float = 0.1
    overlap_warmup: float = 0.6  # share of the training until the peak
    # As a share of the claimed area, or "printed": summed over pixels, mean over pairs of queries.
    overlap_form: Literal["share", "printed"] = "share"
    contrast_form: Literal["mean", "sum"] = "mean"  # over points; the sum is printed

    def __post_init__(self) -> None:
        for name, known in (("overlap_form", ("share", "printed")), ("contrast_form", ("mean", "sum"))):
            if getattr(self, name) not in known:
                raise ValueError(f"Fast3disLossWeights.{name}: expected {' or '.join(known)}, got {getattr(self, name)!r}")
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, str) and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"Fast3disLossWeights.{item.name}: expected a number of 0 or more, got {value}")
        if self.temperature == 0:
            raise ValueError("Fast3disLossWeights.temperature: expected more than 0, got 0")
        if self.overlap_start == 0 < self.overlap_peak:  # nothing grows exponentially from 0
            raise ValueError("Fast3disLossWeights.overlap_start: expected more than 0 unless overlap_peak is 0, got 0")
        if self.overlap_warmup > 1:
            raise ValueError(f"Fast3disLossWeights.overlap_warmup: expected a share of 0 to 1, got {self.overlap_warmup}")

    def overlap(self, progress: float) -> float:
        """Weight of the overlap penalty at `progress` 0..1 of the training: grows exponentially, then falls linearly."""
        if self.overlap_peak == 0:
            return 0.0
        done = min(max(progress, 0.0), 1.0)
        if done < self.overlap_warmup:
            return self.overlap_start * (self.overlap_peak / self.overlap_start) ** (done / self.overlap_warmup)
        left = (1.0 - done) / max(1.0 - self.overlap_warmup, 1e-9)
        return self.overlap_floor + (self.overlap_peak - self.overlap_floor) * left


FAST3DIS_WEIGHTS = Fast3disLossWeights()


@dataclass(frozen=True)
class LayerPrediction:
    """What one decoder layer says about one scene."""

    mask_logits: Tensor  # (Q, S, h, w)
    objectness_logits: Tensor  # (Q,) object against nothing; of a two-column head the difference of the columns


class Fast3disScenes(Protocol):
    """What `pan3d_core.models.fast3dis.network.Fast3disOutput` holds of B scenes."""

    @property
    def layers(self) -> Sequence[Any]:
        """Per decoder layer `class_logits` (B, Q, 2): object, nothing."""

    @property
    def mask_features(self) -> Tensor:
        """(B, S, C, h, w)."""

    def mask_logits(self, queries: Tensor | slice = slice(None), layer: int = -1) -> Tensor:
        """(B, Q, S, h, w) of one layer."""


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Sigmoid focal loss (Lin et al. 2017, Eq. 5), unreduced: logits and 0/1 targets of one shape."""
    targets = targets.to(logits.dtype)
    plain = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    right = probability * targets + (1 - probability) * (1 - targets)
    balance = alpha * targets + (1 - alpha) * (1 - targets)
    return balance * (1 - right) ** gamma * plain


def overlap_penalty(mask_probs: Tensor, scores: Tensor) -> Tensor:
    """How much of what a query claims (x = c p) others claim as well, on average: 0 where claims are exclusive, 1 where
    everything is claimed twice. (Q, N) and (Q,) -> scalar (Eq. 8 over the claimed area, which has no gradient).

    One pass over the pixels instead of one per pair: sum_{i != j} x_i x_j = (sum x)^2 - sum x^2.
    """
    claims = mask_probs * scores[:, None]
    total = claims.sum(0)
    # Below one pixel nothing is claimed and the share means nothing.
    return (total.square().sum() - claims.square().sum()) / total.sum().detach().clamp_min(1)


def printed_overlap(mask_probs: Tensor, scores: Tensor) -> Tensor:
    """What pairs of queries claim alike, summed over pixels and divided by the number of ordered pairs (Eq. 8 as printed).

    (Q, N) and (Q,) -> scalar; 0 for fewer than two queries.
    """
    claims = mask_probs * scores[:, None]
    count = len(claims)
    return (claims.sum(0).square().sum() - claims.square().sum()) / max(count * (count - 1), 1)


def balanced_pixels(ids: Tensor, weights: Fast3disLossWeights, generator: Generator | None = None) -> Tensor:
    """Flat positions of pixels with an instance (ids (S, h, w) > 0), drawn at random: at most `pixels_per_instance` of each
    instance in each view and at most `pixels` in all."""
    flat = ids.flatten()
    place = torch.nonzero(flat > 0)[:, 0]
    place = place[torch.randperm(len(place), generator=generator).to(place.device)]
    view = place // max(ids[0].numel(), 1) if ids.ndim == 3 and len(ids) else torch.zeros_like(place)
    group = torch.unique(view * (int(flat.amax()) + 1 if len(flat) else 1) + flat[place], return_inverse=True)[1]
    order = torch.argsort(group, stable=True)
    starts = torch.cumsum(torch.bincount(group), 0) - torch.bincount(group)
    rank = torch.empty_like(group)
    rank[order] = torch.arange(len(group), device=group.device) - starts[group[order]]
    return place[rank < weights.pixels_per_instance][: weights.pixels]


def supervised_contrast(features: Tensor, ids: Tensor, temperature: float = 0.1, form: str = "mean") -> Tensor:
    """Supervised contrastive loss (Eq. 7) of (P, C) features and their instances (P,), mean or sum over points with a partner.

    Positives are the points of the same instance in any view. Features are normalised here.
    """
    unit = F.normalize(features, dim=-1)
    similarity = unit @ unit.T / temperature
    itself = torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    log_share = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(-1, keepdim=True) if len(ids) else similarity
    partners = (ids[:, None] == ids[None]) & ~itself
    count = partners.sum(-1)
    if not bool((count > 0).any()):
        return features.sum() * 0.0
    per_point = -torch.where(partners, log_share, 0.0).sum(-1) / count.clamp_min(1)
    known = per_point[count > 0]
    return known.sum() if form == "sum" else known.mean()


OVERLAPS = {"share": overlap_penalty, "printed": printed_overlap}


def fast3dis_cost(prediction: LayerPrediction, masks: Tensor, weights: Fast3disLossWeights = FAST3DIS_WEIGHTS) -> Tensor:
    """Matching cost (Q, G) from objectness and mask similarity; masks (G, S, h, w)."""
    logits, flat = prediction.mask_logits.flatten(1), masks.flatten(1)
    similarity = weights.bce * pairwise_mask_bce(logits, flat) + weights.dice * pairwise_mask_dice(logits, flat)
    return similarity - weights.objectness * prediction.objectness_logits.sigmoid()[:, None]


def layer_losses(
    prediction: LayerPrediction, masks: Tensor, match: tuple[Tensor, Tensor], weights: Fast3disLossWeights = FAST3DIS_WEIGHTS
) -> dict[str, Tensor]:
    """`objectness`, `bce`, `dice` and `overlap` of one layer, unweighted; match from `matching.match_queries`.

    The focal loss is summed over queries and divided by the number of objects, as RetinaNet does.
    """
    query, target = match
    found = torch.zeros_like(prediction.objectness_logits)
    found[query] = 1.0
    focal = focal_loss(prediction.objectness_logits, found, weights.focal_alpha, weights.focal_gamma)
    count = max(len(query), 1)
    logits, truth = prediction.mask_logits[query].flatten(1), masks[target].flatten(1)
    return {
        "objectness": focal.sum() / count,
        "bce": mask_bce(logits, truth).sum() / count,
        "dice": mask_dice(logits, truth).sum() / count,
        "overlap": OVERLAPS[weights.overlap_form](
            prediction.mask_logits.flatten(1).sigmoid(), prediction.objectness_logits.sigmoid()
        ),
    }


def fast3dis_losses(
    layers: Sequence[LayerPrediction],
    masks: Tensor,
    matches: Sequence[tuple[Tensor, Tensor]],
    samples: tuple[Tensor, Tensor],
    progress: float,
    weights: Fast3disLossWeights = FAST3DIS_WEIGHTS,
) -> dict[str, Tensor]:
    """Compute the objective of one scene (FAST3DIS Eq. 9).

    Args:
        layers: What every layer of the decoder predicts.
        masks: (G, S, h, w) true masks.
        matches: Per layer the matched queries and objects.
        samples: Mask features (P, C) and instances (P,) of `balanced_pixels`.
        progress: Share of the training that is done, 0..1.
        weights: Of the terms.

    Returns:
        Terms summed over the layers, the contrastive one once, and their weighted `total`.
    """
    per_layer = [layer_losses(layer, masks, match, weights) for layer, match in zip(layers, matches, strict=True)]
    terms = {name: torch.stack([own[name] for own in per_layer]).sum() for name in per_layer[0]}
    terms["contrast"] = supervised_contrast(*samples, weights.temperature, weights.contrast_form)
    terms["total"] = (
        weights.objectness * terms["objectness"] + weights.bce * terms["bce"] + weights.dice * terms["dice"]
        + weights.overlap(progress) * terms["overlap"] + weights.contrast * terms["contrast"]
    )  # fmt: skip
    return terms


def scene_losses(
    outputs: Fast3disScenes,
    scene: int,
    truth: tuple[Tensor, Tensor],
    progress: float,
    weights: Fast3disLossWeights = FAST3DIS_WEIGHTS,
    generator: Generator | None = None,
    known: Tensor | None = None,
) -> dict[str, Tensor]:
    """Compute `fast3dis_losses` of one scene of a model's outputs, every layer matched on its own.

    Args:
        outputs: Of B scenes.
        scene: Which of them.
        truth: Masks (G, S, h, w) and instance ids (S, h, w) at the size of the mask features, 0 = none.
        progress: Share of the training that is done, 0..1.
        weights: Of the terms.
        generator: Source of chance for the pixels that are contrasted.
        known: (S, h, w) bool, what of the truth is not void; all of it where nobody says.

    Returns:
        As `fast3dis_losses`.

    Raises:
        NonFiniteCost: The model has diverged.
    """
    masks, ids = truth
    known = torch.ones_like(ids, dtype=torch.bool) if known is None else known
    masks, layers = masks[:, known], []
    for number, layer in enumerate(outputs.layers):
        rows, logits = heard(outputs.mask_logits(layer=number)[scene].float(), known)
        objectness = layer.class_logits[scene, rows].float()
        layers.append(LayerPrediction(logits, objectness[:, 0] - objectness[:, 1]))
    with torch.no_grad():
        matches = [match_queries(fast3dis_cost(layer, masks, weights)) for layer in layers]
    place = balanced_pixels(ids, weights, generator)
    features = outputs.mask_features[scene].float().transpose(0, 1).flatten(1).T[place]
    return fast3dis_losses(layers, masks, matches, (features, ids.flatten()[place]), progress, weights)
