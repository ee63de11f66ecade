"""Spheres and upright boxes on a table, seen exactly: every pixel's depth and owner by ray casting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import CameraView, InstanceSet

HEIGHT, WIDTH = 112, 144
LABELS = LabelSpace.things(("ball", "box"))


@dataclass(frozen=True)
class Ball:
    center: tuple[float, float, float]
    radius: float
    rgb: tuple[float, float, float] = (0.8, 0.1, 0.1)

    def distance(self, origins: Tensor, rays: Tensor) -> Tensor:
        """z-depth at which (N, 3) rays meet the surface, infinity where they do not."""
        away = origins - torch.tensor(self.center)
        a, b, c = (rays * rays).sum(-1), (rays * away).sum(-1), (away * away).sum(-1) - self.radius**2
        inside = b * b - a * c
        return torch.where(inside > 0, (-b - inside.clamp_min(0).sqrt()) / a, torch.inf)


@dataclass(frozen=True)
class Block:
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float = 0.0
    rgb: tuple[float, float, float] = (0.1, 0.2, 0.8)

    def distance(self, origins: Tensor, rays: Tensor) -> Tensor:
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        start, direction = (origins - torch.tensor(self.center)) @ turn, rays @ turn
        half = torch.tensor(self.size) / 2
        near = (-half * direction.sign() - start) / direction.where(direction.abs() > 1e-9, torch.tensor(1e-9))
        far = (half * direction.sign() - start) / direction.where(direction.abs() > 1e-9, torch.tensor(1e-9))
        enter, leave = near.amax(-1), far.amin(-1)
        return torch.where((enter < leave) & (enter > 0), enter, torch.inf)


def camera_ring(count: int = 4, distance: float = 0.7, arc_deg: float = 104.0) -> Tensor:
    """(S, 4, 4) cameras on an arc at two heights, looking at the table's centre."""
    cameras = []
    for k in range(count):
        azimuth = math.radians(-arc_deg / 2 + arc_deg * (k / max(count - 1, 1)))
        elevation = math.radians(38.0 if k % 2 else 50.0)
        flat = math.cos(elevation)
        eye = torch.tensor([math.cos(azimuth) * flat, math.sin(azimuth) * flat, math.sin(elevation)])
        cameras.append(look_at(distance * eye, torch.tensor([0.0, 0.0, 0.02])))
    return torch.stack(cameras)


@dataclass(frozen=True)
class Scene:
    views: list[CameraView]
    depth: Tensor  # (S, h, w) true z-depth
    ids: Tensor  # (S, h, w) 0 = table, k = object k - 1
    objects: tuple[Ball | Block, ...]

    @property
    def centers(self) -> Tensor:
        return torch.tensor([item.center for item in self.objects])

    def instance_set(self, *, half_size: bool = True, mask_shift: tuple[float, ...] | None = None) -> InstanceSet:
        """What a perfect network says about the ids; `mask_shift` grows or shrinks the masks of each view (pixels)."""
        masks = torch.stack([(self.ids == k + 1).float() for k in range(len(self.objects))])
        logits = 8.0 * (signed_distance(masks) + torch.tensor(mask_shift or (0.0,)).reshape(1, -1, 1, 1)).clamp(-1, 1)
        if half_size:
            logits = torch.nn.functional.avg_pool2d(logits, 2)
        kinds = torch.tensor([0 if isinstance(item, Ball) else 1 for item in self.objects])
        class_logits = torch.cat([4.0 * torch.nn.functional.one_hot(kinds, 2).float(), torch.zeros(len(kinds), 1)], dim=1)
        scores = torch.linspace(0.95, 0.8, len(self.objects))
        return InstanceSet(logits, class_logits, scores, LABELS)


def signed_distance(masks: Tensor, reach: int = 3) -> Tensor:
    """(Q, S, h, w) 0/1 -> roughly the distance to the outline in pixels, positive inside, up to `reach`."""
    distance = masks - 0.5
    grown, shrunk = masks, masks
    for _ in range(reach):
        grown = torch.nn.functional.max_pool2d(grown, 3, 1, 1)
        shrunk = -torch.nn.functional.max_pool2d(-shrunk, 3, 1, 1)
        distance = distance + (shrunk - (1 - grown))
    return distance + 0.0 * masks


def cast(
    objects: tuple[Ball | Block, ...],
    cameras: Tensor | None = None,
    *,
    focal: float = 140.0,
    image_hw: tuple[int, int] = (HEIGHT, WIDTH),
) -> Scene:
    """Scene on a table at z = 0."""
    cameras = camera_ring() if cameras is None else cameras
    height, width = image_hw
    intrinsics = torch.tensor([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
    views, depths, all_ids = [], [], []
    for k, cam_from_world in enumerate(cameras):
        world_from_cam = invert_rigid(cam_from_world)
        rays = pixel_rays(intrinsics, pixel_grid(height, width).reshape(-1, 2)) @ world_from_cam[:3, :3].T
        origins = world_from_cam[:3, 3].expand_as(rays)
        table = torch.where(rays[:, 2] < -1e-6, -origins[:, 2] / rays[:, 2], torch.tensor(10.0))
        distances = torch.stack([table, *(item.distance(origins, rays) for item in objects)])
        depth, ids = distances.min(dim=0)
        colors = torch.tensor([(0.6, 0.55, 0.5), *(item.rgb for item in objects)])[ids]
        depths.append(depth.reshape(height, width))
        all_ids.append(ids.reshape(height, width))
        views.append(
            CameraView(
                image=colors.reshape(height, width, 3).permute(2, 0, 1).contiguous(),
                intrinsics=intrinsics,
                cam_from_world=cam_from_world,
                depth=depths[-1],
                stamp_ns=1_000_000_000 + k,
                frame_id=f"cam{k}_optical",
                camera=f"cam{k}",
            )
        )
    return Scene(views, torch.stack(depths), torch.stack(all_ids), objects)


TABLE_SCENE = (
    Ball((0.05, -0.12, 0.03), 0.03),
    Block((-0.08, 0.02, 0.04), (0.06, 0.05, 0.08), 0.4),
    Block((0.1, 0.12, 0.015), (0.1, 0.06, 0.03), -0.7, (0.1, 0.7, 0.2)),
    Ball((-0.05, -0.16, 0.04), 0.04, (0.9, 0.8, 0.1)),
)
