"""Where a network runs."""

from __future__ import annotations

import torch


def select_device(name: str) -> torch.device:
    """Choose where a network runs.

    Args:
        name: `ModelConfig.device`; "auto" takes the first CUDA device when there is one.

    Raises:
        ValueError: This machine has no such device, or the name is unknown.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"ModelConfig.device: expected auto, cpu, cuda or cuda:N, got {name!r}") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ValueError(f"ModelConfig.device: expected one of {count} CUDA devices of this machine, got {name!r}")
    return device


def autocast_dtype(precision: str) -> torch.dtype | None:
    """`ModelConfig.precision` -> type of matrix products under autocast; None = float32, no autocast."""
    return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
