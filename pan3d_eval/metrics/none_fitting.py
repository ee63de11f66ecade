"""Is "none of these" said as often as it is right? Its two numbers fitted by maximum likelihood, and the error that remains."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from pan3d_core.language.text_space import none_softmax
from pan3d_eval.metrics.calibration import Calibration, expected_calibration_error

TEMPERATURES = (0.002, 1.0)  # that are tried: where texts never err the best temperature is 0, which no softmax can take


def fit_none(cosines: Tensor, is_there: Tensor) -> tuple[float, float]:
    """Find temperature and `none_similarity` under which `none_softmax` makes what is there likeliest.

    Args:
        cosines: (N, T) of N places with T texts, or (N,) for one text alone.
        is_there: Bool of the same shape: whether a text names what is there. Rows without any are those where none does, rows
            with several count as right by either.

    Returns:
        Temperature and none_similarity.

    Raises:
        ValueError: Shapes are others, a cosine is not finite, or no row or every row is none: then nothing says where
            none begins.
    """
    rows, there = _checked(cosines, is_there)

    def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        free = torch.from_numpy(numbers).requires_grad_()
        value = -_likely(rows, there, free[0].exp(), free[1]).log().mean()
        (slope,) = torch.autograd.grad(value, free)
        return float(value.detach()), slope.numpy()

    begin = np.array([np.log(0.07), float(rows.mean().clamp(-1, 1))])
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=[tuple(np.log(TEMPERATURES)), (-1.0, 1.0)])
    return float(np.exp(found.x[0])), float(found.x[1])


def none_calibration(cosines: Tensor, is_there: Tensor, temperature: float, none_similarity: float) -> Calibration:
    """Measure how well the probability of "none of these" agrees with how often none is there.

    Args:
        cosines: As for `fit_none`.
        is_there: As for `fit_none`.
        temperature: Of the softmax.
        none_similarity: The cosine of "none of these".

    Returns:
        Over the N rows.

    Raises:
        ValueError: As `fit_none`.
    """
    rows, there = _checked(cosines, is_there)
    p_none = none_softmax(rows, temperature, none_similarity)[:, -1]
    return expected_calibration_error(p_none.numpy(), ~there.any(dim=1).numpy())


def _likely(rows: Tensor, there: Tensor, temperature: Tensor, none_similarity: Tensor) -> Tensor:
    """(N,) probability of what is there."""
    shares = none_softmax(rows, temperature, none_similarity)
    right = torch.cat([there, ~there.any(dim=1, keepdim=True)], dim=1)
    return (shares * right).sum(1).clamp_min(1e-30)


def _checked(cosines: Tensor, is_there: Tensor) -> tuple[Tensor, Tensor]:
    if cosines.shape != is_there.shape or cosines.ndim not in (1, 2):
        shapes = f"{tuple(cosines.shape)} and {tuple(is_there.shape)}"
        raise ValueError(f"cosines, is_there: expected two of one shape (N, T) or (N,), got {shapes}")
    rows, there = cosines.detach().cpu().double(), is_there.cpu().bool()
    if rows.ndim == 1:
        rows, there = rows[:, None], there[:, None]
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("cosines: expected finite values, got NaN or infinity")
    without = int((~there.any(dim=1)).sum())
    if not 0 < without < len(there):
        raise ValueError(
            f"is_there: expected rows with a text that is there and rows without, got {without} of {len(there)} without"
        )
    return rows, there
