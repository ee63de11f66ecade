"""Cameras from a ray map, as Depth Anything 3 recovers them: a homography from an ideal camera's rays to the predicted ones.

A ray is direction R K^-1 p (z-scaled, world frame) and camera centre. Pixels p live on an image of 2 x 2 with its centre at
(1, 1). The homography R K^-1 is split into an orthogonal and a *lower* triangular factor, which is exact for a centred principal
point only; where calibration is known, it is the better source.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pan3d_core.geometry.cameras import pixel_grid
from pan3d_core.geometry.transforms import invert_rigid, rigid

HYPOTHESES = 100
POINTS_PER_HYPOTHESIS = 8
CONFIDENT_SHARE = 0.3  # hypotheses are drawn from this share of the rays
INLIER_DISTANCE = 0.2
MAX_REFIT_POINTS = 8000
REFIT_SHARE = 0.95  # when there are more inliers than that, of the most confident
MIN_Z = 1e-4


def cameras_from_rays(
    rays: Tensor, ray_conf: Tensor, image_hw: tuple[int, int], samples: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Find the cameras of ray maps.

    Args:
        rays: (B, S, h, w, 6), direction and camera centre, as the module docstring says.
        ray_conf: (B, S, h, w), higher is surer.
        image_hw: Rows and columns of the image that pixels are counted in.
        samples: (hypotheses, points) int, ranks among the rays, the most confident being 0; by default drawn with a fixed seed,
            so that equal rays give equal cameras.

    Returns:
        cam_from_world (B, S, 4, 4) in the unit of the centres, and intrinsics (B, S, 3, 3) in pixels.
    """
    height, width = rays.shape[2:4]
    if samples is None:
        confident = max(POINTS_PER_HYPOTHESIS, int(CONFIDENT_SHARE * height * width))
        samples = torch.randint(confident, (HYPOTHESES, POINTS_PER_HYPOTHESIS), generator=Generator().manual_seed(0))
    samples = samples.to(rays.device)
    step = rays.new_tensor([2 / width, 2 / height])
    ideal = (pixel_grid(height, width, device=rays.device) + 0.5) * step - 1
    flat_rays, flat_conf = rays.flatten(0, 1).flatten(1, 2), ray_conf.flatten(0, 1).flatten(1, 2)
    homographies = torch.stack(
        [_homography(ideal.reshape(-1, 2), ray[:, :3], conf, samples) for ray, conf in zip(flat_rays, flat_conf, strict=True)]
    )
    rotation, lower = _orthogonal_times_lower(homographies)
    lower = lower / lower[:, 2:, 2:]
    centers = (flat_rays[..., 3:] * flat_conf[..., None]).sum(1) / flat_conf.sum(1)[:, None]
    half = rays.new_tensor([image_hw[1] / 2, image_hw[0] / 2])
    intrinsics = torch.eye(3, device=rays.device).repeat(len(rotation), 1, 1)
    intrinsics[:, 0, 0], intrinsics[:, 1, 1] = half[0] / lower[:, 0, 0], half[1] / lower[:, 1, 1]
    intrinsics[:, :2, 2] = (lower[:, 2, :2] + 1) * half
    cam_from_world = invert_rigid(rigid(rotation, centers))
    return cam_from_world.unflatten(0, rays.shape[:2]), intrinsics.unflatten(0, rays.shape[:2])


def _homography(ideal: Tensor, directions: Tensor, conf: Tensor, samples: Tensor) -> Tensor:
    """(3, 3) with positive determinant that maps (N, 2) ideal rays of depth 1 to (N, 3) directions up to length."""
    valid = directions[:, 2].abs() > MIN_Z
    target = directions[:, :2] / torch.where(valid, directions[:, 2], 1.0)[:, None]
    weight = conf * valid
    best_rays = weight.argsort(descending=True)
    chosen = best_rays[samples]
    candidates = _fit(ideal[chosen], target[chosen], weight[chosen].sqrt())
    distance = (_project(candidates, ideal.expand(len(candidates), -1, -1)) - target).norm(dim=-1)
    score = ((distance < INLIER_DISTANCE) * weight).sum(-1)
    inside = torch.nonzero((distance[score.argmax()] < INLIER_DISTANCE) & valid)[:, 0]
    if len(inside) > MAX_REFIT_POINTS:
        inside = inside[weight[inside].argsort(descending=True)[: int(REFIT_SHARE * len(inside))]]
        order = torch.randperm(len(inside), generator=Generator().manual_seed(0)).to(inside.device)
        inside = inside[order[:MAX_REFIT_POINTS]]
    refined = _fit(ideal[inside][None], target[inside][None], weight[inside][None].sqrt())[0]
    return refined * refined.det().sign()


def _fit(source: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Direct linear transform (Hartley and Zisserman, algorithm 4.1, without normalisation): (M, n, 2) -> (M, 3, 3)."""
    ones, zeros = torch.ones_like(source[..., :1]), torch.zeros_like(source)
    point = torch.cat([source, ones], dim=-1)
    none = torch.cat([zeros, zeros[..., :1]], dim=-1)
    rows_x = torch.cat([-point, none, target[..., :1] * point], dim=-1)
    rows_y = torch.cat([none, -point, target[..., 1:] * point], dim=-1)
    system = torch.cat([rows_x, rows_y], dim=-2) * torch.cat([weight, weight], dim=-1)[..., None]
    rows = torch.linalg.svd(system, full_matrices=system.shape[-2] < 9)[2]
    fitted: Tensor = rows[:, -1].unflatten(-1, (3, 3))
    return fitted


def _project(homography: Tensor, points: Tensor) -> Tensor:
    """(M, 3, 3) on (M, N, 2) -> (M, N, 2)."""
    moved = torch.cat([points, torch.ones_like(points[..., :1])], dim=-1) @ homography.mT
    z = moved[..., 2:]
    return moved[..., :2] / torch.where(z.abs() > MIN_Z, z, MIN_Z)


def _orthogonal_times_lower(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """QL decomposition of (..., 3, 3) with positive diagonal: QR of the matrix with its columns reversed."""
    q, r = torch.linalg.qr(matrix.flip(-1))
    q, lower = q.flip(-1), r.flip(-1, -2)
    signs = torch.where(lower.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    return q * signs[..., None, :], signs[..., None] * lower
