"""Between the cameras of the library and what MapAnything takes and gives: rays and distances, quaternions and places."""

from __future__ import annotations

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.geometry.transforms import invert_rigid, rigid
from pan3d_core.models.mapanything.network import KnownGeometry, MapAnythingOutput


def known_of_views(
    hw: tuple[int, int], intrinsics: Tensor | None, cam_from_world: Tensor | None, depth: Tensor | None
) -> KnownGeometry:
    """Make what the network may be told of one scene.

    Args:
        hw: Rows and columns of the pictures.
        intrinsics: (S, 3, 3) pixels, counted from pixel centres; None = unknown.
        cam_from_world: (S, 4, 4) metres; None = unknown.
        depth: (S, H, W) z-depth in metres, 0 = not measured; told only where rays are known.

    Returns:
        A batch of one.
    """
    rays = distance = quat = centers = None
    if intrinsics is not None:
        straight = pixel_rays(intrinsics, pixel_grid(*hw, device=intrinsics.device).flatten(0, 1)).unflatten(1, hw)
        length = straight.norm(dim=-1)
        rays = (straight / length[..., None])[None]
        if depth is not None and bool((depth > 0).any()):
            distance = (depth * length)[None]
    if cam_from_world is not None:
        world_from_cam = invert_rigid(cam_from_world)
        quat, centers = quat_xyzw_from_matrix(world_from_cam[:, :3, :3])[None], world_from_cam[None, :, :3, 3]
    return KnownGeometry(rays, distance, quat, centers)


def known_of_scenes(
    hw: tuple[int, int], intrinsics: Tensor | None, cam_from_world: Tensor | None, depth: Tensor | None
) -> KnownGeometry:
    """Make the same of B scenes of S views.

    Args:
        hw: Rows and columns of the pictures.
        intrinsics: (B, S, 3, 3) pixels, counted from pixel centres; None = unknown.
        cam_from_world: (B, S, 4, 4) metres; None = unknown.
        depth: (B, S, H, W) z-depth in metres, 0 = not measured; told only where rays are known.

    Returns:
        The batch; a view without depth is told as such where others have some.
    """
    known = [item for item in (intrinsics, cam_from_world, depth) if item is not None]
    if not known:
        return KnownGeometry()
    leading = known[0].shape[:2]
    flat = (None if item is None else item.flatten(0, 1) for item in (intrinsics, cam_from_world, depth))
    made = known_of_views(hw, *flat)
    parts = (made.rays, made.distance, made.quat_xyzw, made.centers)
    return KnownGeometry(*(None if part is None else part[0].unflatten(0, leading) for part in parts))


def cameras_of_output(output: MapAnythingOutput) -> tuple[Tensor, Tensor]:
    """Return cam_from_world (B, S, 4, 4), the world being the first view's camera, and intrinsics (B, S, 3, 3) in pixels."""
    world_from_cam = rigid(matrix_from_quat_xyzw(output.quat_xyzw), output.centers)
    return invert_rigid(world_from_cam), pinhole_of_rays(output.rays)


def z_depth_of_output(output: MapAnythingOutput) -> Tensor:
    """Return z-depth (B, S, H, W) in metres; 0 where a pixel shows no surface or looks backwards."""
    depth = output.distance * output.rays[..., 2]
    return torch.where((output.valid_logits > 0) & (depth > 0), depth, 0.0)


def pinhole_of_rays(rays: Tensor) -> Tensor:
    """Fit pinhole cameras to rays.

    Args:
        rays: (..., H, W, 3) directions.

    Returns:
        (..., 3, 3) pixels, counted from pixel centres: least squares of x / z over columns and of y / z over rows.
    """
    height, width = rays.shape[-3:-1]
    slopes = rays[..., :2] / rays[..., 2:].clamp_min(1e-6)
    made = torch.zeros(*rays.shape[:-3], 3, 3, device=rays.device, dtype=rays.dtype)
    made[..., 2, 2] = 1
    for axis, size in ((0, width), (1, height)):
        own = slopes[..., axis].mean(-2 if axis == 0 else -1)
        places = torch.arange(size, device=rays.device, dtype=rays.dtype)
        away = places - places.mean()
        slope = (own * away).sum(-1) / away.square().sum()
        made[..., axis, axis] = 1 / slope
        made[..., axis, 2] = places.mean() - own.mean(-1) / slope
    return made
