"""Batches between devices."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def to_device(value: T, device: torch.device) -> T:
    """Every tensor of a tensor, dataclass, dict, list or tuple on `device`; other things as they are."""
    return _mapped(value, lambda tensor: tensor.to(device, non_blocking=True))


def tensors_of(value: Any) -> list[Tensor]:
    """Every tensor in a tensor, dataclass, dict, list or tuple."""
    found: list[Tensor] = []
    _mapped(value, lambda tensor: found.append(tensor) or tensor)
    return found


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{item.name: _mapped(getattr(value, item.name), change) for item in fields(value)})
    if isinstance(value, dict):
        return {name: _mapped(entry, change) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(entry, change) for entry in value)
    return value
