"""Where things are in a scene of Gaussians: what is up, and the middle, size and foot of its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.gaussians.scene import GaussianScene

MIN_OPACITY = 0.1  # Gaussians below it are haze and say nothing about the place of things
TRIM = 0.02  # outermost share along each axis that is left aside: strays


@dataclass(frozen=True)
class Extent:
    """Where some Gaussians are."""

    center: Tensor  # (3,) world, middle of the box along the world's axes
    radius: float  # half the box's diagonal


def scene_up(scene: GaussianScene) -> Tensor:
    """(3,) unit, float64: world z of a metric scene, otherwise the mean up of the cameras.

    Without cameras, or where theirs cancel, that of a world which is a camera's frame: -y.
    """
    if scene.is_metric:
        return torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    up = -scene.cam_from_world[:, 1, :3].double().cpu().sum(0)
    if float(up.norm()) < 1e-3 * max(1, len(scene.cam_from_world)):
        return torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    unit: Tensor = up / up.norm()
    return unit


def extent_of(scene: GaussianScene, ids: Sequence[int] | None = None) -> Extent:
    """Measure where instances are.

    Args:
        scene: On any device.
        ids: Of the instances; None = all objects, and where there are none everything.

    Returns:
        In the scene's world and unit. A scene without Gaussians has its origin as the middle and a radius of 1, so that a camera
        can still be put up.
    """
    chosen = (
        scene.instance_id > 0 if ids is None else torch.isin(scene.instance_id, torch.tensor(list(ids)).to(scene.instance_id))
    )
    if ids is None and not bool(chosen.any()):
        chosen = torch.ones_like(chosen)
    solid = chosen & (scene.gaussians.opacities >= MIN_OPACITY)
    means = scene.gaussians.means[solid if bool(solid.any()) else chosen].double().cpu()
    if len(means) == 0:
        return Extent(torch.zeros(3, dtype=torch.float64), 1.0)
    low, high = _trimmed(means, TRIM), _trimmed(means, 1 - TRIM)
    return Extent((low + high) / 2, max(float((high - low).norm()) / 2, 1e-6))


def rows_of(scene: GaussianScene, ids: Sequence[int]) -> Tensor:
    """Find the Gaussians of instances.

    Args:
        scene: N Gaussians.
        ids: Of the instances.

    Returns:
        (N,) bool.
    """
    return torch.isin(scene.instance_id, scene.instance_id.new_tensor(list(ids)))


def foot_of(scene: GaussianScene, ids: Sequence[int]) -> Tensor:
    """Find where instances stand: the point of their middle axis along `scene_up` at the height of their lowest parts.

    Args:
        scene: On any device.
        ids: Of the instances, of which some Gaussian must be there.

    Returns:
        (3,) float64 on the CPU, in the scene's world and unit.
    """
    up = scene_up(scene)
    chosen = rows_of(scene, ids)
    heights = scene.gaussians.means[chosen].double().cpu() @ up
    center = extent_of(scene, ids).center
    return center + (_trimmed(heights[:, None], TRIM)[0] - center @ up) * up


def _trimmed(rows: Tensor, share: float) -> Tensor:
    """(N, D) -> (D,) quantile of each column; by sorting, since `torch.quantile` refuses large inputs."""
    return rows.sort(dim=0).values[round(share * (len(rows) - 1))]
