"""SegVGGT: object queries that read VGGT's tokens after every layer, and a feature map to compare them with.

The network owns a VGGT and reads its tokens; queries never feed back, so the geometry is that of the
VGGT inside. `official_name` turns names of this module into those of the published checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.models.layers.dpt import DPT, add_grid_embedding, fused_chunks, resize
from pan3d_core.models.layers.transformer import Block, Dense, LayerScale, LoraLinear, Mlp
from pan3d_core.models.vggt.network import VGGT, VggtOutput, vggt_1b

OFFICIAL_PREFIXES = (
    ("query_decoder.token", "aggregator.instance_query_token"),
    ("query_decoder.cross_blocks.", "aggregator.instance_cross_blocks."),
    ("query_decoder.self_blocks.", "aggregator.instance_query_self_attn."),
    ("query_decoder.project.", "aggregator.instance_queries_proj."),
    ("vggt.", ""),
)


def official_name(name: str) -> str:
    """Return the name in the published checkpoints of the parameter `name` of `SegVGGT`."""
    for prefix, official in OFFICIAL_PREFIXES:
        if name.startswith(prefix):
            return official + name.removeprefix(prefix)
    return name


class CrossAttention(nn.Module):
    """Queries attend to tokens; normalised queries and keys, no positions."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = Dense(dim, dim)
        self.k_proj = Dense(dim, dim)
        self.v_proj = Dense(dim, dim)
        self.q_norm = nn.LayerNorm(dim // num_heads)
        self.k_norm = nn.LayerNorm(dim // num_heads)
        self.proj = Dense(dim, dim)

    def forward(self, queries: Tensor, tokens: Tensor, num_frames: int | None = None) -> tuple[Tensor, Tensor | None]:
        """(B, Q, dim), (B, S P, dim) -> (B, Q, dim) and, when `num_frames` = S is given, frame attention (B, Q, S).

        Frame attention is the mean over heads and over the P tokens of a frame (it sums to 1 / P over
        frames). It needs the explicit attention matrix, so it costs memory and time.
        """
        q, k, v = self.q_proj(queries), self.k_proj(tokens), self.v_proj(tokens)
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)) for part in (q, k, v))
        q, k, v = (part.transpose(1, 2) for part in (self.q_norm(q), self.k_norm(k), v))
        frame_attention = None
        if num_frames is None:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            attention = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
            frame_attention = attention.mean(1).unflatten(-1, (num_frames, -1)).mean(-1)
            mixed = attention.to(v.dtype) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2)), frame_attention


class CrossBlock(nn.Module):
    """Pre-norm cross-attention and MLP; without gradient tracking the queries are updated in place."""

    def __init__(self, dim: int, num_heads: int, *, init_scale: float = 0.01) -> None:
        super().__init__()
        self.norm_q = nn.LayerNorm(dim)
        self.norm_kv = nn.LayerNorm(dim)
        self.attn = CrossAttention(dim, num_heads)
        self.ls1 = LayerScale(dim, init_scale)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.ls2 = LayerScale(dim, init_scale)

    def forward(self, queries: Tensor, tokens: Tensor, num_frames: int | None = None) -> tuple[Tensor, Tensor | None]:
        """As `CrossAttention`."""
        update, frame_attention = self.attn(self.norm_q(queries), self.norm_kv(tokens), num_frames)
        queries = self.ls1(queries, update)
        return self.ls2(queries, self.mlp(self.norm2(queries))), frame_attention


class QueryDecoder(nn.Module):
    """Learned queries and what happens to them after each layer of the aggregator."""

    def __init__(
        self, dim: int = 1024, *, num_queries: int = 400, depth: int = 24, num_heads: int = 16, embedding_dim: int = 128
    ) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, num_queries, dim) * 1e-6)
        self.cross_blocks = nn.ModuleList([CrossBlock(dim, num_heads) for _ in range(depth)])
        self.self_blocks = nn.ModuleList([Block(dim, num_heads, qk_norm=True, mlp=Mlp(dim, dim)) for _ in range(depth)])
        self.project = nn.Linear(dim, embedding_dim)

    def first_queries(self, batch: int) -> Tensor:
        """(batch, Q, dim), a copy that the blocks may change."""
        return self.token.repeat(batch, 1, 1)

    def step(self, layer: int, queries: Tensor, tokens: Tensor, num_frames: int | None) -> tuple[Tensor, Tensor | None]:
        """Queries after `layer`, and its frame attention (B, Q, S) when `num_frames` is given."""
        queries, frame_attention = self.cross_blocks[layer](queries, tokens, num_frames)
        return self.self_blocks[layer](queries), frame_attention


