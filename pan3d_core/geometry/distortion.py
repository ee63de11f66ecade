"""Lens distortion undone, for the models that camera drivers use and for the one of Project Aria's glasses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays

INVERSE_STEPS, INVERSE_ERROR = 30, 1e-6  # fixed-point steps and what they may leave, in focal lengths
OUTSIDE = 10.0  # for `grid_sample`: not in the picture
LEAST_SEEN = 0.1  # share of the straight picture that a lens leaves; wrong coefficients throw most of it out


def _distort_brown(x: Tensor, y: Tensor, k: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Brown-Conrady with a rational radial part, thin prism and tilted sensor, as in the OpenCV manual.

    k = k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tx ty]]]].
    """
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tx, ty = [*k, *[0.0] * (14 - len(k))]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    distorted_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2)
    distorted_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4)
    return (distorted_x, distorted_y) if tx == ty == 0 else _on_tilted_sensor(distorted_x, distorted_y, tx, ty)


def _on_tilted_sensor(x: Tensor, y: Tensor, tx: float, ty: float) -> tuple[Tensor, Tensor]:
    """The plane z = 1 seen on a sensor that is turned about x by `tx`, then about y by `ty`, radians (Scheimpflug)."""
    (cx, sx), (cy, sy) = (math.cos(tx), math.sin(tx)), (math.cos(ty), math.sin(ty))
    about_x = torch.tensor([[1.0, 0.0, 0.0], [0.0, cx, sx], [0.0, -sx, cx]], dtype=x.dtype)
    about_y = torch.tensor([[cy, 0.0, -sy], [0.0, 1.0, 0.0], [sy, 0.0, cy]], dtype=x.dtype)
    turned = about_y @ about_x
    along_z = torch.tensor(
        [[turned[2, 2], 0.0, -turned[0, 2]], [0.0, turned[2, 2], -turned[1, 2]], [0.0, 0.0, 1.0]], dtype=x.dtype
    )
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ (along_z @ turned).T
    return points[..., 0] / points[..., 2], points[..., 1] / points[..., 2]


def _distort_inverse_brown(x: Tensor, y: Tensor, k: Sequence[float]) -> tuple[Tensor, Tensor]:
    """RealSense's inverse Brown-Conrady: its polynomial undistorts, so distorting is finding what it maps to x, y."""
    seen_x, seen_y = x.clone(), y.clone()
    for _ in range(INVERSE_STEPS):
        back_x, back_y = _distort_brown(seen_x, seen_y, k)
        seen_x, seen_y = seen_x + (x - back_x), seen_y + (y - back_y)
    back_x, back_y = _distort_brown(seen_x, seen_y, k)
    found = (back_x - x).hypot(back_y - y) < INVERSE_ERROR
    nowhere = torch.full_like(x, torch.inf)
    return torch.where(found, seen_x, nowhere), torch.where(found, seen_y, nowhere)


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


_BROWN_COUNTS = (4, 5, 8, 12, 14)
# Name -> (allowed numbers of coefficients, undistorted to distorted normalised coordinates)
DISTORTION_MODELS: dict[str, tuple[tuple[int, ...], Callable[[Tensor, Tensor, Sequence[float]], tuple[Tensor, Tensor]]]] = {
    "plumb_bob": (_BROWN_COUNTS, _distort_brown),
    "rational_polynomial": (_BROWN_COUNTS, _distort_brown),
    "thin_prism": (_BROWN_COUNTS, _distort_brown),
    "inverse_brown_conrady": ((4, 5), _distort_inverse_brown),
    "equidistant": ((4,), _distort_equidistant),
    "fisheye624": ((12,), _distort_fisheye624),
}
# What drivers and calibration programs call them, without case and separators.
_OTHER_NAMES = {
    "pinhole": "plumb_bob", "opencvpinhole": "plumb_bob", "brownconrady": "plumb_bob", "brown": "plumb_bob",
    "radtan": "plumb_bob", "radialtangential": "plumb_bob", "opencv": "plumb_bob",
    "rational": "rational_polynomial", "fullopencv": "rational_polynomial", "thinprismmodel": "thin_prism",
    "fisheye": "equidistant", "opencvfisheye": "equidistant", "equi": "equidistant", "kannalabrandt": "equidistant",
    "kannalabrandt4": "equidistant", "kannalabrandt8": "equidistant", "kb4": "equidistant",
}  # fmt: skip
_NAMES = {name.replace("_", ""): name for name in DISTORTION_MODELS} | _OTHER_NAMES


