"""Weight files: read safely, compared name by name with the model, assigned without a second copy."""

from __future__ import annotations

import json
import logging
import pickle
import struct
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pan3d_core.runtime.checksums import check_checksum

logger = logging.getLogger("pan3d.weights")

WRAPPING_KEYS = ("model", "state_dict")
WRAPPING_PREFIX = "module."
# A name by which a family's checkpoints are known, the more special family first: for a helpful message about a mixed-up file.
FAMILY_SIGNATURES = {
    "FAST3DIS": "pixels.inject.weight",
    "EPS3D": "encoder.sem2ins_fusion.w_1",
    "AnySplat": "encoder.aggregator.camera_token",
    "SegVGGT": "aggregator.instance_query_token",
    "VGGT": "aggregator.camera_token",
    "nested Depth Anything 3": "da3_metric.backbone.pretrained.cls_token",
    "Depth Anything 3": "backbone.pretrained.cls_token",
    "MapAnything": "scale_token",
}
LISTED_NAMES = 8
# What the readers of files raise for damage: their own errors, and what they stumble over in content that is no weights.
_DAMAGE = (
    SafetensorError, RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, OSError,
    OverflowError, MemoryError, struct.error,
)  # fmt: skip


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a file of weights, on the CPU, memory-mapped.

    A state dict wrapped as `{"model": ...}` or `{"state_dict": ...}` or with names prefixed `module.` is unwrapped.

    Args:
        path: A `.safetensors`, `.pt`, `.pth`, `.bin` or `.ckpt` file.

    Returns:
        Name -> tensor.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or has another content than its checksum says, holds anything but tensors (Python objects are
            never unpickled) or has another ending.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights: expected a file, got {path.absolute()}, which {'is a folder' if path.is_dir() else 'does not exist'}"
        )
    content: object
    if path.suffix == ".safetensors":
        content = _read_safetensors(path)
    elif path.suffix in (".pt", ".pth", ".bin", ".ckpt"):
        content = _read_torch(path)
    elif path.suffix == ".onnx":
        raise ValueError(
            f"weights: expected a checkpoint, got {path}, a network written by pan3d export; name the checkpoint that it was "
            "written from, and model.runtime finds the network"
        )
    else:
        raise ValueError(f"weights: expected a .safetensors, .pt, .pth, .bin or .ckpt file, got {path.name}")
    return unwrap(content, path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors = load_file(path)
    except _DAMAGE as error:
        raise ValueError(
            f"weights: expected a complete safetensors file, got {path} ({error}); was the download cut short?"
        ) from error
    check_checksum(path, tensors, read_metadata(path))
    return tensors


def read_metadata(path: str | Path) -> dict[str, str]:
    """The words that a safetensors file carries beside its tensors; empty for files of other kinds. Errors as `read_weights`."""
    path = Path(path)
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except _DAMAGE as error:
        raise ValueError(f"weights: expected a complete safetensors file, got {path} ({error})") from error


def read_content(path: str | Path, format: str) -> dict[str, Any]:
    """Read what a file of weights says, as JSON in its metadata, of what the tensors are.

    Args:
        path: A safetensors file.
        format: That it must be of.

    Returns:
        The content, in which `facts` tell how it was made.

    Raises:
        ValueError: The file is damaged, or of another format, or its content is no JSON with facts.
    """
    metadata = read_metadata(path)
    if metadata.get("format") != format:
        raise ValueError(
            f"weights: expected a checkpoint of format {format!r}, got {path} of format "
            f"{metadata.get('format', 'unknown')!r}; is it for another model?"
        )
    try:
        content = json.loads(metadata.get("content", ""))
    except json.JSONDecodeError as error:
        raise ValueError(f"weights: expected JSON as metadata 'content' of {path}, got {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("facts"), dict):
        raise ValueError(f"weights: expected settings and facts as metadata 'content' of {path}, got {content!r:.80}")
    return content


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"weights: expected tensors only, got {path} with other Python objects, which are not loaded") from error
    except _DAMAGE as error:
        first_line = str(error).splitlines()[0] if str(error) else "unexpected end"
        raise ValueError(
            f"weights: expected a complete PyTorch file, got {path} ({first_line}); was the download cut short?"
        ) from error


def unwrap(content: object, origin: Path) -> dict[str, Tensor]:
    """The plain state dict inside the usual wrappings; `ValueError` when there is none."""
    while isinstance(content, dict):
        inner = next((content[key] for key in WRAPPING_KEYS if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"weights: expected names with tensors, got {origin} with {type(content).__name__} of other things")
    if all(name.startswith(WRAPPING_PREFIX) for name in content):
        return {name.removeprefix(WRAPPING_PREFIX): value for name, value in content.items()}
    return content


def family_of(names: Collection[str]) -> str | None:
    """The model family that parameter names belong to, None = not a known one."""
    return next((family for family, signature in FAMILY_SIGNATURES.items() if signature in names), None)


def mismatch_report(expected: dict[str, Tensor], found: dict[str, Tensor]) -> str:
    """What differs between two sets of named tensors; empty when names and shapes agree."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    shapes = [
        f"{name} expected {tuple(expected[name].shape)}, got {tuple(found[name].shape)}"
        for name in expected
        if name in found and expected[name].shape != found[name].shape
    ]
    lines = []
    shared = len(expected) - len(missing)
    if shared < len(expected) / 2:
        family = family_of(found)
        hint = f"; it looks like {family}" if family and family != family_of(expected) else ""
        lines.append(f"checkpoint of another model: {shared} of {len(expected)} names agree{hint}")
    for label, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes)):
        if names:
            more = f" and {len(names) - LISTED_NAMES} more" if len(names) > LISTED_NAMES else ""
            lines.append(f"{len(names)} {label}: {', '.join(names[:LISTED_NAMES])}{more}")
    return "\n  ".join(lines)


def assign_weights(
    model: nn.Module,
    found: dict[str, Tensor],
    *,
    origin: str | Path,
    name_in_file: Callable[[str], str] = str,
    ignored_prefixes: tuple[str, ...] = (),
) -> None:
    """Give a model its tensors, strictly: every name and shape must agree.

    The model may live on the meta device; its parameters become the given tensors, converted to the parameter's dtype where it
    differs.

    Args:
        model: Is unchanged when anything disagrees.
        found: Name -> tensor.
        origin: Of the tensors, for the error.
        name_in_file: Turns a name of the model into that in `found`.
        ignored_prefixes: Names in `found` that begin with one of these are skipped (a head this project does not run).

    Raises:
        ValueError: Lists missing, unexpected and mis-shaped names of `origin`.
    """
    found = {name: value for name, value in found.items() if not name.startswith(ignored_prefixes)}
    state = model.state_dict()
    report = mismatch_report({name_in_file(name): value for name, value in state.items()}, found)
    if report:
        raise ValueError(f"weights: {origin} does not fit {type(model).__name__}\n  {report}")
    assigned = {name: found[name_in_file(name)].to(value.dtype) for name, value in state.items()}
    model.load_state_dict(assigned, strict=True, assign=True)
    logger.info("loaded %d tensors from %s", len(assigned), origin)


def load_weights(
    model: nn.Module,
    path: str | Path,
    *,
    name_in_file: Callable[[str], str] = str,
    ignored_prefixes: tuple[str, ...] = (),
) -> None:
    """Read a file of weights and give them to a model, strictly.

    Args:
        model: Is unchanged when anything disagrees.
        path: As for `read_weights`.
        name_in_file: Turns a name of the model into that in the file.
        ignored_prefixes: Names in the file that begin with one of these are skipped.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or a name or shape does not agree; see `read_weights` and `assign_weights`.
    """
    found = read_weights(path)
    assign_weights(model, found, origin=path, name_in_file=name_in_file, ignored_prefixes=ignored_prefixes)
