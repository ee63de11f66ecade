"""Errors of predicted cameras, after the freedom that the prediction has is removed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid


@dataclass(frozen=True)
class PoseErrors:
    """NaN where it cannot be measured (one camera has no relative pose, and no baseline has no scale)."""

    rotation_deg: float  # mean angle between predicted and true relative rotation, over all pairs of cameras
    direction_deg: float  # mean angle between predicted and true direction from camera to camera, over all pairs
    auc30: float  # area under the share of pairs whose larger error is below a limit, limits 1 to 30 degrees
    scale: float  # true over predicted spread of the cameras: 1 = right size
    center_m: float  # RMS distance of camera centres as they stand, no alignment; metres when the prediction is metric


def pose_errors(predicted_cam_from_world: Tensor, true_cam_from_world: Tensor) -> PoseErrors:
    """Compare cameras pair by pair: errors do not depend on the choice of the world frame, directions not on scale either.

    Args:
        predicted_cam_from_world: (S, 4, 4).
        true_cam_from_world: (S, 4, 4).

    Returns:
        Over all pairs of cameras; angles in degrees.

    Raises:
        ValueError: Shapes differ.
    """
    if predicted_cam_from_world.shape != true_cam_from_world.shape:
        raise ValueError(
            f"predicted_cam_from_world: expected the truth's shape {tuple(true_cam_from_world.shape)}, "
            f"got {tuple(predicted_cam_from_world.shape)}"
        )
    predicted, truth = predicted_cam_from_world.double().cpu(), true_cam_from_world.double().cpu()
    predicted_centers, true_centers = invert_rigid(predicted)[:, :3, 3], invert_rigid(truth)[:, :3, 3]
    center_m = float((predicted_centers - true_centers).square().sum(-1).mean().sqrt())
    first, second = torch.triu_indices(len(truth), len(truth), offset=1)
    if len(first) == 0:
        return PoseErrors(math.nan, math.nan, math.nan, math.nan, center_m)
    relative_predicted = predicted[second] @ invert_rigid(predicted[first])
    relative_true = truth[second] @ invert_rigid(truth[first])
    rotation = rotation_angle_deg(relative_predicted[:, :3, :3] @ relative_true[:, :3, :3].transpose(-1, -2))
    direction = _angle_deg(relative_predicted[:, :3, 3], relative_true[:, :3, 3])
    spread = predicted_centers.sub(predicted_centers.mean(0)).norm()
    scale = float(true_centers.sub(true_centers.mean(0)).norm() / spread) if spread > 1e-9 else math.nan
    worst = torch.maximum(rotation, direction)
    auc30 = float(torch.stack([(worst < limit).double().mean() for limit in range(1, 31)]).mean())
    return PoseErrors(float(rotation.mean()), float(direction.mean()), auc30, scale, center_m)


def rotation_angle_deg(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (...) angle of the rotation in degrees, exact near 0 and near 180."""
    skew = torch.stack([rotation[..., i, j] - rotation[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0))], dim=-1)
    trace = rotation.diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.rad2deg(torch.atan2(skew.norm(dim=-1), trace - 1))


def _angle_deg(first: Tensor, second: Tensor) -> Tensor:
    cross = torch.linalg.cross(first, second, dim=-1).norm(dim=-1)
    return torch.rad2deg(torch.atan2(cross, (first * second).sum(-1)))
