"""Lens distortion undone, for the three models that ROS camera drivers use and for the one of Project Aria's glasses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays


def _distort_rational(x: Tensor, y: Tensor, k: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Brown-Conrady with a rational radial part, as in the OpenCV manual; k = k1 k2 p1 p2 k3 [k4 k5 k6]."""
    k1, k2, p1, p2, k3, k4, k5, k6 = [*k, *[0.0] * (8 - len(k))]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def _distort_equidistant(x: Tensor, y: Tensor, k: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Kannala-Brandt (2006) polynomial in the angle from the axis; k = k1 k2 k3 k4."""
    radius = (x * x + y * y).sqrt()
    angle = torch.atan(radius)
    a2 = angle * angle
    distorted = angle * (1 + a2 * (k[0] + a2 * (k[1] + a2 * (k[2] + a2 * k[3]))))
    factor = torch.where(radius > 1e-8, distorted / radius.clamp_min(1e-8), torch.ones_like(radius))
    return x * factor, y * factor


def _distort_fisheye624(x: Tensor, y: Tensor, k: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Project Aria's model: six radial terms in the angle from the axis, two tangential, four of a thin prism."""
    radius = (x * x + y * y).sqrt()
    angle = torch.atan(radius)
    a2, radial = angle * angle, torch.zeros_like(angle)
    for term in reversed(k[:6]):
        radial = (radial + term) * a2
    factor = torch.where(radius > 1e-8, angle * (1 + radial) / radius.clamp_min(1e-8), torch.ones_like(radius))
    x, y = x * factor, y * factor
    r2 = x * x + y * y
    (p0, p1), (s0, s1, s2, s3) = k[6:8], k[8:12]
    mixed = 2 * (p0 * x + p1 * y)
    return x + mixed * x + r2 * p0 + r2 * (s0 + s1 * r2), y + mixed * y + r2 * p1 + r2 * (s2 + s3 * r2)


# ROS name, or Aria's -> (allowed numbers of coefficients, undistorted to distorted normalised coordinates)
DISTORTION_MODELS: dict[str, tuple[tuple[int, ...], Callable[[Tensor, Tensor, Sequence[float]], tuple[Tensor, Tensor]]]] = {
    "plumb_bob": ((4, 5), _distort_rational),
    "rational_polynomial": ((8,), _distort_rational),
    "equidistant": ((4,), _distort_equidistant),
    "fisheye624": ((12,), _distort_fisheye624),
}


def undistort(
    image: Tensor, intrinsics: Tensor, distortion_model: str, coefficients: Sequence[float], depth: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Make the picture of a pinhole camera with the same intrinsics from that of a distorted one.

    The image is interpolated, depth is picked from the nearest pixel; where nothing was seen both are 0. No or zero
    coefficients return the input. Raises `ValueError` for an unknown model or a wrong number of coefficients.

    Args:
        image: As the camera gave it.
        intrinsics: (3, 3) pixels; they hold before and after.
        distortion_model: A name of ROS CameraInfo, see `DISTORTION_MODELS`.
        coefficients: As in CameraInfo's `d`.
        depth: Registered to the image, z-depth.

    Returns:
        Image and depth of the pinhole camera.
    """
    if len(coefficients) == 0 or not any(coefficients):
        return image, depth
    if distortion_model not in DISTORTION_MODELS:
        raise ValueError(f"distortion_model: expected one of {', '.join(DISTORTION_MODELS)}, got {distortion_model!r}")
    counts = DISTORTION_MODELS[distortion_model][0]
    if len(coefficients) not in counts:
        wanted = " or ".join(map(str, counts))
        raise ValueError(f"coefficients: expected {wanted} numbers for {distortion_model}, got {len(coefficients)}")
    height, width = image.shape[-2:]
    numbers = tuple(float(value) for value in intrinsics.flatten())
    grid = _sampling_grid(height, width, numbers, distortion_model, tuple(map(float, coefficients))).to(image.device)
    straight = grid_sample(image[None], grid, mode="bilinear", align_corners=True)[0]
    if depth is None:
        return straight, None
    return straight, grid_sample(depth[None, None], grid, mode="nearest", align_corners=True)[0, 0]


@lru_cache(maxsize=16)
def _sampling_grid(
    height: int, width: int, intrinsics: tuple[float, ...], distortion_model: str, coefficients: tuple[float, ...]
) -> Tensor:
    """(1, H, W, 2) for `grid_sample`; kept, because a camera asks for the same one with every image."""
    matrix = torch.tensor(intrinsics, dtype=torch.float64).reshape(3, 3)
    rays = pixel_rays(matrix, pixel_grid(height, width, dtype=torch.float64).reshape(-1, 2))
    x, y = DISTORTION_MODELS[distortion_model][1](rays[:, 0], rays[:, 1], coefficients)
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ matrix.T
    scaled = pixels[:, :2] / torch.tensor([max(width - 1, 1), max(height - 1, 1)]) * 2 - 1
    return scaled.reshape(1, height, width, 2).float()
