"""Query decoder of `pan3d-mini`: masked cross-attention (Mask2Former) from anchored queries over all views.

With poses, queries start at seeds: places that many foreground pixels vote for as an object's centre.
Their anchors follow the masks from layer to layer. Without poses queries start from learned vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.models.mini.layers import Attention, FeedForward
from pan3d_core.models.mini.plane import fourier_features

SEED_RADIUS_M = 0.035
MASK_RADIUS_M = 0.05
BORDER_LOGIT = 0.1  # a mask's logits from outside to inside: a probability of 0.475 to 0.525
POINT_WAVELENGTHS_M = (2.0, 1.0, 0.5, 0.25, 0.125, 0.0625)
_POINT_FEATURES = 2 * 3 * len(POINT_WAVELENGTHS_M)


@dataclass(frozen=True)
class SceneFeatures:
    """What the queries look at. B scenes of S views; s4, s8, s16 are the grids at those strides."""

    tokens16: Tensor  # (B, S * h16 * w16, dim)
    p8: Tensor  # (B, S, c8, h8, w8)
    p4: Tensor  # (B, S, c4, h4, w4)
    p2: Tensor  # (B, S, c2, h2, w2)
    points4: Tensor  # (B, S, h4, w4, 3) points of the predicted depth, plane frame, without gradient
    centers4: Tensor  # (B, S, h4, w4, 3) the object centre that each pixel votes for, without gradient
    foreground4: Tensor  # (B, S, h4, w4) probability of showing an object, without gradient
    posed: Tensor  # (B,) 1 or 0


@dataclass(frozen=True)
class QueryPrediction:
    """Prediction after one decoder layer."""

    mask_logits: Tensor  # (B, Q, S, h4, w4)
    objectness_logits: Tensor  # (B, Q)


@dataclass(frozen=True)
class QueryOutputs:
    """Predictions of the first to the last layer, and what only the last one gives."""

    layers: tuple[QueryPrediction, ...]
    mask_logits: Tensor  # (B, Q, S, h2, w2)
    quality_logits: Tensor  # (B, Q) logit of the expected IoU of the mask with its object
    text_embedding: Tensor  # (B, Q, text_dim) unit vectors


def pool_grid(grid: Tensor, size: int) -> Tensor:
    """Mean over size x size cells of (B, S, h, w, C)."""
    moved = grid.flatten(0, 1).permute(0, 3, 1, 2)
    pooled: Tensor = F.avg_pool2d(moved, size).permute(0, 2, 3, 1).unflatten(0, grid.shape[:2])
    return pooled


def select_seeds(weights: Tensor, centers: Tensor, count: int) -> Tensor:
    """Greedy choice of (B, count) indices: the highest of weights (B, N), then damping near its centre (B, N, 3), and so on."""
    weights = weights.clone()
    chosen = []
    for _ in range(count):
        index = weights.argmax(1)
        chosen.append(index)
        center = centers.gather(1, index[:, None, None].expand(-1, 1, 3))
        squared = (centers - center).square().sum(-1)
        weights = weights * (1 - torch.exp(-squared / (2 * SEED_RADIUS_M**2)))
    return torch.stack(chosen, dim=1)


def anchor_distance(anchors: Tensor, points4: Tensor) -> Tensor:
    """Squared distance of the points (B, S, h4, w4, 3) from the anchors (B, Q, 3) in mask radii, bounded: (B, Q, S, h4, w4)."""
    squared = torch.cdist(anchors, points4.flatten(1, 3)).square().clamp_max((6 * MASK_RADIUS_M) ** 2)
    distance: Tensor = (squared / MASK_RADIUS_M**2).unflatten(-1, points4.shape[1:4])
    return distance


def under_masks(mask_logits: Tensor, content8: Tensor) -> Tensor:
    """Mean of content8 (B, S h8 w8, C) under masks (B, Q, S, h4, w4), weighted by their probability: (B, Q, C)."""
    weights = F.max_pool2d(mask_logits.detach().sigmoid().flatten(0, 2), 2).reshape(*mask_logits.shape[:2], -1)
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-3)
    return weights.to(content8.dtype) @ content8


def mask_facts(mask_logits: Tensor) -> Tensor:
    """What a mask (B, Q, S, h2, w2) itself tells of its quality: mean probability inside and its size, (B, Q, 2).

    Pixels on the border count in part: one that rounding puts on this side of it or that does not make the answer jump.
    """
    logits = mask_logits.detach().flatten(2)
    inside = logits.mul(0.5 / BORDER_LOGIT).add_(0.5).clamp_(0, 1)
    area = inside.sum(-1)
    certainty = torch.linalg.vecdot(logits.sigmoid(), inside) / area.clamp_min(1)
    return torch.stack([certainty, (1 + area).log() / 8], dim=-1)


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward; all pre-norm."""

    def __init__(self, dim: int, heads: int, memory_dim: int) -> None:
        super().__init__()
        self.cross_norm = nn.LayerNorm(dim)
        self.cross = Attention(dim, heads, memory_dim)
        self.self_norm = nn.LayerNorm(dim)
        self.own = Attention(dim, heads)
        self.feed_norm = nn.LayerNorm(dim)
        self.feed = FeedForward(dim)

    def forward(self, queries: Tensor, position: Tensor, memory: Tensor, bias: Tensor) -> Tensor:
        queries = queries + self.cross(self.cross_norm(queries) + position, memory, bias=bias)
        normed = self.self_norm(queries) + position
        queries = queries + self.own(normed, normed)
        queries = queries + self.feed(self.feed_norm(queries))
        return queries


