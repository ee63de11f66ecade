"""Errors of a camera's path: absolute after alignment (ATE), and from step to step (RPE).

The conventions of the trajectory evaluation that is common for odometry (Sturm et al. 2012; the program `evo`): path points
are camera centres in the world; the alignment is a least squares fit over all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pan3d_core.geometry.alignment import Similarity, nearest_rotation, umeyama
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_eval.metrics.poses import rotation_angle_deg

Alignment = Literal["similarity", "rigid", "none"]


@dataclass(frozen=True)
class ErrorStatistics:
    """Over the cameras, or pairs of them; NaN when there is none."""

    rmse: float
    mean: float
    median: float
    largest: float


@dataclass(frozen=True)
class TrajectoryError:
    """Distances of camera centres in metres, after `world_from_predicted` was applied; None when no fit is defined."""

    center_m: ErrorStatistics
    world_from_predicted: Similarity | None


@dataclass(frozen=True)
class StepErrors:
    """What differs between predicted and true motion from camera i to camera i + `delta`."""

    translation_m: ErrorStatistics
    rotation_deg: ErrorStatistics


def absolute_trajectory_error(
    predicted_cam_from_world: Tensor, true_cam_from_world: Tensor, alignment: Alignment = "similarity"
) -> TrajectoryError:
    """ATE of cameras after a fit of predicted to true centres (Umeyama 1991).

    Args:
        predicted_cam_from_world: (S, 4, 4).
        true_cam_from_world: (S, 4, 4).
        alignment: A similarity (Sim(3)), a rigid motion (SE(3)) or none.

    Returns:
        Statistics of the distances and the fit. A fit needs three centres that are not on one line; with less, a rotation is
        free, and the figures are NaN.

    Raises:
        ValueError: Shapes differ or are others.
    """
    predicted, truth = _centers(predicted_cam_from_world, true_cam_from_world)
    fit = fit_centers(predicted, truth, alignment)
    distances = predicted.new_zeros(0) if fit is None else (fit.apply(predicted) - truth).norm(dim=-1)
    return TrajectoryError(_statistics(distances), fit)


def fit_centers(predicted: Tensor, truth: Tensor, alignment: Alignment) -> Similarity | None:
    """`true_from_predicted` of (N, 3) points, or None where the points leave it open."""
    if alignment == "none":
        return Similarity(1.0, torch.eye(3, dtype=predicted.dtype), predicted.new_zeros(3))
    if alignment not in ("similarity", "rigid"):
        raise ValueError(f"alignment: expected similarity, rigid or none, got {alignment!r}")
    if len(truth) < 3 or min(_second_spread(points) for points in (predicted, truth)) <= 1e-9:
        return None
    fit = umeyama(predicted, truth)
    if alignment == "similarity":
        return fit
    return Similarity(1.0, fit.rotation, truth.mean(0) - fit.rotation @ predicted.mean(0))


def relative_pose_error(
    predicted_cam_from_world: Tensor, true_cam_from_world: Tensor, delta: int = 1, scale: float = 1.0
) -> StepErrors:
    """RPE of cameras over all pairs (i, i + delta) (Sturm et al. 2012).

    Args:
        predicted_cam_from_world: (S, 4, 4).
        true_cam_from_world: (S, 4, 4).
        delta: Steps between the two cameras of a pair.
        scale: Predicted translations are multiplied by it first: that of `absolute_trajectory_error`'s fit where lengths are not
            metric.

    Returns:
        Metres and degrees; NaN where no pair is so far apart.

    Raises:
        ValueError: Shapes differ or are others, or `delta` is less than 1.
    """
    predicted, truth = _checked(predicted_cam_from_world, true_cam_from_world)
    if delta < 1:
        raise ValueError(f"delta: expected 1 or more, got {delta}")
    predicted = predicted.clone()
    predicted[:, :3, 3] *= scale
    step_predicted = predicted[:-delta] @ invert_rigid(predicted[delta:])  # pose of camera i + delta in camera i
    step_true = truth[:-delta] @ invert_rigid(truth[delta:])
    difference = invert_rigid(step_true) @ step_predicted
    return StepErrors(
        translation_m=_statistics(difference[:, :3, 3].norm(dim=-1)),
        rotation_deg=_statistics(rotation_angle_deg(difference[:, :3, :3])),
    )


def _checked(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    if predicted.shape != truth.shape or predicted.ndim != 3 or predicted.shape[1:] != (4, 4):
        raise ValueError(
            "predicted_cam_from_world, true_cam_from_world: expected equal shapes (S, 4, 4), "
            f"got {tuple(predicted.shape)} {tuple(truth.shape)}"
        )
    predicted, truth = predicted.double().cpu(), truth.double().cpu()
    return tuple(_orthonormal(item) for item in (predicted, truth))  # type: ignore[return-value]


def _orthonormal(cam_from_world: Tensor) -> Tensor:
    """Single precision rotations are exact to 1e-7 only, which the inverse of a far camera would show."""
    cleaned = cam_from_world.clone()
    cleaned[:, :3, :3] = nearest_rotation(cam_from_world[:, :3, :3])
    return cleaned


def _centers(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    predicted, truth = _checked(predicted, truth)
    return invert_rigid(predicted)[:, :3, 3], invert_rigid(truth)[:, :3, 3]


def _second_spread(points: Tensor) -> float:
    """Second singular value of the centred points over the first: 0 for points on a line."""
    singular = torch.linalg.svdvals(points - points.mean(0))
    return float(singular[1] / singular[0]) if singular[0] > 0 else 0.0


def _statistics(values: Tensor) -> ErrorStatistics:
    if values.numel() == 0:
        return ErrorStatistics(math.nan, math.nan, math.nan, math.nan)
    ordered = values.sort().values
    median = float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)
    return ErrorStatistics(float(values.square().mean().sqrt()), float(values.mean()), median, float(values.max()))
