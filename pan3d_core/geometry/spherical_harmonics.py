"""Real spherical harmonics of any degree, signs as in 3D Gaussian splatting (Condon-Shortley phase kept)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def harmonic_basis(directions: Tensor, degree: int) -> Tensor:
    """(..., 3) unit directions -> (..., (degree + 1)^2) basis values, entry l (l + 1) + m for order m of degree l.

    sin(m phi) and cos(m phi) times sin(theta)^m are polynomials in x and y; what remains of the associated Legendre functions
    is a polynomial in z with the usual recurrence over l.
    """
    x, y, z = directions.unbind(-1)
    around = [(torch.ones_like(x), torch.zeros_like(x))]  # (cosine, sine) part of each order
    for _ in range(degree):
        cosine, sine = around[-1]
        around.append((x * cosine - y * sine, x * sine + y * cosine))
    values: dict[tuple[int, int], Tensor] = {}
    for order, (cosine, sine) in enumerate(around):
        before, along = torch.zeros_like(z), torch.full_like(z, (-1.0) ** order * math.prod(range(1, 2 * order, 2)))
        for level in range(order, degree + 1):
            if level > order:
                before, along = along, ((2 * level - 1) * z * along - (level + order - 1) * before) / (level - order)
            size = (2 * level + 1) / (4 * math.pi) * math.factorial(level - order) / math.factorial(level + order)
            scaled = along * math.sqrt(size if order == 0 else 2 * size)
            values[level, order] = scaled * cosine
            if order:
                values[level, -order] = scaled * sine
    return torch.stack([values[level, m] for level in range(degree + 1) for m in range(-level, level + 1)], dim=-1)


def harmonic_colors(coefficients: Tensor, directions: Tensor) -> Tensor:
    """(..., K, 3) coefficients, K a square number, and (..., 3) unit directions -> RGB (..., 3) >= 0.

    The constant 0.5 is added, so that coefficients of zero mean grey (Kerbl et al. 2023).
    """
    degree = math.isqrt(coefficients.shape[-2]) - 1
    if (degree + 1) ** 2 != coefficients.shape[-2] or degree < 0:
        raise ValueError(f"coefficients: expected a square number of them per colour, got {coefficients.shape[-2]}")
    basis = harmonic_basis(directions, degree)
    return ((basis[..., None] * coefficients).sum(-2) + 0.5).clamp_min(0.0)
