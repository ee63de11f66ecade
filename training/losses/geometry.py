"""Objectives of geometry as VGGT publishes them (Wang et al., CVPR 2025), and the same against a frozen teacher.

Depth and points: distance to the truth, the same weighted by the network's confidence with a bonus for being sure
(gamma c |d - d*| - alpha log c), and the differences of the error between neighbours at several scales (depth) or the angle
between normals (points). Cameras: absolute error of the nine-number code over all iterations of the camera head, later ones
counting more. The published training code takes absolute errors where the paper says Huber; so do we.

SegVGGT (Sec. 3.2) and AnySplat supervise geometry by the outputs of a frozen VGGT instead of sensors: `distillation_losses`.
Every function gives exactly 0 with gradients of 0 where nothing is valid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.models.vggt.network import VggtOutput

SMALLEST_TRIMMED = 1000  # with fewer errors none is taken for an outlier
LARGEST_ERROR = 100.0  # errors beyond count as this


@dataclass(frozen=True)
class GeometryLossWeights:
    """Defaults of VGGT's training configuration; `point` is off there."""

    camera: float = 5.0
    depth: float = 1.0
    points: float = 0.0  # 1.0 where a point head is trained
    translation: float = 1.0
    rotation: float = 1.0
    field_of_view: float = 0.5
    iteration_decay: float = 0.6  # weight of an iteration of the camera head against the next one
    confidence_gamma: float = 1.0
    confidence_alpha: float = 0.2
    kept_share: float = 0.98  # of the pixels' errors; the largest are dropped as outliers
    depth_scales: int = 4
    normal_scales: int = 3


GEOMETRY_WEIGHTS = GeometryLossWeights()


def camera_loss(codes: Tensor, truth: Tensor, weights: GeometryLossWeights = GEOMETRY_WEIGHTS) -> Tensor:
    """Compare codes of cameras (VGGT's camera loss).

    Args:
        codes: (I, ..., 9) of I iterations: translation, quaternion, fields of view.
        truth: (..., 9).
        weights: Of the parts, and `iteration_decay`.

    Returns:
        Scalar: each iteration's weighted mean absolute errors, iteration i of I counting decay ** (I - 1 - i), divided by I.
    """
    errors = (codes - truth).abs()
    translation = errors[..., :3].clamp(max=LARGEST_ERROR).flatten(1).mean(1)
    rotation, view = errors[..., 3:7].flatten(1).mean(1), errors[..., 7:].flatten(1).mean(1)
    per_iteration = weights.translation * translation + weights.rotation * rotation + weights.field_of_view * view
    steps = torch.arange(len(codes) - 1, -1, -1, device=codes.device)
    return (per_iteration * weights.iteration_decay**steps).sum() / max(len(codes), 1)


def depth_loss(
    depth: Tensor, confidence: Tensor, truth: Tensor, valid: Tensor, weights: GeometryLossWeights = GEOMETRY_WEIGHTS
) -> dict[str, Tensor]:
    """Compare depth with the truth, weighted by the predicted confidence (VGGT's depth loss).

    Args:
        depth: (N, H, W).
        confidence: (N, H, W) > 0.
        truth: (N, H, W) in the unit of `depth`.
        valid: (N, H, W) bool, where there is truth.
        weights: Of the confidence, trimming and scales.

    Returns:
        `error`, `confidence` and `gradient`.
    """
    terms = _regression(depth[..., None], confidence, truth[..., None], valid, weights)
    difference = torch.where(valid, depth - truth, 0.0)
    terms["gradient"] = _over_scales(_gradient, difference, valid, weights.depth_scales)
    return terms


def point_loss(
    points: Tensor, confidence: Tensor, truth: Tensor, valid: Tensor, weights: GeometryLossWeights = GEOMETRY_WEIGHTS
) -> dict[str, Tensor]:
    """(N, H, W, 3) point maps and confidence (N, H, W) > 0 against truth -> `error`, `confidence`, `normal`."""
    terms = _regression(points, confidence, truth, valid, weights)
    both = torch.cat([points, truth], dim=-1)
    terms["normal"] = _over_scales(_normal_angle, both, valid, weights.normal_scales)
    return terms


def _points(output: VggtOutput) -> tuple[Tensor, Tensor] | None:
    """Points and their confidence, where there is a point head."""
    points, confidence = output.world_points, output.world_points_conf
    return None if points is None or confidence is None else (points, confidence)


def distillation_losses(
    outputs: VggtOutput,
    teacher: VggtOutput,
    weights: GeometryLossWeights = GEOMETRY_WEIGHTS,
    *,
    confident_share: float = 1.0,
) -> dict[str, Tensor]:
    """Compare geometry with a frozen teacher's outputs for the same images.

    Teacher and student see the same views in the same order, so their frames and units agree and nothing is aligned. Points are
    left out where either has no point head or their weight is 0.

    Args:
        outputs: Of the student.
        teacher: Of the teacher.
        weights: Of the terms.
        confident_share: Of each view's pixels, those of which the teacher is surest; AnySplat takes 0.7.

    Returns:
        `camera`, `depth`, `points` and the weighted `total`.
    """
    losses = {"camera": camera_loss(outputs.pose_encodings, teacher.pose_encodings[-1].detach(), weights)}
    depth, confidence, answer = (m.flatten(0, -3) for m in (outputs.depth, outputs.depth_conf, teacher.depth.detach()))
    valid = most_confident(teacher.depth_conf.detach(), confident_share).flatten(0, -3)
    losses["depth"] = _sum(depth_loss(depth, confidence, answer, valid, weights))
    losses["points"] = losses["depth"].new_zeros(())
    own, known = _points(outputs), _points(teacher)
    if weights.points and own is not None and known is not None:
        valid = most_confident(known[1].detach(), confident_share).flatten(0, -3)
        points, truth = own[0].flatten(0, -4), known[0].detach().flatten(0, -4)
        losses["points"] = _sum(point_loss(points, own[1].flatten(0, -3), truth, valid, weights))
    losses["total"] = weights.camera * losses["camera"] + weights.depth * losses["depth"] + weights.points * losses["points"]
    return losses


