"""First-time work of an engine, done before the first real images."""

from __future__ import annotations

import torch

from pan3d_core.engines.facts import Engine
from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.transforms import look_at
from pan3d_core.structures import CameraView
from pan3d_core.views.preprocessing import preprocess


def warm_up(engine: Engine, num_cameras: int) -> None:
    """Run an engine once on an empty table, so that the first real images are not the slow ones.

    Args:
        engine: Any.
        num_cameras: How many views it will be given; some engines prepare themselves for each number.
    """
    height, width = 120, 160
    intrinsics = torch.tensor([[150.0, 0.0, 79.5], [0.0, 150.0, 59.5], [0.0, 0.0, 1.0]])
    rays = pixel_rays(intrinsics, pixel_grid(height, width).reshape(-1, 2))
    generator = torch.Generator().manual_seed(0)
    views = []
    for index in range(num_cameras):
        angle = torch.tensor(2 * torch.pi * index / num_cameras)
        eye = torch.stack([0.6 * angle.cos(), 0.6 * angle.sin(), torch.tensor(0.5)])
        cam_from_world = look_at(eye, torch.zeros(3))
        drop = (rays @ cam_from_world[:3, :3])[:, 2].clamp_max(-0.1)  # of each ray per metre of depth
        views.append(
            CameraView(
                image=torch.rand(3, height, width, generator=generator),
                intrinsics=intrinsics,
                cam_from_world=cam_from_world,
                depth=(-eye[2] / drop).reshape(height, width) if engine.facts.needs_depth else None,
                camera=f"warm-up {index}",
            )
        )
    with torch.inference_mode():
        engine(preprocess(views, engine.facts.preprocess, support_height_m=0.0))
