"""EPS3D at any size, and its files: tensors under the official names, and in the metadata which network and text space."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from pan3d_core.language.encoders import TEXT_ENCODERS
from pan3d_core.language.known_names import KnownNames
from pan3d_core.models.eps3d.heads import ImageDpt, Sem2Ins, TextDecoder
from pan3d_core.models.eps3d.network import FEATURES, VOXEL_SIZE, Eps3d, PanopticHeads, official_name, raw_channels
from pan3d_core.models.vggt.sizes import VggtSizes, vggt_of
from pan3d_core.runtime.checksums import write_weights
from pan3d_core.runtime.weights import assign_weights, read_content, read_weights
from pan3d_core.settings import read_settings, to_plain

FORMAT = "pan3d-eps3d/1"
NAMES = "names.embeddings"  # of the words that the network learnt


@dataclass(frozen=True)
class Eps3dSizes(VggtSizes):
    """Sizes of an EPS3D; the defaults are the published ones."""

    text_channels: int = 512  # of the text encoder that its semantics are compared in
    voxel_size: float = VOXEL_SIZE


@dataclass(frozen=True)
class Eps3dContent:
    """What a file says beside its tensors."""

    sizes: Eps3dSizes
    encoder: str  # a key of `TEXT_ENCODERS`, in whose space semantics and texts are compared
    height: int  # pixels of the pictures in training
    width: int
    facts: dict[str, Any]  # how it was made, plain values
    names: tuple[str, ...] = ()  # words whose embeddings the file holds
    class_names: tuple[str, ...] = ()  # the class of each

    def __post_init__(self) -> None:
        if self.encoder not in TEXT_ENCODERS:
            raise ValueError(f"encoder: expected one of {', '.join(TEXT_ENCODERS)}, got {self.encoder!r}")
        if len(self.names) != len(self.class_names):
            raise ValueError(f"class_names: expected {len(self.names)} as there are names, got {len(self.class_names)}")


def build_eps3d(sizes: Eps3dSizes) -> Eps3d:
    """Build an EPS3D of any size with random weights."""

    def head(channels: int) -> ImageDpt:
        return ImageDpt(
            channels, features=sizes.features, dim=2 * sizes.dim, out_channels=sizes.out_channels, layers=sizes.layers
        )

    heads = PanopticHeads(head(FEATURES), head(FEATURES), Sem2Ins(FEATURES), TextDecoder(FEATURES, sizes.text_channels))
    return Eps3d(vggt_of(sizes), head(raw_channels()), heads, voxel_size=sizes.voxel_size)


def save_eps3d(model: Eps3d, content: Eps3dContent, known: KnownNames | None, path: str | Path) -> None:
    """Write a network to one safetensors file.

    Args:
        model: The network.
        content: What the file says of it.
        known: Words with their embeddings in the text space; None = it learnt none by name.
        path: The file; an older one is replaced.
    """
    tensors = {official_name(name): value for name, value in model.state_dict().items()}
    own = [item.name for item in fields(Eps3dSizes)]
    plain = {**to_plain(content), "sizes": {name: to_plain(getattr(content.sizes, name)) for name in own}}
    if known is not None:
        tensors[NAMES] = known.embeddings
        plain |= {"names": list(known.names), "class_names": list(known.class_names)}
    write_weights(path, tensors, {"format": FORMAT, "content": json.dumps(plain)})


def load_own_eps3d(path: str | Path) -> tuple[Eps3d, Eps3dContent, KnownNames | None]:
    """Load a file of `save_eps3d`.

    Args:
        path: The file.

    Returns:
        The network in evaluation mode on the CPU, what the file says of it, and the words that it knows.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or of another model or format version, says what is no network, or its tensors do not fit.
    """
    found = read_weights(path)
    content = read_settings(Eps3dContent, read_content(path, FORMAT), "content")
    embeddings = found.pop(NAMES, None)
    known = None
    if content.names:
        if embeddings is None or embeddings.shape != (len(content.names), content.sizes.text_channels):
            shape = None if embeddings is None else tuple(embeddings.shape)
            raise ValueError(
                f"weights: expected {NAMES} of shape {(len(content.names), content.sizes.text_channels)} in {path}, got {shape}"
            )
        known = KnownNames(content.names, content.class_names, embeddings.float())
    with torch.device("meta"):
        model = build_eps3d(content.sizes)
    assign_weights(model, found, origin=path, name_in_file=official_name)
    return model.eval(), content, known
