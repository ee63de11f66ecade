"""Batches between devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)


def to_device(value: T, device: torch.device) -> T:
    """Every tensor of a tensor, dataclass, dict, list or tuple on `device`; other things as they are."""
    moved: T = mapped(value, lambda tensor: tensor.to(device, non_blocking=True))
    return moved


def tensors_of(value: Any) -> list[Tensor]:
    """Every tensor in a tensor, dataclass, dict, list or tuple."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(value, keep)
    return found


def channels_last(model: M) -> M:
    """The model with its convolutions' weights in the order in which CPUs are fastest."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's own types
    return model


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Every tensor of a tensor, dataclass, dict, list or tuple changed; other things as they are."""
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{item.name: mapped(getattr(value, item.name), change) for item in fields(value)})
    if isinstance(value, dict):
        return {name: mapped(entry, change) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(entry, change) for entry in value)
    return value
