"""The objective of `pan3d-mini-fast3dis`: that of FAST3DIS on masks at stride 4, and what its queries tell beyond masks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pan3d_core.models.losses import mask_bce, mask_dice
from pan3d_core.models.matching import match_queries
from pan3d_core.models.mini.fast3dis import Fast3disMiniOutputs
from training.data.targets.mini import BatchTargets, SceneTargets
from training.losses.fast3dis import Fast3disLossWeights, LayerPrediction, balanced_pixels, fast3dis_cost, fast3dis_losses
from training.losses.mini import quality_loss, text_losses
from training.losses.void import heard, known_pixels, on_void, silenced

Match = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Fast3disMiniLossWeights:
    """Weights of the sum: `anchors` of the published objective, whose mask weights also hold for the finer last mask."""

    anchors: Fast3disLossWeights = field(default_factory=lambda: Fast3disLossWeights(bce=20.0))
    quality: float = 2.0
    text: float = 3.0
    text_cosine: float = 1.0


def scene_ids(scene: SceneTargets) -> Tensor:
    """(S, h4, w4) number of the object that covers most of each cell, 1 for the first, 0 = none."""
    numbers = torch.arange(1, len(scene.kind) + 1, device=scene.masks4.device)
    return ((scene.masks4 > 0.5) * numbers[:, None, None, None]).sum(0)


def anchor_losses(
    outputs: Fast3disMiniOutputs, b: int, targets: BatchTargets, progress: float, weights: Fast3disMiniLossWeights
) -> tuple[dict[str, Tensor], Match]:
    """The published terms and `fine_bce`, `fine_dice` of one scene where something is known, and which query of the last layer
    has which object."""
    own, scene, known2 = weights.anchors, targets.scenes[b], targets.known2[b]
    ids = scene_ids(scene)
    known4 = known_pixels(~known2, (ids.shape[-2], ids.shape[-1]))
    rows, layers, masks4 = torch.arange(0), [], scene.masks4[:, known4]
    for layer in outputs.queries.layers:
        rows, logits = heard(layer.mask_logits[b], known4)
        layers.append(LayerPrediction(logits, layer.objectness_logits[b, rows]))
    with torch.no_grad():
        matches = [match_queries(fast3dis_cost(layer, masks4, own)) for layer in layers]
    place = balanced_pixels(torch.where(known4, ids, 0), own)
    features = outputs.mask_features[b].transpose(0, 1).flatten(1).T[place]
    terms = fast3dis_losses(layers, masks4, matches, (features, ids.flatten()[place]), progress, own)
    query, target = rows[matches[-1][0]], matches[-1][1]
    logits, truth = outputs.queries.mask_logits[b, query][:, known2], scene.masks2[target][:, known2]
    count = max(len(query), 1)
    terms["fine_bce"] = mask_bce(logits, truth).sum() / count
    terms["fine_dice"] = mask_dice(logits, truth).sum() / count
    return terms, (query, target)


def fast3dis_mini_losses(
    outputs: Fast3disMiniOutputs,
    targets: BatchTargets,
    descriptions: Tensor,
    progress: float,
    weights: Fast3disMiniLossWeights | None = None,
) -> dict[str, Tensor]:
    """All terms, unweighted, means over the scenes, and their weighted sum `total`.

    descriptions (K, text_dim) unit vectors; progress: share of the training that is done, for the overlap's schedule.
    """
    weights = weights or Fast3disMiniLossWeights()
    scenes = [anchor_losses(outputs, b, targets, progress, weights) for b in range(len(targets.scenes))]
    terms = {name: torch.stack([own[name] for own, _ in scenes]).mean() for name in scenes[0][0]}
    queries, known = outputs.queries, targets.known2
    heard_of = replace(queries, mask_logits=silenced(queries.mask_logits, known))
    terms["quality"] = quality_loss(heard_of, targets.scenes, on_void(queries.mask_logits, known))
    matches = [match for _, match in scenes]
    terms["text"], terms["text_cosine"] = text_losses(outputs.queries, targets.scenes, matches, descriptions)
    terms["total"] = (
        terms["total"] + weights.anchors.bce * terms["fine_bce"] + weights.anchors.dice * terms["fine_dice"]
        + weights.quality * terms["quality"] + weights.text * terms["text"] + weights.text_cosine * terms["text_cosine"]
    )  # fmt: skip
    return terms
