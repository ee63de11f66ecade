"""SegVGGT at any size, and its files: tensors under the official names, and in the metadata which network and classes."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pan3d_core.models.layers.dpt import DPT
from pan3d_core.models.layers.transformer import LoraLinear
from pan3d_core.models.vggt.segvggt import QueryDecoder, SegVGGT, class_head, official_name
from pan3d_core.models.vggt.sizes import VggtSizes, vggt_of
from pan3d_core.runtime.checksums import write_weights
from pan3d_core.runtime.weights import assign_weights, read_content, read_weights
from pan3d_core.settings import read_settings, to_plain

FORMAT = "pan3d-segvggt/1"


@dataclass(frozen=True)
class SegVggtSizes(VggtSizes):
    """Sizes of a SegVGGT; the defaults are the published ones."""

    queries: int = 400  # compared with pixels in half as many channels as `features`
    class_hidden: int = 32
    lora_rank: int = 32  # 0 = no low-rank corrections
    lora_alpha: float = 32.0
    query_layers: int = 0  # last layers after which queries read tokens; 0 = all, as published

    def __post_init__(self) -> None:
        if not 0 <= self.query_layers <= self.depth:
            raise ValueError(f"query_layers: expected 0 to {self.depth} as there are layers, got {self.query_layers}")


@dataclass(frozen=True)
class SegVggtContent:
    """What a file says beside its tensors."""

    sizes: SegVggtSizes
    classes: tuple[str, ...]  # of the class logits, the last of which, "no match", has no name
    width: int  # pixels of the pictures in training
    facts: dict[str, Any]  # how it was made, plain values

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes: expected at least one name and none twice, got {list(self.classes)}")
        if self.width < 1:
            raise ValueError(f"width: expected pixels, got {self.width}")


def build_segvggt(sizes: SegVggtSizes, num_classes: int) -> SegVGGT:
    """Build a SegVGGT with random weights.

    Args:
        sizes: Of the network.
        num_classes: Without "no match".

    Returns:
        The network; what its low-rank corrections correct is frozen.
    """
    linear = partial(LoraLinear, rank=sizes.lora_rank, alpha=sizes.lora_alpha) if sizes.lora_rank else nn.Linear
    decoder = QueryDecoder(
        sizes.dim, num_queries=sizes.queries, depth=sizes.query_layers or sizes.depth, num_heads=sizes.heads,
        embedding_dim=sizes.features // 2,
    )  # fmt: skip
    head = class_head(sizes.features // 2, sizes.class_hidden, num_classes)
    semantic = DPT(
        output_instance=head, dim=2 * sizes.dim, features=sizes.features, out_channels=sizes.out_channels, layers=sizes.layers
    )
    return SegVGGT(vggt_of(sizes, linear), decoder, semantic)


def save_segvggt(model: SegVGGT, content: SegVggtContent, path: str | Path) -> None:
    """Write a network to one safetensors file.

    Args:
        model: The network, low-rank corrections not merged.
        content: What the file says of it.
        path: The file; an older one is replaced.
    """
    tensors = {official_name(name): value for name, value in model.state_dict().items()}
    own = [item.name for item in fields(SegVggtSizes)]
    plain = {**to_plain(content), "sizes": {name: to_plain(getattr(content.sizes, name)) for name in own}}
    write_weights(path, tensors, {"format": FORMAT, "content": json.dumps(plain)})


def load_segvggt(path: str | Path) -> tuple[SegVGGT, SegVggtContent]:
    """Load a file of `save_segvggt`.

    Args:
        path: The file.

    Returns:
        The network in evaluation mode on the CPU, and what the file says of it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or of another model or format version, says what is no network, or its tensors do not fit.
    """
    found, content = read_weights(path), read_segvggt_content(path)
    with torch.device("meta"):
        model = build_segvggt(content.sizes, len(content.classes))
    assign_weights(model, found, origin=path, name_in_file=official_name)
    return model.eval(), content


def read_segvggt_content(path: str | Path) -> SegVggtContent:
    """Read what a file of `save_segvggt` says of its tensors. `ValueError` for another file, or one that says no network."""
    return read_settings(SegVggtContent, read_content(path, FORMAT), "content")
