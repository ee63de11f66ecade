"""Pinhole cameras. Pixel coordinates are (x, y) = (column, row), integer = centre of the pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid


def pixel_grid(height: int, width: int, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """Return pixel centres; the first is (0, 0).

    Args:
        height: Of the image, pixels.
        width: Of the image, pixels.
        device: Where the tensor is made.
        dtype: Of the coordinates.

    Returns:
        (height, width, 2) as (x, y).
    """
    rows = torch.arange(height, device=device, dtype=dtype)
    columns = torch.arange(width, device=device, dtype=dtype)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1)


def pixel_rays(intrinsics: Tensor, pixels: Tensor) -> Tensor:
    """Give the rays through pixels.

    Args:
        intrinsics: (..., 3, 3), skew allowed.
        pixels: (..., N, 2) x and y.

    Returns:
        (..., N, 3) in the camera frame, with z = 1.
    """
    fx, fy = intrinsics[..., 0, 0, None], intrinsics[..., 1, 1, None]
    cx, cy = intrinsics[..., 0, 2, None], intrinsics[..., 1, 2, None]
    skew = intrinsics[..., 0, 1, None]
    y = (pixels[..., 1] - cy) / fy
    x = (pixels[..., 0] - cx - skew * y) / fx
    return torch.stack([x, y, torch.ones_like(x)], dim=-2).transpose(-1, -2)  # three planes in memory


def project(points_cam: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Project camera points into the image. Pixels are meaningless where z <= 0.

    Args:
        points_cam: (..., N, 3) in the camera frame, OpenCV axes.
        intrinsics: (..., 3, 3) pixels.

    Returns:
        Pixels (..., N, 2) as (x, y), and z (..., N).
    """
    z = points_cam[..., 2]
    homogeneous = points_cam @ intrinsics.transpose(-1, -2)
    return homogeneous[..., :2] / z.clamp_min(1e-6)[..., None], z


def resized_intrinsics(intrinsics: Tensor, from_hw: tuple[int, int], to_hw: tuple[int, int]) -> Tensor:
    """Return intrinsics of pictures of another size that show all of what was seen, as large as fits, nothing squeezed.

    Where the shapes differ the longer side shows more than before, evenly at both ends.

    Args:
        intrinsics: (..., 3, 3) pixels.
        from_hw: Size of the pictures that they belong to.
        to_hw: Size of the new pictures.

    Returns:
        (..., 3, 3) pixels.
    """
    factor = min(to_hw[0] / from_hw[0], to_hw[1] / from_hw[1])
    resized = intrinsics.clone()
    resized[..., :2, :] *= factor
    for row, side in ((0, 1), (1, 0)):
        from_middle = intrinsics[..., row, 2] - (from_hw[side] - 1) / 2
        resized[..., row, 2] = (to_hw[side] - 1) / 2 + factor * from_middle
    return resized


def unproject_depth(depth: Tensor, intrinsics: Tensor, cam_from_world: Tensor) -> Tensor:
    """Turn z-depth into world points.

    Args:
        depth: (..., h, w), any unit.
        intrinsics: (..., 3, 3) pixels at (h, w).
        cam_from_world: (..., 4, 4) in the unit of the depth.

    Returns:
        (..., h, w, 3) in the world.
    """
    height, width = depth.shape[-2:]
    pixels = pixel_grid(height, width, device=depth.device, dtype=depth.dtype).reshape(-1, 2)
    world_from_cam = invert_rigid(cam_from_world)
    # One plane per coordinate in memory: products with a last axis of 3 cost several times as much.
    directions = world_from_cam[..., :3, :3] @ pixel_rays(intrinsics, pixels).transpose(-1, -2)
    planes = directions * depth.flatten(-2)[..., None, :] + world_from_cam[..., :3, 3:]
    points: Tensor = planes.unflatten(-1, (height, width)).movedim(-3, -1)
    return points


def normals_from_points(point_map: Tensor, camera_centers: Tensor) -> Tensor:
    """Estimate normals of point maps by central differences.

    Args:
        point_map: (S, h, w, 3).
        camera_centers: (S, 3) in the frame of the points.

    Returns:
        (S, h, w, 3) unit vectors towards the cameras.
    """
    planes = point_map.permute(0, 3, 1, 2).contiguous()  # as `unproject_depth` has them, so no copy for its results
    padded = torch.nn.functional.pad(planes, (1, 1, 1, 1), mode="replicate")
    x1, y1, z1 = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]).unbind(1)
    x2, y2, z2 = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]).unbind(1)
    normals = torch.stack([y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2], dim=1)
    facing = (normals * (camera_centers[:, :, None, None] - planes)).sum(1, keepdim=True)
    length = normals.square().sum(1, keepdim=True).clamp_min(1e-24).rsqrt()
    return (normals * torch.copysign(length, facing)).permute(0, 2, 3, 1)
