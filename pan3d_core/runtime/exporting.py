"""What a network has to do without while it is written as a graph."""

from __future__ import annotations

import torch


def is_functional() -> bool:
    """Whether tensors must not be changed in place: a gradient needs what was there, and a graph of an exporter has no place."""
    return torch.is_grad_enabled() or torch.compiler.is_exporting()
