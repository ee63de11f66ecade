"""Official files of MapAnything: one tensor under several names, since its modules are held in several places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.models.mapanything.network import MapAnything, MapAnythingSizes
from pan3d_core.runtime.weights import assign_weights, read_weights

PLACES = (("dpt_feature_head.", "dense_head.0."), ("dpt_regressor_head.", "dense_head.1."))


def canonical_name(name: str) -> str:
    """The name in `MapAnything` of a tensor that a file may have under another one."""
    name = name.removeprefix("model.")
    for place, canonical in PLACES:
        name = name.replace(place, canonical, 1) if name.startswith(place) else name
    name = re.sub(r"scratch\.layer(\d)_rn\.", lambda found: f"input_process.{int(found[1]) - 1}.1.", name)
    return re.sub(r"scratch\.layer_rn\.(\d)\.", r"input_process.\1.1.", name)


def canonical_weights(found: Mapping[str, Tensor], origin: str | Path) -> dict[str, Tensor]:
    """Each tensor of a file once. `ValueError` where two names of one tensor have different values."""
    made: dict[str, Tensor] = {}
    for name, value in found.items():
        # Repositories of weights may put the whole network under one name more; the encoder has a `model` of its own.
        own = name if name.startswith("encoder.") else canonical_name(name)
        if own in made and not torch.equal(made[own], value):
            raise ValueError(f"weights: expected one tensor under {own} and its other names, got two that differ in {origin}")
        made[own] = value
    return made


def read_map_anything(path: Path | str) -> MapAnything:
    """Read an official checkpoint.

    Args:
        path: `model.safetensors` of the hub, or a file of PyTorch's.

    Returns:
        The network, for inference.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no checkpoint of MapAnything, or a name or shape differs.
    """
    found = canonical_weights(read_weights(path), path)
    sizes = MapAnythingSizes.of_weights(found, path)
    with torch.device("meta"):
        model = MapAnything(sizes)
    assign_weights(model, found, origin=path)
    return model.eval()
