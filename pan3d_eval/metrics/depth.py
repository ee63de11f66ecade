"""Errors of predicted depth, as it stands (metric) and after one scale for the whole set of views."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WEISZFELD_STEPS = 10


@dataclass(frozen=True)
class DepthErrors:
    """Pooled over all valid pixels of all views; NaN when there is none."""

    abs_rel: float  # mean |d - g| / g of the depth as predicted
    rmse_m: float  # metres
    delta1: float  # share with max(d/g, g/d) < 1.25
    abs_rel_median: float  # abs_rel after multiplying by `scale_median`
    delta1_median: float
    abs_rel_l1: float  # abs_rel after multiplying by `scale_l1`
    scale_median: float  # median of g / median of d, as the public programs take it
    scale_l1: float  # argmin_s sum |s d - g|
    num_pixels: int
    delta1_l1: float = math.nan
    delta2_median: float = math.nan  # share with max(d/g, g/d) < 1.25^2
    delta3_median: float = math.nan  # < 1.25^3


def abs_rel(predicted: Tensor, truth: Tensor) -> float:
    """Measure the mean |d - g| / g over pixels where both are positive and finite.

    Args:
        predicted: Depth of any shape.
        truth: Of the same shape and unit.

    Returns:
        NaN when there is no such pixel.
    """
    d, g = _valid_pairs(predicted, truth, None)
    return float(((d - g).abs() / g).mean()) if d.numel() else math.nan


def depth_errors(predicted: Tensor, truth: Tensor, valid: Tensor | None = None) -> DepthErrors:
    """Compare z-depths, as they stand and after one scale for everything given, so pass one scene at a time.

    Args:
        predicted: (..., h, w) metres.
        truth: Of the same shape; pixels count where both depths are positive and finite.
        valid: Bool of the same shape; pixels where it is false do not count.

    Returns:
        Errors, NaN where no pixel counts.
    """
    d, g = _valid_pairs(predicted, truth, valid)
    if d.numel() == 0:
        nan = math.nan
        return DepthErrors(nan, nan, nan, nan, nan, nan, nan, nan, num_pixels=0)
    scale_median = float(np.median(g.cpu().numpy()) / np.median(d.cpu().numpy()))
    scale_l1 = l1_scale(d, g, start=scale_median)
    return DepthErrors(
        abs_rel=float(((d - g).abs() / g).mean()),
        rmse_m=float((d - g).square().mean().sqrt()),
        delta1=_delta(d, g),
        abs_rel_median=float(((d * scale_median - g).abs() / g).mean()),
        delta1_median=_delta(d * scale_median, g),
        abs_rel_l1=float(((d * scale_l1 - g).abs() / g).mean()),
        scale_median=scale_median,
        scale_l1=scale_l1,
        num_pixels=d.numel(),
        delta1_l1=_delta(d * scale_l1, g),
        delta2_median=_delta(d * scale_median, g, power=2),
        delta3_median=_delta(d * scale_median, g, power=3),
    )


def l1_scale(predicted: Tensor, truth: Tensor, start: float) -> float:
    """The factor s that minimises sum |s d - g| over (N,) pairs, by reweighted least squares (Weiszfeld) from `start`."""
    scale = start
    for _ in range(WEISZFELD_STEPS):
        weight = 1.0 / (scale * predicted - truth).abs().clamp_min(1e-6)
        scale = float((weight * predicted * truth).sum() / (weight * predicted.square()).sum())
    return scale


def _delta(d: Tensor, g: Tensor, power: int = 1) -> float:
    return float((torch.maximum(d / g, g / d) < 1.25**power).double().mean())


def _valid_pairs(predicted: Tensor, truth: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted: expected the truth's shape {tuple(truth.shape)}, got {tuple(predicted.shape)}")
    usable = (truth > 0) & (predicted > 0) & torch.isfinite(truth) & torch.isfinite(predicted)
    if valid is not None:
        usable &= valid
    return predicted[usable].double(), truth[usable].double()
