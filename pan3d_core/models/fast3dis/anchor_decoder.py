"""Queries at 3D anchors that look at every view where their anchor projects to (FAST3DIS, section 3.3 and 3.4).

Cost and memory grow with queries times views and do not depend on the size of the images. The frame and the unit of all
positions are the caller's: one frame per scene, in units of about its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEAREST = 1e-3  # in units; anchors closer to a camera's plane, or behind it, are not seen by it


@dataclass(frozen=True)
class AnchorSettings:
    """Sizes of the decoder. The paper gives the number of queries (80) and the round-robin over three scales."""

    queries: int = 300
    dim: int = 256  # assumed, as Mask2Former
    heads: int = 8  # assumed
    feed_forward: int = 1024  # assumed
    layers: int = 9  # assumed: three rounds of three scales
    bands: int = 64  # assumed: frequencies of the positional encoding
    bandwidth: float = 1.0  # assumed: standard deviation of the frequencies, turns per unit
    first_low: tuple[float, float, float] = (-1.0, -1.0, 0.2)  # assumed: box in which anchors start before they are learned
    first_high: tuple[float, float, float] = (1.0, 1.0, 2.0)
    # Where anchors start: "learned", places of their own (the paper); "seeds", where the caller says that objects may be.
    start: Literal["learned", "seeds"] = "learned"
    # What a query attends to: "anchors", its samples (the paper); "everywhere", all pixels of a map (Mask2Former without
    # masked attention), which its anchor then only labels. The second is there to be compared with.
    attention: Literal["anchors", "everywhere"] = "anchors"

    def __post_init__(self) -> None:
        for name, known in (("start", ("learned", "seeds")), ("attention", ("anchors", "everywhere"))):
            if getattr(self, name) not in known:
                raise ValueError(f"AnchorSettings.{name}: expected {' or '.join(known)}, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class SceneViews:
    """What the decoder looks at: B scenes of S views."""

    maps: tuple[Tensor, ...]  # scales in the order they are visited, (B, S, dim, h, w) each
    context: Tensor  # (B, dim) mean of the deepest feature over views and pixels
    cam_from_scene: Tensor  # (B, S, 4, 4) from the frame of the anchors, translations in its unit
    focal_center: Tensor  # (B, S, 4) fx, fy, cx, cy over width and height: (0, 0) and (1, 1) are the image's outer corners


@dataclass(frozen=True)
class AnchorPrediction:
    """What one layer says."""

    anchors: Tensor  # (B, Q, 3) in the frame and unit of `SceneViews.cam_from_scene`
    class_logits: Tensor  # (B, Q, 2) object, nothing
    mask_embedding: Tensor  # (B, Q, dim)
    content: Tensor  # (B, Q, dim) normed queries, for further heads


class FourierPosition(nn.Module):
    """sin and cos of 2 pi B x with random frequencies B, then a linear map (Tancik et al. 2020)."""

    def __init__(self, bands: int, bandwidth: float, dim: int) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.randn(3, bands) * bandwidth)
        self.project = nn.Linear(2 * bands, dim)

    def forward(self, positions: Tensor) -> Tensor:
        """(..., 3) -> (..., dim)."""
        angle = 2 * torch.pi * positions @ self.frequencies
        position: Tensor = self.project(torch.cat([angle.sin(), angle.cos()], dim=-1))
        return position


def place_in_views(anchors: Tensor, views: SceneViews) -> tuple[Tensor, Tensor]:
    """Anchors (B, Q, 3) -> places (B, S, Q, 2) in -1..1 from edge to edge of each image, and whether each view sees them.

    An anchor at or behind a camera's plane, or outside the image, is not seen (Eq. 3).
    """
    rotation, translation = views.cam_from_scene[..., :3, :3], views.cam_from_scene[..., :3, 3]
    in_cam = anchors[:, None] @ rotation.mT + translation[:, :, None]
    z = in_cam[..., 2:]
    share = in_cam[..., :2] / z.clamp_min(NEAREST) * views.focal_center[:, :, None, :2] + views.focal_center[:, :, None, 2:]
    seen = (z[..., 0] > NEAREST) & ((share >= 0) & (share <= 1)).all(-1)
    return (2 * share - 1).clamp(-1, 1), seen


def sample_views(features: Tensor, places: Tensor) -> Tensor:
    """Bilinear samples (B, Q, S, C) of (B, S, C, h, w) at (B, S, Q, 2)."""
    picked = F.grid_sample(features.flatten(0, 1), places.flatten(0, 1)[:, :, None], padding_mode="border", align_corners=False)
    samples: Tensor = picked[..., 0].unflatten(0, features.shape[:2])
    return samples.permute(0, 3, 1, 2)


class ViewAttention(nn.Module):
    """Each query attends to its own S samples (Eq. 4); without any visible one its answer is 0."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, queries: Tensor, samples: Tensor, seen: Tensor) -> Tensor:
        """queries (B, Q, dim), samples (B, Q, S, dim), seen (B, Q, S) -> (B, Q, dim)."""
        q = self.query(queries).unflatten(-1, (self.heads, -1))
        k = self.key(samples).unflatten(-1, (self.heads, -1))
        v = self.value(samples).unflatten(-1, (self.heads, -1))
        logits = torch.einsum("bqhc,bqshc->bqhs", q, k) / q.shape[-1] ** 0.5
        # A finite floor instead of -inf: a query that nobody sees would become NaN.
        weights = logits.masked_fill(~seen[:, :, None], -1e4).softmax(-1)
        mixed = torch.einsum("bqhs,bqshc->bqhc", weights, v).flatten(-2)
        output: Tensor = self.output(mixed)
        return output * seen.any(-1, keepdim=True)