def lens_model(name: str, coefficients: Sequence[float]) -> tuple[str, tuple[float, ...]]:
    """Tell which model drivers mean.

    Case and separators of the name do not matter, and neither do zeros after the last coefficient that counts.

    Args:
        name: As in CameraInfo's `distortion_model`.
        coefficients: As in its `d`.

    Returns:
        A name in `DISTORTION_MODELS` and as many coefficients as it takes; "" and none where all are zero: no distortion.

    Raises:
        ValueError: An unknown name, or a number of coefficients that the model does not take.
    """
    if not any(coefficients):
        return "", ()
    model = _NAMES.get("".join(letter for letter in name.lower() if letter.isalnum()))
    if model is None:
        raise ValueError(f"distortion_model: expected one of {', '.join(DISTORTION_MODELS)}, got {name!r}")
    counts, given = DISTORTION_MODELS[model][0], len(coefficients)
    needed = max(index for index, value in enumerate(coefficients, 1) if value)
    count = next((count for count in counts if needed <= count <= given), None)
    if count is None:
        wanted = " or ".join(filter(None, [", ".join(map(str, counts[:-1])), str(counts[-1])]))
        raise ValueError(f"coefficients: expected {wanted} numbers for {model}, got {given}")
    return model, tuple(float(value) for value in coefficients[:count])


def undistort(
    image: Tensor, intrinsics: Tensor, distortion_model: str, coefficients: Sequence[float], depth: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Make the picture of a pinhole camera with the same intrinsics from that of a distorted one.

    The image is interpolated, depth is picked from the nearest pixel; where nothing was seen both are 0. No or zero
    coefficients return the input, whatever the model, as ROS has it.

    Args:
        image: As the camera gave it.
        intrinsics: (3, 3) pixels; they hold before and after.
        distortion_model: A name of ROS CameraInfo or another that `lens_model` knows.
        coefficients: As in CameraInfo's `d`.
        depth: Registered to the image, z-depth.

    Returns:
        Image and depth of the pinhole camera.

    Raises:
        ValueError: An unknown model, a wrong number of coefficients, or those of no lens.
    """
    model, numbers = lens_model(distortion_model, coefficients)
    if not model:
        return image, depth
    height, width = image.shape[-2:]
    matrix = tuple(float(value) for value in intrinsics.flatten())
    grid = _sampling_grid(height, width, matrix, model, numbers).to(image.device)
    straight = grid_sample(image[None], grid, mode="bilinear", align_corners=True)[0]
    if depth is None:
        return straight, None
    return straight, grid_sample(depth[None, None], grid, mode="nearest", align_corners=True)[0, 0]


def _is_folded(pixels: Tensor, rays: Tensor) -> Tensor:
    """(H * W,) where a polynomial has turned back: beyond the radius at which it stops to grow it shows the middle once more.

    Args:
        pixels: (H, W, 2) where each ray meets the distorted picture; not finite = nowhere.
        rays: (H, W, 2 or 3) straight, at z = 1.
    """
    across, down = pixels[:-1, 1:] - pixels[:-1, :-1], pixels[1:, :-1] - pixels[:-1, :-1]
    turned = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0] <= 0
    turned &= (across.isfinite() & down.isfinite()).all(-1)
    radii = rays[..., :2].norm(dim=-1)
    first = radii[:-1, :-1][turned].min() if bool(turned.any()) else torch.inf
    folded: Tensor = (radii >= first).flatten()
    return folded


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
    scaled = torch.where(scaled.isfinite(), scaled, OUTSIDE)
    scaled[_is_folded(pixels[:, :2].reshape(height, width, 2), rays.reshape(height, width, -1))] = OUTSIDE
    seen = float((scaled.abs() <= 1).all(-1).float().mean())
    if seen < LEAST_SEEN:
        raise ValueError(
            f"coefficients: expected those of a lens, got {list(coefficients)} for {distortion_model}, which leave"
            f" {100 * seen:.0f} % of the picture; are they of another model or in another order?"
        )
    return scaled.reshape(1, height, width, 2).float()