def with_geometry(instances: dict[str, Tensor], geometry: dict[str, Tensor]) -> dict[str, Tensor]:
    """Instance terms (`models.losses.segvggt_losses`) and `distillation_losses` as one objective; both totals are weighted
    already, and their sum is SegVGGT's objective."""
    return {**instances, **geometry, "total": instances["total"] + geometry["total"]}


def most_confident(confidence: Tensor, share: float) -> Tensor:
    """(..., H, W) -> bool, the pixels of each view at or above the confidence that `share` of them reach."""
    flat = confidence.flatten(-2)
    count = max(1, round(share * flat.shape[-1]))
    lowest = flat.topk(count, dim=-1).values[..., -1]
    return confidence >= lowest[..., None, None]


def trimmed_mean(values: Tensor, kept_share: float, anchor: Tensor) -> Tensor:
    """Mean of (N,) values without the largest ones; with few values of all; 0 without any, joined to `anchor`'s graph."""
    if values.numel() == 0:
        return anchor.sum() * 0.0
    if values.numel() <= SMALLEST_TRIMMED:
        return values.mean()
    values = values.clamp(max=LARGEST_ERROR)
    # kthvalue instead of quantile, which refuses more than 16 million values.
    largest = values.detach().kthvalue(max(1, round(kept_share * values.numel()))).values
    kept = values[values < largest]
    return kept.mean() if kept.numel() > SMALLEST_TRIMMED else values.mean()


def _regression(
    values: Tensor, confidence: Tensor, truth: Tensor, valid: Tensor, weights: GeometryLossWeights
) -> dict[str, Tensor]:
    error = torch.linalg.vector_norm((values - truth)[valid], dim=-1)
    sure = confidence[valid]
    weighted = weights.confidence_gamma * error * sure - weights.confidence_alpha * sure.log()
    return {
        "error": trimmed_mean(error, weights.kept_share, values),
        "confidence": trimmed_mean(weighted, weights.kept_share, values),
    }


def _over_scales(loss: Callable[[Tensor, Tensor], Tensor], maps: Tensor, valid: Tensor, scales: int) -> Tensor:
    """Mean of a loss over maps (N, H, W, ...) thinned to every 2^k-th row and column."""
    steps = [2**scale for scale in range(scales)]
    return torch.stack([loss(maps[:, ::step, ::step], valid[:, ::step, ::step]) for step in steps]).mean()


def _gradient(difference: Tensor, valid: Tensor) -> Tensor:
    """Absolute change of the error between valid neighbours, summed and divided by the number of valid pixels."""
    across = (difference[:, :, 1:] - difference[:, :, :-1]).abs().clamp(max=LARGEST_ERROR)
    down = (difference[:, 1:] - difference[:, :-1]).abs().clamp(max=LARGEST_ERROR)
    total = across[valid[:, :, 1:] & valid[:, :, :-1]].sum() + down[valid[:, 1:] & valid[:, :-1]].sum()
    return total / valid.sum().clamp_min(1)


def _normal_angle(both: Tensor, valid: Tensor) -> Tensor:
    """One minus the cosine between the normals of two point maps (N, H, W, 6), mean over the four corners of each pixel."""
    mine, truth = (_corner_normals(part) for part in both.split(3, dim=-1))
    shown = F.pad(valid, (1, 1, 1, 1))
    center = shown[:, 1:-1, 1:-1]
    sides = (shown[:, :-2, 1:-1], shown[:, 1:-1, :-2], shown[:, 2:, 1:-1], shown[:, 1:-1, 2:])  # up, left, down, right
    seen = torch.stack([center & sides[k] & sides[(k + 1) % 4] for k in range(4)])
    angles = 1 - (mine * truth).sum(-1)[seen]
    return angles.mean() if angles.numel() else both.sum() * 0.0


def _corner_normals(points: Tensor) -> Tensor:
    """(N, H, W, 3) -> (4, N, H, W, 3) unit normals of the corners between up, left, down and right neighbours."""
    framed = F.pad(points, (0, 0, 1, 1, 1, 1))
    neighbours = (framed[:, :-2, 1:-1], framed[:, 1:-1, :-2], framed[:, 2:, 1:-1], framed[:, 1:-1, 2:])
    arms = [neighbour - points for neighbour in neighbours]
    return F.normalize(torch.stack([torch.linalg.cross(arms[k], arms[(k + 1) % 4], dim=-1) for k in range(4)]), dim=-1, eps=1e-8)


def _sum(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
