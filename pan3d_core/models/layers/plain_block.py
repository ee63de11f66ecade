"""The transformer block of vision transformers without rotary places: with or without factors on its sums, plain or gated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pan3d_core.models.layers.transformer import Attention, Dense, LayerScale, LinearBuilder, Mlp, SwiGlu


def gated_width(dim: int) -> int:
    """Hidden width of DINOv2's gated layer: two thirds of four times the width, a multiple of 8."""
    return (int(4 * dim * 2 / 3) + 7) // 8 * 8


class PlainBlock(nn.Module):
    """Pre-norm transformer block; factors on its two additions where `scaled`, a gated MLP where `gated`; its attention's linear
    layers are those of `linear`."""

    def __init__(self, dim: int, heads: int, *, scaled: bool, gated: bool, linear: LinearBuilder = Dense) -> None:
        super().__init__()
        self.scaled = scaled
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads, linear=linear)
        self.mlp = SwiGlu(dim, gated_width(dim)) if gated else Mlp(dim, 4 * dim)
        if scaled:
            self.ls1, self.ls2 = LayerScale(dim, 1e-5), LayerScale(dim, 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, dim) -> the same."""
        if self.scaled:
            x = torch.addcmul(x, self.attn(self.norm1(x)), self.ls1.gamma)
            return torch.addcmul(x, self.mlp(self.norm2(x)), self.ls2.gamma)
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y
