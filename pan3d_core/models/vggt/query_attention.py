"""Where SegVGGT's queries look: their attention to every patch of every view, layer by layer, to be shown to people."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pan3d_core.models.vggt.segvggt import CrossAttention, CrossBlock, SegVGGT


def token_attention(attention: CrossAttention, queries: Tensor, tokens: Tensor) -> Tensor:
    """Attention of normed queries (B, R, dim) to normed tokens (B, T, dim): (B, R, T), mean over heads; rows sum to 1."""
    q, k = (part.unflatten(-1, (attention.num_heads, -1)) for part in (attention.q_proj(queries), attention.k_proj(tokens)))
    q, k = attention.q_norm(q).transpose(1, 2), attention.k_norm(k).transpose(1, 2)
    found: Tensor = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1).mean(1)
    return found


@torch.no_grad()
def query_attention(
    model: SegVGGT, images: Tensor, rows: Sequence[int], *, aggregator_dtype: torch.dtype | None = None
) -> Tensor:
    """Find where some queries look.

    Args:
        model: The network, in evaluation mode.
        images: (1, S, 3, H, W) RGB 0..1.
        rows: R queries.
        aggregator_dtype: As for the network itself.

    Returns:
        (L, R, S, H / 14, W / 14) shares of each query's attention in each layer in which queries read; what goes to camera and
        register tokens is not in it.
    """
    decoder, aggregator = model.query_decoder, model.vggt.aggregator
    unread = len(aggregator.global_blocks) - len(decoder.cross_blocks)
    grid = (images.shape[-2] // aggregator.patch_embed.patch_size, images.shape[-1] // aggregator.patch_embed.patch_size)
    queries, chosen = decoder.first_queries(1), torch.as_tensor(list(rows), device=images.device)
    maps: list[Tensor] = []

    def on_layer(layer: int, tokens: Tensor) -> None:
        nonlocal queries
        if layer < unread:
            return
        block = decoder.cross_blocks.get_submodule(str(layer - unread))
        if isinstance(block, CrossBlock):
            own = token_attention(block.attn, block.norm_q(queries[:, chosen]), block.norm_kv(tokens))
            patches = own.unflatten(-1, (images.shape[1], -1))[..., aggregator.num_special :]
            maps.append(patches.unflatten(-1, grid)[0].float())
        queries, _ = decoder.step(layer - unread, queries, tokens, None)

    model.vggt.features(images, aggregator_dtype=aggregator_dtype, on_layer=on_layer)
    return torch.stack(maps)
