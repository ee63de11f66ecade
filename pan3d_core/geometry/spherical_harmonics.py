"""Real spherical harmonics of any degree, signs as in 3D Gaussian splatting (Condon-Shortley phase kept)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

CONSTANT = 0.5 / math.sqrt(math.pi)  # the harmonic of degree 0


def harmonic_basis(directions: Tensor, degree: int) -> Tensor:
    """Evaluate real spherical harmonics.

    sin(m phi) and cos(m phi) times sin(theta)^m are polynomials in x and y; what remains of the associated Legendre functions
    is a polynomial in z with the usual recurrence over l.

    Args:
        directions: (..., 3) unit vectors.
        degree: Highest l.

    Returns:
        (..., (degree + 1)^2) values, entry l (l + 1) + m for order m of degree l.
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


def turned_harmonics(coefficients: Tensor, rotation: Tensor) -> Tensor:
    """Return the coefficients of a thing that was turned: it shows in R d what it showed in d.

    The values of the old harmonics at turned-back directions are harmonics of the same degree, so their coefficients follow
    without error from as many directions in general position; the rotation of every degree by itself comes out of that.

    Args:
        coefficients: (..., K, 3).
        rotation: (3, 3), R.

    Returns:
        (..., K, 3).
    """
    degree = _degree_of(coefficients)
    if degree == 0:
        return coefficients
    directions = sphere_directions(4 * (degree + 1) ** 2).to(coefficients.device)
    old = harmonic_basis(directions @ rotation.double(), degree)
    new_from_old: Tensor = torch.linalg.lstsq(harmonic_basis(directions, degree), old).solution
    return new_from_old.to(coefficients.dtype) @ coefficients


def sphere_directions(count: int) -> Tensor:
    """(count, 3) float64 unit directions, evenly over the sphere along a spiral with golden steps."""
    step = torch.arange(count, dtype=torch.float64)
    z = 1 - (2 * step + 1) / count
    around = step * math.pi * (3 - math.sqrt(5))
    flat = (1 - z.square()).sqrt()
    return torch.stack([flat * around.cos(), flat * around.sin(), z], dim=-1)


def _degree_of(coefficients: Tensor) -> int:
    degree = math.isqrt(coefficients.shape[-2]) - 1
    if (degree + 1) ** 2 != coefficients.shape[-2] or degree < 0:
        raise ValueError(f"coefficients: expected a square number of them per colour, got {coefficients.shape[-2]}")
    return degree


def harmonic_colors(coefficients: Tensor, directions: Tensor) -> Tensor:
    """Return the colours that coefficients show in directions.

    The constant 0.5 is added, so that coefficients of zero mean grey (Kerbl et al. 2023).

    Args:
        coefficients: (..., K, 3), K a square number.
        directions: (..., 3) unit vectors.

    Returns:
        RGB (..., 3) >= 0.
    """
    basis = harmonic_basis(directions, _degree_of(coefficients))
    return ((basis[..., None, :] @ coefficients)[..., 0, :] + 0.5).clamp_min(0.0)
