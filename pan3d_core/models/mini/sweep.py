"""Plane sweep over heights (Collins 1996) for calibrated views: do the other views show the same where a pixel's ray passes
each height above the support? A surface answers yes at its own height, which is what a single view cannot know."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.models.mini.plane import PlaneRays

HEIGHTS_M = (0.0, 0.01, 0.02, 0.035, 0.05, 0.07, 0.09, 0.115, 0.14, 0.17, 0.2, 0.24)
HIGHEST_SHARE = 2 / 3  # of a camera's own height
MAX_OTHERS = 7  # views that each view is compared with: more cost in the square and are more than was trained with
NEAREST_M = 0.05  # points closer to a camera, or behind it, are not seen by it


def sweep_points(rays: PlaneRays, cam_from_plane: Tensor, levels: tuple[float, ...] = HEIGHTS_M) -> Tensor:
    """Points (B, S, D, h w, 3) in the plane frame where the rays (grid h x w) pass D heights in metres."""
    center = invert_rigid(cam_from_plane)[..., :3, 3]
    camera_height = center[..., 2:].clamp_min(NEAREST_M)
    # Rays of a low camera would pass the highest heights behind it: for it they end below.
    heights = torch.minimum(center.new_tensor(levels), HIGHEST_SHARE * camera_height)
    share = 1 - heights / camera_height
    depth = rays.plane_depth.flatten(2)[:, :, None] * share[..., None]
    return center[:, :, None, None] + rays.rays_plane.flatten(2, 3)[:, :, None] * depth[..., None]


class HeightSweep(nn.Module):
    """Likeness of each pixel to the other views at each height, as features at stride 4."""

    def __init__(self, inputs: int, outputs: int, levels: tuple[float, ...] = HEIGHTS_M, channels: int = 8) -> None:
        super().__init__()
        self.levels = levels
        self.describe = nn.Conv2d(inputs, channels, 3, padding=1)
        self.project = nn.Conv2d(3 * len(levels), outputs, 1)
        for parameter in self.project.parameters():
            nn.init.zeros_(parameter)

    def forward(self, f2: Tensor, rays: PlaneRays, cam_from_plane: Tensor, intrinsics: Tensor, posed: Tensor) -> Tensor:
        """f2 (B S, inputs, H/2, W/2), rays on the grid of stride 4, intrinsics (B, S, 3, 3) at full size ->
        (B S, outputs, H/4, W/4), 0 without poses. One view alone answers as if the others looked elsewhere."""
        batch, views, height, width = rays.plane_depth.shape
        described = self.describe(f2).float()
        own = F.normalize(F.avg_pool2d(described, 2), dim=1)[:, :, None]
        described = F.normalize(described, dim=1)
        points = sweep_points(rays, cam_from_plane, self.levels).flatten(2, 3)
        size = 2.0 * points.new_tensor([f2.shape[-1], f2.shape[-2]])
        total = best = seen = described.new_zeros(batch * views, len(self.levels), height, width)
        for offset in range(1, min(views, MAX_OTHERS + 1)):
            other = torch.arange(views).roll(-offset).to(points.device)
            pose = cam_from_plane[:, other]
            in_cam = points @ pose[..., :3, :3].transpose(-1, -2) + pose[..., None, :3, 3]
            z = in_cam[..., 2:]
            pixels = (in_cam / z.clamp_min(NEAREST_M)) @ intrinsics[:, other].transpose(-1, -2)
            # Integer pixels are centres; grid_sample's -1 and 1 are the outer edges of the image.
            place = (2 * pixels[..., :2] + 1) / size - 1
            inside = ((place.abs() < 1).all(-1) & (z[..., 0] > NEAREST_M)).float().reshape(seen.shape)
            place = place.clamp(-2, 2).reshape(batch * views, len(self.levels) * height, width, 2)
            maps = described.unflatten(0, (batch, views))[:, other].flatten(0, 1)
            sampled = F.grid_sample(maps, place, align_corners=False).unflatten(2, (len(self.levels), height))
            likeness = (sampled * own).sum(1) * inside
            total, seen, best = total + likeness, seen + inside, torch.maximum(best, likeness)
        features = torch.cat([total / seen.clamp_min(1), best, seen / 3], dim=1)
        flag = posed.repeat_interleave(views)[:, None, None, None]
        projected: Tensor = self.project(features * flag)
        return projected * flag
