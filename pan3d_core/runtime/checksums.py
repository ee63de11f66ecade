"""Weight files that know what is in them: a checksum in a safetensors file's metadata, checked whenever the file is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pan3d_core.runtime.files import written_whole

CHECKSUM = "checksum"  # key of the metadata


def checksum_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Sum up names, kinds, shapes and values of tensors, and the words beside them.

    Args:
        tensors: By name, on the CPU.
        metadata: Words by name; a checksum among them is left aside.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    words = {name: text for name, text in metadata.items() if name != CHECKSUM}
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_checksum(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Refuse a file whose content is not what it was when it was written; one without a checksum passes.

    Args:
        path: Of the file, for the error.
        tensors: That it holds.
        metadata: That it holds.

    Raises:
        ValueError: The checksum is of another content; names the file.
    """
    expected = metadata.get(CHECKSUM)
    if expected is not None and (found := checksum_of(tensors, metadata)) != expected:
        raise ValueError(
            f"weights: expected content with checksum {expected[:16]}..., got {path} with {found[:16]}...: the file is damaged"
        )


def read_stored(path: Path | str, name: str, expected: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what a safetensors file holds, on the CPU; nobody has checked what that means.

    Args:
        path: The file.
        name: What the file is to its reader, for errors: `"scene"`.
        expected: What it should be, for errors: `"a file of 3D Gaussians"`.

    Returns:
        Tensors by name, and words by name.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no complete safetensors file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{name}: expected {expected}, got {Path(path).absolute()}, which does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{name}: expected a complete safetensors file, got {path} ({error})") from error


def write_weights(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file with a checksum, whole or not at all.

    Args:
        path: The file; an older one is replaced.
        tensors: By name.
        metadata: Words by name.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Not `save_file`, whose files nobody else may read, whatever the user's mask says.
    content = save(held, {**metadata, CHECKSUM: checksum_of(held, metadata)})
    with written_whole(path) as part:
        part.write_bytes(content)
