"""3D Gaussians to ellipses on one image: elliptical weighted average splatting (Zwicker et al. 2001).

Pixel coordinates are the project's: integer = centre of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.structures import Gaussians

MIN_ALPHA = 1 / 255  # what adds less to a pixel is left out


@dataclass(frozen=True)
class Camera:
    """One pinhole camera and what it can see."""

    cam_from_world: Tensor  # (4, 4) metres
    intrinsics: Tensor  # (3, 3) pixels, no skew
    image_hw: tuple[int, int]
    near: float  # metres along z, and so is `far`
    far: float


@dataclass(frozen=True)
class Ellipses:
    """Projected Gaussians, as the factor of the inverse covariance that a pixel needs.

    The squared Mahalanobis distance of a pixel at offset (dx, dy) is u^2 + v^2 with u = a dx + b dy and v = d dy. A sum
    of squares stays exact for long thin ellipses, where the three terms of the usual quadratic form cancel.
    """

    centers: Tensor  # (N, 2) pixels
    factors: Tensor  # (N, 3) a, b, d in 1 / pixel
    depth: Tensor  # (N,) z in metres
    coverage: Tensor  # (N,) square root of the share of the ellipse's area that it had before the low-pass


def project_gaussians(means: Tensor, scales: Tensor, quats_wxyz: Tensor, camera: Camera, low_pass_px2: float) -> Ellipses:
    """(N, 3), (N, 3), (N, 4) -> `Ellipses`; those of Gaussians nearer than `camera.near` mean nothing.

    The covariance on the image is J R S S R^T J^T + low_pass (Zwicker et al. 2001, eq. 31), here by the rows of J R S: with
    rows p and q, its determinant is |p x q|^2 + low_pass (|p|^2 + |q|^2 + low_pass), in which nothing cancels.
    """
    x, y, z = transform_points(camera.cam_from_world, means).unbind(-1)
    depth = z
    z = torch.where(z >= camera.near, z, torch.ones_like(z))
    fx, fy = camera.intrinsics[0, 0], camera.intrinsics[1, 1]
    cx, cy = camera.intrinsics[0, 2], camera.intrinsics[1, 2]
    slope_x, slope_y = x / z, y / z
    axes = matrix_from_quat_xyzw(quats_wxyz.roll(-1, dims=-1)) * scales[:, None, :]
    first, second, third = torch.einsum("ij,njk->ink", camera.cam_from_world[:3, :3], axes).unbind(0)  # (N, 3) each
    height, width = camera.image_hw
    p = (fx / z)[:, None] * (first - _near_image(slope_x, fx, cx, width)[:, None] * third)
    q = (fy / z)[:, None] * (second - _near_image(slope_y, fy, cy, height)[:, None] * third)
    pp, qq = p.square().sum(-1), q.square().sum(-1)
    d = (qq + low_pass_px2).rsqrt()
    q_unit = q * d[:, None]
    area = torch.linalg.cross(p, q_unit).square().sum(-1)
    across = area + low_pass_px2 * d.square() * (pp + qq + low_pass_px2)  # determinant / variance along y
    a = across.rsqrt()
    b = -(p * q_unit).sum(-1) * d * a
    # The clamp keeps the slope of the root finite for Gaussians without any extent; they are transparent then.
    coverage = (area / across).clamp_min(1e-12).sqrt()
    centers = torch.stack([fx * slope_x + cx, fy * slope_y + cy], dim=-1)
    return Ellipses(centers, torch.stack([a, b, d], dim=-1), depth, coverage)


def _near_image(slope: Tensor, focal: Tensor, center: Tensor, size: int) -> Tensor:
    """Slopes clamped to the image and 15 % of its size around it, where the linear projection is still good."""
    margin = 0.15 * size
    low, high = (-0.5 - margin - center) / focal, (size - 0.5 + margin - center) / focal
    return torch.minimum(torch.maximum(slope, low), high)


def half_extents(factors: Tensor, opacities: Tensor) -> Tensor:
    """(N, 2) pixels from the centre, along x and y, to where alpha has fallen to `MIN_ALPHA`; 0 below that opacity."""
    a, b, d = factors.unbind(-1)
    deviations = torch.stack([(1 + (b / d).square()).sqrt() / a, 1 / d], dim=-1)
    return deviations * (2 * (opacities / MIN_ALPHA).clamp_min(1.0).log()).sqrt()[:, None]


@torch.no_grad()
def seen_gaussians(gaussians: Gaussians, camera: Camera, low_pass_px2: float, radius_clip_px: float) -> Tensor:
    """(n,) int64 rows of the Gaussians that meet the image, nearest first.

    Seen is what lies between the planes and whose box of whole pixels around the ellipse of alpha 1/255 meets the image.
    """
    ellipses = project_gaussians(gaussians.means, gaussians.scales, gaussians.quats_wxyz, camera, low_pass_px2)
    radii = half_extents(ellipses.factors, gaussians.opacities).ceil()
    size = radii.new_tensor([camera.image_hw[1], camera.image_hw[0]])
    corner = ellipses.centers + 0.5  # counted from the image's corner
    visible = (ellipses.depth >= camera.near) & (ellipses.depth <= camera.far) & (gaussians.opacities >= MIN_ALPHA)
    visible &= (radii > radius_clip_px).any(-1) & ((corner + radii > 0) & (corner - radii < size)).all(-1)
    indices = visible.nonzero()[:, 0]
    return indices[ellipses.depth[indices].argsort(stable=True)]
