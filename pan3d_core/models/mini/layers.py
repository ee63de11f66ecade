"""Building blocks of `pan3d-mini`: convolutional stem, transformer blocks, feature pyramid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch normalisation, no activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Residual(nn.Module):
    """relu(x + conv(relu(conv(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn(channels, channels)
        self.second = conv_bn(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(F.relu(self.first(x)))
        return F.relu(x + change)


class ConvStem(nn.Module):
    """Image (N, 3, H, W) to features at strides 2, 4, 8, 16; what calibration knows joins at stride 4."""

    def __init__(self, channels: tuple[int, int, int, int], geometry_channels: int) -> None:
        super().__init__()
        c2, c4, c8, c16 = channels
        self.to2 = conv_bn(3, c2, stride=2)
        self.to4 = conv_bn(c2, c4, stride=2)
        self.geometry = nn.Conv2d(geometry_channels, c4, 1)
        self.at4 = Residual(c4)
        self.to8 = conv_bn(c4, c8, stride=2)
        self.at8 = Residual(c8)
        self.to16 = conv_bn(c8, c16, stride=2)

    def start(self, image: Tensor) -> Tensor:
        """Features at stride 2."""
        return F.relu(self.to2(image))

    def forward(
        self, f2: Tensor, geometry: Tensor, other_views: Tensor, extra: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features at strides 2, 4, 8, 16.

        Args:
            f2: (N, c2, H/2, W/2) of `start`.
            geometry: (N, G, H/4, W/4).
            other_views: (N, c4, H/4, W/4).
            extra: To be added at strides 4, 8 and 16, of as many channels.

        Returns:
            `f2` and the other three.
        """
        at4, at8, at16 = extra or (None, None, None)
        f4 = self.at4(F.relu(_sum(self.to4(f2) + self.geometry(geometry) + other_views, at4)))
        f8 = self.at8(F.relu(_sum(self.to8(f4), at8)))
        return f2, f4, f8, _sum(self.to16(f8), at16)


def _sum(maps: Tensor, extra: Tensor | None) -> Tensor:
    return maps if extra is None else maps + extra


class Pyramid(nn.Module):
    """Tokens at stride 16 back to strides 8, 4 and 2 with the stem's features as skips."""

    def __init__(self, dim: int, stem: tuple[int, int, int, int], channels: tuple[int, int, int]) -> None:
        super().__init__()
        p2, p4, p8 = channels
        self.from16 = nn.Conv2d(dim, p8, 1)
        self.skip8 = nn.Conv2d(stem[2], p8, 1)
        self.at8 = conv_bn(p8, p8)
        self.from8 = nn.Conv2d(p8, p4, 1)
        self.skip4 = nn.Conv2d(stem[1], p4, 1)
        self.at4 = conv_bn(p4, p4)
        self.from4 = nn.Conv2d(p4, 4 * p2, 1)  # pixel shuffle: sharper than upsampling and no 3x3 at stride 2
        self.skip2 = conv_bn(stem[0], p2, kernel=1)

    def forward(self, tokens: Tensor, stem: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(N, dim, h16, w16) and the stem's outputs -> features at strides 2, 4, 8."""
        f2, f4, f8, _ = stem
        p8 = F.interpolate(self.from16(tokens), size=f8.shape[-2:], mode="bilinear") + self.skip8(f8)
        p8 = F.relu(self.at8(F.relu(p8)))
        p4 = F.interpolate(self.from8(p8), size=f4.shape[-2:], mode="nearest") + self.skip4(f4)
        p4 = F.relu(self.at4(F.relu(p4)))
        p2 = F.relu(F.pixel_shuffle(self.from4(p4), 2) + self.skip2(f2))
        return p2, p4, p8


def rotate_by_position(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotary embedding (Su et al. 2021, eq. 34): x (N, heads, L, 2 K), rotation (2, N, 1, L, K) cosine and sine of angles."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = rotation[0], rotation[1]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def rotary_angles(plane_xy: Tensor, head_dim: int, longest_m: float = 3.0, shortest_m: float = 0.15) -> Tensor:
    """(..., 2) metres -> (..., head_dim / 2) angles, half of them from x and half from y, geometric wavelengths."""
    count = head_dim // 4
    steps = torch.linspace(0, 1, count, device=plane_xy.device)
    frequency = 2 * math.pi / longest_m * (longest_m / shortest_m) ** steps
    return (plane_xy[..., None] * frequency).flatten(-2)


class Attention(nn.Module):
    """Multi-head attention with layer-normalised queries and keys."""

    def __init__(self, dim: int, heads: int, memory_dim: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(memory_dim or dim, 2 * dim)
        self.query_norm = nn.LayerNorm(dim // heads)
        self.key_norm = nn.LayerNorm(dim // heads)
        self.output = nn.Linear(dim, dim)

    def _split(self, x: Tensor) -> Tensor:
        parts: Tensor = x.unflatten(-1, (self.heads, -1))
        return parts.transpose(-2, -3)

    def forward(self, x: Tensor, memory: Tensor, rotation: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """x (N, L, dim), memory (N, M, memory_dim), rotation by position (self-attention only) and additive bias (N, 1, L, M)."""
        query = self.query_norm(self._split(self.query(x)))
        key, value = self.key_value(memory).chunk(2, dim=-1)
        key = self.key_norm(self._split(key))
        if rotation is not None:
            query, key = rotate_by_position(query, rotation), rotate_by_position(key, rotation)
        value = self._split(value)
        if torch.is_grad_enabled():
            # Written out: with a few hundred tokens on a CPU this trains faster than the fused kernel.
            logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
            mixed = (logits if bias is None else logits + bias).softmax(-1) @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        output: Tensor = self.output(mixed.transpose(-2, -3).flatten(-2))
        return output


class FeedForward(nn.Sequential):
    """Two-layer perceptron of width `ratio` times `dim`."""

    def __init__(self, dim: int, ratio: int = 4) -> None:
        super().__init__(nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.feed_norm = nn.LayerNorm(dim)
        self.feed = FeedForward(dim)

    def forward(self, x: Tensor, rotation: Tensor | None = None) -> Tensor:
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed, rotation)
        x = x + self.feed(self.feed_norm(x))
        return x
