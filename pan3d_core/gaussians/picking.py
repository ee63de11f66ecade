"""Which object of a Gaussian scene lies under the cursor.

The ray of the cursor is rendered as an image of one pixel, so that the answer follows the same rules as the picture: what is in
front hides what is behind by its opacity, and what is smaller than a pixel counts as the picture shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.geometry.transforms import look_at
from pan3d_core.rendering.rasterizer import rasterize
from pan3d_core.structures import Gaussians, require_shape

MIN_OPACITY = 0.2  # of everything along the ray; below it the background is what one sees


@dataclass(frozen=True)
class Pick:
    """What a ray meets first."""

    instance_id: int  # 0 = Gaussians that belong to no object
    share: float  # 0..1 of the pixel that this object fills
    point: Tensor  # (3,) world: where the object's visible Gaussians lie on the ray


def pick_along_ray(gaussians: Gaussians, instance_id: Tensor, origin: Tensor, direction: Tensor, focal_px: float) -> Pick | None:
    """Find the object that fills most of the pixel along a ray.

    Args:
        gaussians: Of the scene.
        instance_id: (N,) int64 object of every Gaussian, 0 = none.
        origin: (3,) of the ray, in the Gaussians' frame.
        direction: (3,) of any length but 0.
        focal_px: Of the picture on the screen; says how thick the ray is.

    Returns:
        None where the ray meets (almost) nothing.

    Raises:
        ValueError: Other shapes; a direction or focal length that is 0 or not finite.
    """
    require_shape("instance_id", instance_id, (len(gaussians),))
    require_shape("origin", origin, (3,))
    require_shape("direction", direction, (3,))
    if not 0 < float(direction.norm()) < float("inf"):
        raise ValueError(f"direction: expected a finite length above 0, got {direction.tolist()}")
    if not 0 < focal_px < float("inf"):
        raise ValueError(f"focal_px: expected a finite length above 0, got {focal_px}")
    forward = torch.nn.functional.normalize(direction, dim=0)
    up = torch.eye(3).to(forward)[forward.abs().argmin()]  # any that is not along the ray: one pixel has no upright
    camera = look_at(origin, origin + forward, up)[None]
    intrinsics = torch.diag(torch.tensor([focal_px, focal_px, 1.0])).to(forward)[None]
    # One column per object for the few Gaussians on the ray instead of for all.
    near_ray = rasterize(gaussians, camera, intrinsics, (1, 1)).visible[0].nonzero()[:, 0]
    if len(near_ray) == 0:
        return None
    ids, column = instance_id[near_ray].unique(return_inverse=True)
    on_ray = gaussians.select(near_ray)
    membership = torch.nn.functional.one_hot(column, len(ids)).to(forward)
    rendering = rasterize(on_ray, camera, intrinsics, (1, 1), membership)
    if float(rendering.opacity) < MIN_OPACITY:
        return None
    shares = rendering.features[0, :, 0, 0]
    winner = int(shares.argmax())
    depth = rasterize(on_ray.select(column == winner), camera, intrinsics, (1, 1)).depth
    return Pick(int(ids[winner]), float(shares[winner]), origin + depth.reshape(()) * forward)
