"""Checkpoint files of FAST3DIS: tensors and, in the metadata, which network they belong to and how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from pan3d_core.models.da3.network import DA3_VARIANTS, Da3Settings, assign_official
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.fast3dis.map_anchors import MapAnchors, MapAnchorsSettings
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disSettings
from pan3d_core.models.mapanything import MapAnythingSizes
from pan3d_core.runtime.checksums import write_weights
from pan3d_core.runtime.weights import read_content, read_weights
from pan3d_core.settings import read_settings

FORMAT = "pan3d-fast3dis/1"
ANY_VIEW = tuple(name for name, settings in DA3_VARIANTS.items() if settings.is_any_view)
MAP_ANYTHING = "map_anything"  # the group of a base that is one
Network = Fast3dis | MapAnchors
NetworkSettings = Fast3disSettings | MapAnchorsSettings
# The ray outputs share one norm, which the model lists once per stage and files hold once.
_SHARED = "output_conv2_aux.{stage}.2."


def build_fast3dis(settings: NetworkSettings) -> Network:
    """Build the network that settings mean, with random weights."""
    return MapAnchors(settings) if isinstance(settings, MapAnchorsSettings) else Fast3dis(settings)


def save_fast3dis(model: Network, facts: Mapping[str, Any], path: str | Path) -> None:
    """Write a network to one safetensors file.

    Args:
        model: The network.
        facts: Plain values of how it was made: data, schedule, seed, figures, licence of the base.
        path: The file; an older one is replaced.
    """
    tensors = {
        name: value.detach().contiguous().cpu()
        for name, value in model.state_dict().items()
        if not any(_SHARED.format(stage=stage) in name for stage in (1, 2, 3))
    }
    content = {**content_of(model.settings), "facts": dict(facts)}
    write_weights(path, tensors, {"format": FORMAT, "content": json.dumps(content)})


def load_fast3dis(path: str | Path) -> tuple[Network, dict[str, Any]]:
    """Load a file of `save_fast3dis`.

    Args:
        path: The file.

    Returns:
        The network in evaluation mode on the CPU, and how it was made.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or of another model or format version, its settings mean no network, or its tensors do not fit
            the settings.
    """
    found, content = read_weights(path), read_content(path, FORMAT)
    with torch.device("meta"):
        model = build_fast3dis(settings_of(content))
    assign_official(model, found, path)
    return model.eval(), content["facts"]


def content_of(settings: NetworkSettings) -> dict[str, Any]:
    """Return plain values that `settings_of` reads back; a published Depth Anything 3 is only named."""
    own = {"decoder": asdict(settings.decoder), "lora_rank": settings.lora_rank, "lora_alpha": settings.lora_alpha}
    if isinstance(settings, MapAnchorsSettings):
        return {"base": {MAP_ANYTHING: asdict(settings.base)}, **own}
    named = next((name for name in ANY_VIEW if DA3_VARIANTS[name] == settings.base), None)
    # Files from before there was a choice say nothing of the blocks.
    blocks = {} if settings.lora_blocks == "cross_view" else {"lora_blocks": settings.lora_blocks}
    return {"base": named or asdict(settings.base), **own, **blocks}


def settings_of(content: Mapping[str, Any]) -> NetworkSettings:
    """Read settings from plain values; `ValueError` names what is missing, unknown or of another type."""
    base = content.get("base")
    if isinstance(base, str):
        if base not in ANY_VIEW:
            raise ValueError(f"base: expected one of {', '.join(ANY_VIEW)} or settings, got {base!r}")
        base = DA3_VARIANTS[base]
    elif isinstance(base, Mapping) and MAP_ANYTHING in base:
        base = read_settings(MapAnythingSizes(), base[MAP_ANYTHING], f"base.{MAP_ANYTHING}")
    else:
        base = read_settings(Da3Settings, base, "base")
        if not base.is_any_view:
            raise ValueError("base.backbone.first_cross_view: expected a block, because views must meet, got None")
    rank, alpha = content.get("lora_rank"), content.get("lora_alpha")
    if type(rank) is not int or rank < 1:
        raise ValueError(f"lora_rank: expected 1 or more, got {rank!r}")
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
        raise ValueError(f"lora_alpha: expected a number, got {alpha!r}")
    decoder = read_settings(AnchorSettings, content.get("decoder"), "decoder")
    if isinstance(base, MapAnythingSizes):
        return MapAnchorsSettings(base, decoder, rank, float(alpha))
    return Fast3disSettings(base, decoder, rank, float(alpha), content.get("lora_blocks", "cross_view"))
