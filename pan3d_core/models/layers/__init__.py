"""Parts that the published families share: transformer blocks, the patch encoder, dense heads; they know tensors alone."""

from pan3d_core.models.layers.dpt import DPT, Fusion, TapPyramid, dense_maps, dense_output, fused_chunks
from pan3d_core.models.layers.patch_encoder import PatchEncoder, PatchProjection
from pan3d_core.models.layers.plain_block import PlainBlock
from pan3d_core.models.layers.transformer import (
    Attention,
    Block,
    Dense,
    LayerScale,
    LinearBuilder,
    LoraLinear,
    Mlp,
    Rope2d,
    SwiGlu,
    add_lora,
    lora_rows,
    merge_lora,
)

__all__ = [
    "Attention",
    "Block",
    "DPT",
    "Dense",
    "Fusion",
    "LayerScale",
    "LinearBuilder",
    "LoraLinear",
    "Mlp",
    "PatchEncoder",
    "PatchProjection",
    "PlainBlock",
    "Rope2d",
    "SwiGlu",
    "TapPyramid",
    "add_lora",
    "dense_maps",
    "dense_output",
    "fused_chunks",
    "lora_rows",
    "merge_lora",
]
