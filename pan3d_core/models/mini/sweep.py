"""Plane sweep over heights (Collins 1996) for calibrated views: do the other views show the same where a pixel's ray passes
each height above the support? A surface answers yes at its own height, which is what a single view cannot know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class SweepGrid:
    """Where each of S views of B scenes looks in N others; a view alone has one other, itself, in which nothing is seen."""

    other: Tensor  # (S, N) int64, the views that each is compared with
    place: Tensor  # (B, S, N, D h, w, 2) as `grid_sample` counts, of the points of all heights
    inside: Tensor  # (B, S, N, D, h, w) 1 where the other view sees the point, else 0
    seen: Tensor  # (B, S, D, h, w) by how many


def sweep_grid(rays: PlaneRays, cam_from_plane: Tensor, intrinsics: Tensor, levels: tuple[float, ...] = HEIGHTS_M) -> SweepGrid:
    """Find the pixels of the other views in which a height above each pixel would be seen.

    Args:
        rays: Of B scenes of S views, on the grid h x w of stride 4.
        cam_from_plane: (B, S, 4, 4) metres.
        intrinsics: (B, S, 3, 3) pixels of the whole picture.
        levels: D heights in metres.

    Returns:
        For the same scenes.
    """
    batch, views, height, width = rays.plane_depth.shape
    others = max(1, min(views - 1, MAX_OTHERS))
    steps = torch.arange(1, others + 1, device=cam_from_plane.device)
    other = (torch.arange(views, device=steps.device)[:, None] + steps) % views
    points = sweep_points(rays, cam_from_plane, levels).flatten(2, 3)[:, :, None]
    pose = cam_from_plane[:, other]
    in_cam = points @ pose[..., :3, :3].transpose(-1, -2) + pose[..., None, :3, 3]
    z = in_cam[..., 2:]
    pixels = (in_cam / z.clamp_min(NEAREST_M)) @ intrinsics[:, other].transpose(-1, -2)
    # Integer pixels are centres; grid_sample's -1 and 1 are the outer edges of the image.
    size = 4.0 * points.new_tensor([width, height])
    place = (2 * pixels[..., :2] + 1) / size - 1
    inside = ((place.abs() < 1).all(-1) & (z[..., 0] > NEAREST_M)).float().unflatten(-1, (len(levels), height, width))
    if views == 1:
        inside = torch.zeros_like(inside)
    place = place.clamp(-2, 2).unflatten(3, (len(levels) * height, width))
    return SweepGrid(other, place, inside, inside.sum(2))


class HeightSweep(nn.Module):
    """Likeness of each pixel to the other views at each height, as features at stride 4."""

    def __init__(self, inputs: int, outputs: int, levels: tuple[float, ...] = HEIGHTS_M, channels: int = 8) -> None:
        super().__init__()
        self.levels = levels
        self.describe = nn.Conv2d(inputs, channels, 3, padding=1)
        self.project = nn.Conv2d(3 * len(levels), outputs, 1)
        for parameter in self.project.parameters():
            nn.init.zeros_(parameter)

    def forward(self, f2: Tensor, grid: SweepGrid, posed: Tensor) -> Tensor:
        """Compare views, all pairs of them at once.

        Args:
            f2: (B S, inputs, H/2, W/2).
            grid: Of the same views.
            posed: (B,) 1 or 0.

        Returns:
            (B S, outputs, H/4, W/4), 0 without poses. One view alone answers as if the others looked elsewhere.
        """
        batch, views = grid.inside.shape[:2]
        described = self.describe(f2).float()
        own = F.normalize(F.avg_pool2d(described, 2), dim=1).unflatten(0, (batch, views))
        described = F.normalize(described, dim=1).unflatten(0, (batch, views))
        total = best = torch.zeros_like(grid.seen)
        for part in self._parts(grid):
            likeness = _likeness(described, own, part)
            total, best = total + likeness.sum(2), torch.maximum(best, likeness.amax(2))
        features = torch.cat([total / grid.seen.clamp_min(1), best, grid.seen / 3], dim=2).flatten(0, 1)
        flag = posed.repeat_interleave(views)[:, None, None, None]
        projected: Tensor = self.project(features * flag)
        return projected * flag

    @staticmethod
    def _parts(grid: SweepGrid) -> Iterator[SweepGrid]:
        """The grid one other view after the other, as fits a processor's cache; a graph for any number of views has no loop."""
        if torch.compiler.is_exporting():
            yield grid
            return
        for number in range(grid.other.shape[1]):
            one = slice(number, number + 1)
            yield replace(grid, other=grid.other[:, one], place=grid.place[:, :, one], inside=grid.inside[:, :, one])


def _likeness(described: Tensor, own: Tensor, grid: SweepGrid) -> Tensor:
    """Maps (B, S, C, 2 h, 2 w) of the other views compared with own (B, S, C, h, w) at each height: (B, S, N, D, h, w)."""
    batch, views, others, levels, height, _ = grid.inside.shape
    sampled = F.grid_sample(described[:, grid.other].flatten(0, 2), grid.place.flatten(0, 2), align_corners=False)
    sampled = sampled.unflatten(0, (batch, views, others)).unflatten(-2, (levels, height))
    likeness: Tensor = (sampled * own[:, :, None, :, None]).sum(3) * grid.inside
    return likeness