class MapAttention(nn.Module):
    """Each query attends to every pixel of a map in every view: cost grows with the size of the images."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, queries: Tensor, features: Tensor) -> Tensor:
        """queries (B, Q, dim), features (B, S, dim, h, w) -> (B, Q, dim)."""
        memory = features.permute(0, 1, 3, 4, 2).flatten(1, 3)
        mixed: Tensor = self.attention(queries, memory, memory, need_weights=False)[0]
        return mixed


class AnchorLayer(nn.Module):
    """Self-attention, attention to the views, feed-forward; residuals are normed after each step as in Mask2Former."""

    def __init__(self, settings: AnchorSettings) -> None:
        super().__init__()
        dim = settings.dim
        self.own = nn.MultiheadAttention(dim, settings.heads, batch_first=True)
        self.across = (ViewAttention if settings.attention == "anchors" else MapAttention)(dim, settings.heads)
        self.feed = nn.Sequential(nn.Linear(dim, settings.feed_forward), nn.ReLU(), nn.Linear(settings.feed_forward, dim))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))

    def forward(self, content: Tensor, position: Tensor, *looked_at: Tensor) -> Tensor:
        """content and position (B, Q, dim), `looked_at` what `across` takes beside the queries -> (B, Q, dim)."""
        placed = content + position
        content = self.norms[0](content + self.own(placed, placed, content, need_weights=False)[0])
        content = self.norms[1](content + self.across(content + position, *looked_at))
        content = self.norms[2](content + self.feed(content))
        return content


def _perceptron(dim: int, outputs: int) -> nn.Sequential:
    """A shift that is zero at first: anchors stay where they start until something is learned."""
    last = nn.Linear(dim, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), last)


class AnchorDecoder(nn.Module):
    """Learned anchors and content queries -> objectness and mask embeddings after every layer."""

    def __init__(self, settings: AnchorSettings) -> None:
        super().__init__()
        self.settings, dim = settings, settings.dim
        if settings.start == "learned":
            low, high = torch.tensor(settings.first_low), torch.tensor(settings.first_high)
            self.anchors = nn.Parameter(low + (high - low) * torch.rand(settings.queries, 3))
            self.first_shift = _perceptron(dim, 3 * settings.queries)
        self.content = nn.Parameter(torch.randn(settings.queries, dim) * 0.02)
        self.position = FourierPosition(settings.bands, settings.bandwidth, dim)
        self.layers = nn.ModuleList(AnchorLayer(settings) for _ in range(settings.layers))
        self.shift = _perceptron(dim, 3)
        self.norm = nn.LayerNorm(dim)
        self.class_head = nn.Linear(dim, 2)
        self.mask_head = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))

    def forward(self, views: SceneViews, seeds: tuple[Tensor, Tensor] | None = None) -> list[AnchorPrediction]:
        """One prediction per layer, the last one being the answer (Eqs. 1, 2 and 5).

        `seeds`, with `start="seeds"`: places (B, Q, 3) of what may be objects, where the anchors start, and features
        (B, Q, dim) of them, which are added to the learned queries.
        """
        batch = len(views.context)
        content = self.content.expand(batch, -1, -1)
        if (seeds is None) != (self.settings.start == "learned"):
            raise ValueError(f"seeds: expected {'none' if seeds is not None else 'some'} with start={self.settings.start!r}")
        if seeds is None:
            anchors = self.anchors + self.first_shift(views.context).unflatten(-1, (-1, 3))
        else:
            anchors, content = seeds[0], content + seeds[1]
        predictions = []
        for number, layer in enumerate(self.layers):
            features = views.maps[number % len(views.maps)]
            content = layer(content, self.position(anchors), *self._looked_at(features, anchors, views))
            anchors = anchors + self.shift(content)
            predictions.append(self._predict(anchors, content))
        return predictions

    def _looked_at(self, features: Tensor, anchors: Tensor, views: SceneViews) -> tuple[Tensor, ...]:
        """What a layer's `across` takes beside the queries."""
        if self.settings.attention == "everywhere":
            return (features,)
        places, seen = place_in_views(anchors, views)
        return sample_views(features, places), seen.transpose(1, 2)

    def _predict(self, anchors: Tensor, content: Tensor) -> AnchorPrediction:
        normed = self.norm(content)
        return AnchorPrediction(anchors, self.class_head(normed), self.mask_head(normed), normed)