@dataclass(frozen=True)
class SegVggtOutput:
    """Raw predictions for (B, S) views; masks are products, made only for the queries that are wanted."""

    geometry: VggtOutput
    query_embeddings: Tensor  # (B, Q, D)
    feature_map: Tensor  # (B, S, H // 2, W // 2, D)
    class_logits: Tensor  # (B, Q, C + 1), last column = no match
    frame_attention: Tensor | None = None  # (L, B, Q, S) mean attention per token of a frame

    def mask_logits(self, query_index: Tensor | None = None) -> Tensor:
        """(B, Q', S, H // 2, W // 2), of all queries or of the rows `query_index` (Q',)."""
        embeddings = self.query_embeddings if query_index is None else self.query_embeddings[:, query_index]
        return torch.einsum("bqd,bshwd->bqshw", embeddings, self.feature_map)


def instance_feature_map(head: DPT, features: dict[int, Tensor], image_hw: tuple[int, int], grid_hw: tuple[int, int]) -> Tensor:
    """Half-resolution features to compare queries with: (B, S, H // 2, W // 2, D).

    They pass through full resolution, where the grid embedding is added: resizing at once differs by 2 %.
    """
    aspect = image_hw[1] / image_hw[0]
    half = (image_hw[0] // 2, image_hw[1] // 2)
    maps = [
        resize(add_grid_embedding(resize(fused, image_hw), aspect), half).permute(0, 2, 3, 1)
        for fused in fused_chunks(head, features, grid_hw, aspect)
    ]
    joined: Tensor = torch.cat(maps).unflatten(0, next(iter(features.values())).shape[:2])
    return joined


class SegVGGT(nn.Module):
    """VGGT without point head, object queries, and the instance head (`scratch.output_instance` classifies)."""

    def __init__(self, vggt: VGGT, query_decoder: QueryDecoder, semantic_head: DPT) -> None:
        super().__init__()
        self.vggt = vggt
        self.query_decoder = query_decoder
        self.semantic_head = semantic_head

    def forward(
        self, images: Tensor, *, aggregator_dtype: torch.dtype | None = None, frame_attention: bool = False
    ) -> SegVggtOutput:
        """(B, S, 3, H, W) RGB 0..1 -> `SegVggtOutput`.

        `frame_attention` asks for the masses that the FADA loss compares with visibility (training
        only). `aggregator_dtype` as in `VGGT.features`; everything after the aggregator is float32.
        """
        batch, num_frames = images.shape[:2]
        image_hw = (images.shape[-2], images.shape[-1])
        queries = self.query_decoder.first_queries(batch)
        masses: list[Tensor] = []
        # Fewer blocks of queries than layers belong to the last ones.
        unread = len(self.vggt.aggregator.global_blocks) - len(self.query_decoder.cross_blocks)

        def on_layer(layer: int, tokens: Tensor) -> None:
            nonlocal queries
            if layer < unread:
                return
            queries, mass = self.query_decoder.step(layer - unread, queries, tokens, num_frames if frame_attention else None)
            if mass is not None:
                masses.append(mass)

        features = self.vggt.features(images, aggregator_dtype=aggregator_dtype, on_layer=on_layer)
        patch_size = self.vggt.aggregator.patch_embed.patch_size
        grid_hw = (image_hw[0] // patch_size, image_hw[1] // patch_size)
        with torch.autocast(images.device.type, enabled=False):
            feature_map = instance_feature_map(self.semantic_head, features, image_hw, grid_hw)
            embeddings = self.query_decoder.project(queries.float())
            return SegVggtOutput(
                geometry=self.vggt.predict(features, image_hw),
                query_embeddings=embeddings,
                feature_map=feature_map,
                class_logits=self.semantic_head.scratch.output_instance(embeddings),
                frame_attention=torch.stack(masses) if frame_attention else None,
            )


def class_head(dim: int, hidden: int, num_classes: int) -> nn.Sequential:
    """Projected query -> class logits, the last one meaning "no match"."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, num_classes + 1))


def segvggt_1b(num_classes: int) -> SegVGGT:
    """Build the published size: 400 queries, LoRA of rank 32 and alpha 32; 18 (ScanNet) or 198 (ScanNet200) classes.

    Build it under `torch.device("meta")`, load weights with `name_in_file=official_name`, and call
    `layers.merge_lora` for inference.
    """
    vggt = vggt_1b(point_head=False, linear=partial(LoraLinear, rank=32, alpha=32))
    return SegVGGT(vggt, QueryDecoder(), DPT(output_instance=class_head(128, 32, num_classes)))
