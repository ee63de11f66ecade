"""Learning rates over a run: pure functions of the step and of the share of the run that is used up."""

from __future__ import annotations

import math

from training.settings import ScheduleConfig


def shape(kind: str, progress: float, config: ScheduleConfig) -> float:
    """Factor 1 .. `config.final` at `progress` 0..1, without the warm-up.

    step: Krizhevsky-style drops; exponential: log-linear, as 3D Gaussian Splatting moves its positions; cosine: SGDR
    (Loshchilov & Hutter 2017) without restarts; polynomial: (1 - progress) ** power.
    """
    progress = min(max(progress, 0.0), 1.0)
    if kind == "constant":
        return 1.0
    if kind == "step":
        return max(config.gamma ** sum(progress >= milestone for milestone in config.milestones), config.final)
    if kind == "exponential":
        return max(config.final, 1e-12) ** progress
    if kind == "polynomial":
        return max((1 - progress) ** config.power, config.final)
    return max(0.5 * (1 + math.cos(math.pi * progress)), config.final)


def rate_factor(config: ScheduleConfig, step: int, progress: float, kind: str | None = None) -> float:
    """Return the factor on a group's learning rate.

    Args:
        config: The run's schedule.
        step: Number of the step, from 0.
        progress: Share of the run that is used up, 0..1.
        kind: Shape for this group instead of the run's.

    Returns:
        0..1, the warm-up included.
    """
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    return warm * shape(kind or config.kind, progress, config)


def average_decay(first: float, last: float, step: int, progress: float) -> float:
    """Decay of the averaged weights: short memory at first, then from `first` to `last` over the run."""
    return min(first + (last - first) * min(progress, 1.0), (1 + step) / (10 + step))
