"""What calibrated cameras know before they look: where every pixel's ray meets the support plane.

The *plane frame* is the gravity aligned world frame (z up), moved so that the support plane is z = 0
and the point that the cameras look at on average is the origin; its yaw is the world's. All lengths
are metres. Everything here is a function of calibration alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_rays
from pan3d_core.geometry.transforms import invert_rigid, rigid, transform_points

MAX_PLANE_DEPTH_M = 3.0
MIN_PLANE_DEPTH_M = 0.15
REFERENCE_DEPTH_M = 0.7  # stands for the plane depth where the cameras' poses are unknown
XY_LIMIT_M = 1.5


@dataclass(frozen=True)
class PlaneRays:
    """Rays of a grid of pixels against the support plane; leading axes (B, S), grid (h, w)."""

    plane_depth: Tensor  # (B, S, h, w) z-depth at which the ray meets the plane, clamped; the reference depth without poses
    plane_xy: Tensor  # (B, S, h, w, 2) where it meets, plane frame, clamped; 0 without poses
    hits: Tensor  # (B, S, h, w) 1 where it meets within the limits, 0 elsewhere and without poses
    rays_cam: Tensor  # (B, S, h, w, 3) z = 1 rays in the camera frame
    rays_plane: Tensor  # (B, S, h, w, 3) the same rays in the plane frame, 0 without poses


def grid_intrinsics(intrinsics: Tensor, stride: int) -> Tensor:
    """Intrinsics (..., 3, 3) of the image reduced by `stride`, cells centred on their pixels."""
    scaled = intrinsics / stride
    offset = (stride - 1) / (2 * stride)
    reduced = scaled.clone()
    reduced[..., 0, 2] = scaled[..., 0, 2] - offset
    reduced[..., 1, 2] = scaled[..., 1, 2] - offset
    reduced[..., 2, 2] = 1.0
    return reduced


def _meet_plane(plane_from_cam: Tensor, rays_cam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, S, 4, 4), (B, S, N, 3) -> unclamped-safe plane depth (B, S, N), rays in the plane frame, camera centres (B, S, 3)."""
    rays_plane = rays_cam @ plane_from_cam[..., :3, :3].transpose(-1, -2)
    centers = plane_from_cam[..., :3, 3]
    falling = -rays_plane[..., 2]
    height = centers[..., 2:3]
    depth = torch.where(falling > 1e-3, height / falling.clamp_min(1e-3), torch.full_like(falling, math.inf))
    return torch.where(height > 0, depth, torch.full_like(depth, math.inf)), rays_plane, centers


def plane_from_world(cam_from_world: Tensor, intrinsics: Tensor, support_height: Tensor, image_hw: tuple[int, int]) -> Tensor:
    """(B, 4, 4) transform to the plane frame, from (B, S, 4, 4), (B, S, 3, 3) and (B,) heights.

    Its origin is the mean over the views of the point where the ray through the image centre meets
    the plane (at most `MAX_PLANE_DEPTH_M` away), so it does not depend on the order of the views.
    """
    world_from_cam = invert_rigid(cam_from_world)
    center = intrinsics.new_tensor([(image_hw[1] - 1) / 2, (image_hw[0] - 1) / 2])
    rays = pixel_rays(intrinsics, center.expand(*intrinsics.shape[:2], 1, 2))
    down = torch.zeros_like(cam_from_world[:, 0, :3, 3])
    down[:, 2] = -support_height
    eye = torch.eye(3, dtype=down.dtype, device=down.device).expand(len(down), 3, 3)
    depth, rays_world, centers = _meet_plane(rigid(eye, down)[:, None] @ world_from_cam, rays)
    met = centers + rays_world[..., 0, :] * depth.clamp(MIN_PLANE_DEPTH_M, MAX_PLANE_DEPTH_M)
    shift = torch.cat([-met[..., :2].mean(1), down[:, 2:]], dim=-1)
    return rigid(eye, shift)


def plane_rays(cam_from_plane: Tensor, intrinsics: Tensor, posed: Tensor, hw: tuple[int, int], stride: int) -> PlaneRays:
    """Rays of the cells of size `stride` of an image of `hw` pixels.

    cam_from_plane (B, S, 4, 4), intrinsics (B, S, 3, 3) at full size, posed (B,) 1 or 0.
    """
    height, width = hw[0] // stride, hw[1] // stride
    rows = torch.arange(height, device=intrinsics.device, dtype=intrinsics.dtype)
    columns = torch.arange(width, device=intrinsics.device, dtype=intrinsics.dtype)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(-1, 2)
    leading = intrinsics.shape[:2]
    rays_cam = pixel_rays(grid_intrinsics(intrinsics, stride), pixels.expand(*leading, -1, -1))
    depth, rays, centers = _meet_plane(invert_rigid(cam_from_plane), rays_cam)
    flag = posed[:, None, None].to(depth.dtype)
    near = depth < MAX_PLANE_DEPTH_M
    depth = depth.clamp(MIN_PLANE_DEPTH_M, MAX_PLANE_DEPTH_M)
    xy = (centers[:, :, None, :2] + rays[..., :2] * depth[..., None]).clamp(-XY_LIMIT_M, XY_LIMIT_M)
    shape = (*leading, height, width)
    return PlaneRays(
        plane_depth=(depth * flag + REFERENCE_DEPTH_M * (1 - flag)).reshape(shape),
        plane_xy=(xy * flag[..., None]).reshape(*shape, 2),
        hits=(near.to(depth.dtype) * flag).reshape(shape),
        rays_cam=rays_cam.reshape(*shape, 3),
        rays_plane=(rays * flag[..., None]).reshape(*shape, 3),
    )


def points_from_rays(rays: PlaneRays, depth: Tensor, cam_from_plane: Tensor) -> Tensor:
    """z-depth (B, S, h, w) on the rays' grid -> points in the plane frame (B, S, h, w, 3)."""
    points = rays.rays_cam * depth[..., None]
    moved = transform_points(invert_rigid(cam_from_plane), points.flatten(2, 3))
    return moved.reshape(points.shape)


def fourier_features(coordinates: Tensor, wavelengths_m: tuple[float, ...]) -> Tensor:
    """sin and cos of (..., D) coordinates at each wavelength -> (..., 2 D len(wavelengths))."""
    frequency = 2 * math.pi / coordinates.new_tensor(wavelengths_m)
    angle = (coordinates[..., None] * frequency).flatten(-2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