class QueryDecoder(nn.Module):
    """Q queries to masks over all views, objectness, mask quality and a text-aligned vector each."""

    def __init__(self, dim: int, heads: int, channels: tuple[int, int, int], queries: int, layers: int, text_dim: int) -> None:
        super().__init__()
        c2, c4, c8 = channels
        self.learned = nn.Parameter(torch.randn(queries, dim) * 0.5)
        self.seed = nn.Linear(c8, dim)
        self.position = nn.Linear(_POINT_FEATURES, dim)
        self.memory_position = nn.Linear(_POINT_FEATURES, dim, bias=False)
        self.token_norm = nn.LayerNorm(dim)
        self.from8 = nn.Linear(c8, dim)
        self.layers = nn.ModuleList(DecoderLayer(dim, heads, dim) for _ in range(layers))
        self.output_norm = nn.LayerNorm(dim)
        self.pixel4 = nn.Conv2d(c4, c4, 1)
        self.pixel_position = nn.Linear(_POINT_FEATURES, c4, bias=False)
        self.to_mask4 = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, c4))
        self.to_mask2 = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, c2))
        self.mask_bias = nn.Parameter(torch.tensor(-2.0))
        # objectness, falloff of the mask with distance from the anchor, shift of the anchor (3)
        self.to_scalars = nn.Linear(dim, 5)
        self.to_quality = nn.Sequential(nn.Linear(dim + 2, dim), nn.GELU(), nn.Linear(dim, 1))
        self.pooled = nn.Linear(dim, dim)
        self.to_text = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, text_dim))

    def _start(self, scene: SceneFeatures) -> tuple[Tensor, Tensor]:
        """First queries (B, Q, dim) and their anchors (B, Q, 3)."""
        batch = len(scene.posed)
        weights = pool_grid(scene.foreground4[..., None], 2).reshape(batch, -1)
        centers = pool_grid(scene.centers4, 2).reshape(batch, -1, 3)
        index = select_seeds(weights, centers, len(self.learned))[..., None]
        features = scene.p8.permute(0, 1, 3, 4, 2).flatten(1, 3)
        seeds = self.seed(features.gather(1, index.expand(-1, -1, features.shape[-1])))
        anchors = centers.gather(1, index.expand(-1, -1, 3))
        return self.learned + seeds * scene.posed[:, None, None], anchors

    def _predict(self, queries: Tensor, anchors: Tensor, pixels: Tensor, scene: SceneFeatures) -> tuple[QueryPrediction, Tensor]:
        """Masks at stride 4; pixels (B, S, c4, h4, w4). Also the normalised queries."""
        normed = self.output_norm(queries)
        objectness, falloff, shift = self.to_scalars(normed).split([1, 1, 3], dim=-1)
        features = self.to_mask4(normed)
        logits = torch.einsum("bqc,bschw->bqshw", features, pixels) / features.shape[-1] ** 0.5 + self.mask_bias
        centers = (anchors + 0.1 * torch.tanh(shift)).float()
        distance = anchor_distance(centers, scene.points4)
        strength = F.softplus(falloff)[..., None, None] * scene.posed[:, None, None, None, None]
        return QueryPrediction(logits.float() - strength * distance, objectness[..., 0].float()), normed

    @staticmethod
    def _follow(anchors: Tensor, mask_logits: Tensor, points: Tensor) -> Tensor:
        """Anchors at the centre of what the masks cover; unchanged where a mask is empty."""
        weights = (mask_logits.detach().sigmoid() - 0.3).clamp_min(0).flatten(2)
        total = weights.sum(-1, keepdim=True)
        mean = weights @ points.flatten(1, 3) / total.clamp_min(1e-3)
        return torch.where(total > 0.5, mean, anchors)

    @staticmethod
    def _attention_bias(mask_logits: Tensor, size: int) -> Tensor:
        """Additive bias (B, 1, Q, M): 0 inside the previous mask, down to -10 outside; `size` pools stride 4 to the memory's."""
        pooled = F.max_pool2d(mask_logits.detach().flatten(0, 2), size).clamp(-10, 0)
        return pooled.reshape(*mask_logits.shape[:2], -1)[:, None]

    def forward(self, scene: SceneFeatures) -> QueryOutputs:
        flag = scene.posed[:, None, None]
        queries, anchors = self._start(scene)
        points8 = pool_grid(scene.points4, 2)
        features4 = fourier_features(scene.points4, POINT_WAVELENGTHS_M) * flag[..., None, None]
        features8 = fourier_features(points8, POINT_WAVELENGTHS_M).flatten(1, 3) * flag
        features16 = fourier_features(pool_grid(points8, 2), POINT_WAVELENGTHS_M).flatten(1, 3) * flag
        pixels = self.pixel4(scene.p4.flatten(0, 1)).unflatten(0, scene.p4.shape[:2])
        pixels = pixels + self.pixel_position(features4).permute(0, 1, 4, 2, 3)
        content8 = self.from8(scene.p8.permute(0, 1, 3, 4, 2).flatten(1, 3))
        memory8 = content8 + self.memory_position(features8)
        memory16 = self.token_norm(scene.tokens16) + self.memory_position(features16)
        prediction, normed = self._predict(queries, anchors, pixels, scene)
        predictions = [prediction]
        for number, layer in enumerate(self.layers):
            memory, size = (memory16, 4) if number == 0 else (memory8, 2)
            position = self.position(fourier_features(anchors, POINT_WAVELENGTHS_M) * flag)
            queries = layer(queries, position, memory, self._attention_bias(prediction.mask_logits, size))
            anchors = self._follow(anchors, prediction.mask_logits, scene.points4) if number else anchors
            prediction, normed = self._predict(queries, anchors, pixels, scene)
            predictions.append(prediction)
        return self._finish(tuple(predictions), normed, content8, scene)

    def _finish(
        self, layers: tuple[QueryPrediction, ...], normed: Tensor, content8: Tensor, scene: SceneFeatures
    ) -> QueryOutputs:
        coarse = layers[-1].mask_logits
        fine = torch.einsum("bqc,bschw->bqshw", self.to_mask2(normed), scene.p2) / scene.p2.shape[2] ** 0.5
        upsampled = F.interpolate(coarse.flatten(0, 1), size=scene.p2.shape[-2:], mode="bilinear").unflatten(0, coarse.shape[:2])
        mask_logits = upsampled + fine.float()
        described = normed + self.pooled(under_masks(coarse, content8))
        quality = self.to_quality(torch.cat([described.detach().float(), mask_facts(mask_logits)], dim=-1).to(described.dtype))
        text = F.normalize(self.to_text(described).float(), dim=-1)
        return QueryOutputs(layers, mask_logits, quality[..., 0].float(), text)
