"""The objective of `pan3d-mini`: every term is a function, `mini_losses` weighs and sums them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.models.losses import mask_bce, mask_dice, pairwise_mask_bce, pairwise_mask_dice
from pan3d_core.models.matching import match_queries
from pan3d_core.models.mini.network import MiniOutputs
from pan3d_core.models.mini.queries import QueryOutputs, QueryPrediction
from training.data.targets.mini import BatchTargets, SceneTargets
from training.losses.void import on_void, silenced

TEMPERATURE = 0.07


@dataclass(frozen=True)
class MiniLossWeights:
    """Weights of the sum; `masks` multiplies the query terms (bce, dice, objectness) of every decoder layer."""

    depth: float = 12.0
    depth_error: float = 0.3
    foreground: float = 3.0
    votes: float = 10.0
    masks: float = 0.6
    bce: float = 20.0
    dice: float = 3.0
    early_layers: float = 0.5
    quality: float = 1.0
    text: float = 0.7
    text_cosine: float = 0.3
    dense_text: float = 0.3
    camera: float = 0.5
    no_object: float = 0.4


def depth_losses(outputs: MiniOutputs, targets: BatchTargets) -> tuple[Tensor, Tensor]:
    """Mean |log depth error| (objects count six times), and the Laplace likelihood of the predicted error alone."""
    size = outputs.plane_depth.shape[-2:]
    small = torch.stack([outputs.log_ratio, outputs.log_error], 2).flatten(0, 1)
    log_ratio, log_error = F.interpolate(small, size=size, mode="bilinear").unflatten(0, outputs.log_ratio.shape[:2]).unbind(2)
    error = (outputs.plane_depth.log() + log_ratio - targets.log_depth).abs()
    weight = targets.depth_valid * (1.0 + 5.0 * targets.on_object)
    total = weight.sum().clamp_min(1)
    log_error = log_error.clamp(-7, 1)
    likelihood = error.detach() * torch.exp(-log_error) + log_error
    return (error * weight).sum() / total, (likelihood * weight).sum() / total


def vote_loss(outputs: MiniOutputs, targets: BatchTargets, posed: Tensor) -> Tensor:
    """Mean absolute error of the centre offsets on the objects of posed scenes, metres."""
    weight = (targets.offset_valid & (posed > 0)[:, None, None, None]).float()[..., None]
    error = (outputs.center_offset - targets.center_offset).abs()
    return (error * weight).sum() / (3 * weight.sum()).clamp_min(1)


def camera_loss(outputs: MiniOutputs, targets: BatchTargets, posed: Tensor) -> Tensor:
    """Mean absolute error of the camera head where it had to guess."""
    weight = (1 - posed)[:, None, None]
    error = (outputs.view1_from_cam - targets.view1_from_cam).abs()
    return (error * weight).sum() / (weight.sum() * error[0].numel()).clamp_min(1)


@torch.no_grad()
def match_scene(mask_logits: Tensor, objectness_logits: Tensor, masks: Tensor, weights: MiniLossWeights) -> tuple[Tensor, Tensor]:
    """Hungarian assignment of (Q, S, h, w) logits to (G, S, h, w) masks -> (query_index, target_index)."""
    logits, flat = mask_logits.flatten(1), masks.flatten(1)
    cost = 5 * pairwise_mask_bce(logits, flat) + weights.dice * pairwise_mask_dice(logits, flat)
    return match_queries(cost - objectness_logits.sigmoid()[:, None])


def query_loss(
    prediction: QueryPrediction,
    mask_logits: Tensor,
    targets: list[Tensor],
    matches: list[tuple[Tensor, Tensor]],
    weights: MiniLossWeights,
    unheard: Tensor,
) -> Tensor:
    """Masks and objectness of one decoder layer; mask_logits (B, Q, S, h, w), targets B x (G, S, h, w). Of queries that are
    `unheard` (B, Q) nobody knows whether they are right, unless they have an object."""
    matched = [b for b, (query, _) in enumerate(matches) if len(query)]
    total = mask_logits.sum() * 0.0
    if matched:
        logits = torch.cat([mask_logits[b, matches[b][0]].flatten(1) for b in matched])
        masks = torch.cat([targets[b][matches[b][1]].flatten(1) for b in matched])
        total = weights.bce * mask_bce(logits, masks).mean() + weights.dice * mask_dice(logits, masks).mean()
    is_object = torch.zeros_like(prediction.objectness_logits)
    for b, (query, _) in enumerate(matches):
        is_object[b, query] = 1.0
    weight = torch.where(is_object > 0, 1.0, torch.where(unheard, 0.0, weights.no_object))
    objectness = F.binary_cross_entropy_with_logits(prediction.objectness_logits, is_object, weight, reduction="sum")
    return total + objectness / weight.sum().clamp_min(1e-6)


def quality_loss(queries: QueryOutputs, scenes: tuple[SceneTargets, ...], unheard: Tensor | None = None) -> Tensor:
    """Cross-entropy of the predicted against the true IoU of every query's mask with its best object; not of those that are
    `unheard` (B, Q)."""
    masks = (queries.mask_logits.detach() > 0).flatten(2).float()
    target = torch.zeros_like(queries.quality_logits)
    for b, scene in enumerate(scenes):
        if len(scene.kind):
            truth = (scene.masks2.flatten(1) > 0.5).float()
            overlap = masks[b] @ truth.T
            union = masks[b].sum(-1, keepdim=True) + truth.sum(-1) - overlap
            target[b] = (overlap / union.clamp_min(1)).amax(-1)
    weight = None if unheard is None else (~unheard).float()
    return F.binary_cross_entropy_with_logits(queries.quality_logits, target, weight)


def text_losses(
    queries: QueryOutputs, scenes: tuple[SceneTargets, ...], matches: list[tuple[Tensor, Tensor]], descriptions: Tensor
) -> tuple[Tensor, Tensor]:
    """InfoNCE (van den Oord et al. 2018) of queries matched to things with a name against one description (K, text_dim) per
    kind, and one minus the cosine to their own."""
    vectors = torch.cat([queries.text_embedding[b, q] for b, (q, _) in enumerate(matches)])
    kind = torch.cat([scenes[b].kind[g] for b, (_, g) in enumerate(matches)])
    named = kind >= 0
    vectors, kind = vectors[named], kind[named]
    if not len(kind):
        zero = queries.text_embedding.sum() * 0.0
        return zero, zero
    contrast = F.cross_entropy(vectors @ descriptions.T / TEMPERATURE, kind)
    return contrast, (1 - (vectors * descriptions[kind]).sum(-1)).mean()


def dense_text_loss(outputs: MiniOutputs, targets: BatchTargets, descriptions: Tensor) -> Tensor:
    """Cross-entropy of the dense text vectors on object pixels against the descriptions."""
    kind = targets.kind8.flatten()
    on_object = kind >= 0
    dense = outputs.dense_text.flatten(0, -2)[on_object].float() @ descriptions.T
    return F.cross_entropy(dense, kind[on_object]) if len(dense) else outputs.dense_text.sum() * 0.0


def mini_losses(
    outputs: MiniOutputs, targets: BatchTargets, posed: Tensor, descriptions: Tensor, weights: MiniLossWeights | None = None
) -> dict[str, Tensor]:
    """Compute all terms of `pan3d-mini`.

    Args:
        outputs: Of the network, for B scenes.
        targets: At the network's sizes.
        posed: (B,) whether the cameras of a scene were given.
        descriptions: (K, text_dim) unit vectors, one per kind.
        weights: Of the terms.

    Returns:
        The terms, unweighted, and their weighted sum `total`.
    """
    weights = weights or MiniLossWeights()
    known, queries = targets.known2, outputs.queries
    unheard = on_void(queries.mask_logits, known)
    layers = tuple(replace(layer, mask_logits=silenced(layer.mask_logits, known)) for layer in queries.layers)
    outputs = replace(outputs, queries=replace(queries, layers=layers, mask_logits=silenced(queries.mask_logits, known)))
    terms: dict[str, Tensor] = {}
    terms["depth"], terms["depth_error"] = depth_losses(outputs, targets)
    terms["foreground"] = F.binary_cross_entropy_with_logits(outputs.foreground_logits, targets.foreground2, known.float())
    terms["votes"] = vote_loss(outputs, targets, posed)
    terms["camera"] = camera_loss(outputs, targets, posed)
    early = outputs.log_ratio.new_zeros(())
    matches: list[tuple[Tensor, Tensor]] = []
    masks4, masks2 = [s.masks4 for s in targets.scenes], [s.masks2 for s in targets.scenes]
    for number, layer in enumerate(outputs.queries.layers):
        pairs = zip(layer.mask_logits, layer.objectness_logits, masks4, strict=True)
        matches = [match_scene(m, o, t, weights) for m, o, t in pairs]
        if number + 1 < len(outputs.queries.layers):
            early = early + query_loss(layer, layer.mask_logits, masks4, matches, weights, unheard)
    terms["early"] = early
    terms["masks"] = query_loss(outputs.queries.layers[-1], outputs.queries.mask_logits, masks2, matches, weights, unheard)
    terms["quality"] = quality_loss(outputs.queries, targets.scenes, unheard)
    terms["text"], terms["text_cosine"] = text_losses(outputs.queries, targets.scenes, matches, descriptions)
    terms["dense_text"] = dense_text_loss(outputs, targets, descriptions)
    terms["total"] = (
        weights.depth * terms["depth"] + weights.depth_error * terms["depth_error"] + weights.foreground * terms["foreground"]
        + weights.votes * terms["votes"] + weights.camera * terms["camera"] + weights.quality * terms["quality"]
        + weights.masks * (terms["masks"] + weights.early_layers * early)
        + weights.text * terms["text"] + weights.text_cosine * terms["text_cosine"] + weights.dense_text * terms["dense_text"]
    )  # fmt: skip
    return terms
