"""Inputs for loss tests that need no random numbers, and the comparison of gradients with finite differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def waves(*shape: int, seed: float = 0.0) -> Tensor:
    """float64 values in 0..1 that look irregular and are the same everywhere."""
    count = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (0.5 + 0.5 * torch.sin(12.9898 * (count + 1) + 78.233 * (seed + 1)) * torch.cos(0.37 * count)).reshape(shape)


def check_gradient(loss: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Analytic gradients of a scalar loss against central differences in float64."""
    leaves = tuple(value.detach().clone().requires_grad_() for value in inputs)
    assert torch.autograd.gradcheck(loss, leaves, eps=1e-6, atol=1e-5, rtol=1e-4)


def assert_zero_with_gradient(loss: Tensor, *inputs: Tensor) -> None:
    """A degenerate loss is 0 and still lets the training step run: gradients exist and are 0."""
    assert float(loss.detach()) == 0
    for gradient in torch.autograd.grad(loss, inputs, allow_unused=True):
        assert gradient is None or not gradient.any()
