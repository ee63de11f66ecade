"""A table with coloured boxes on it, ray-cast exactly: posed images, z-depth and instance ids without any renderer."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.structures import CameraView

TABLE_HALF_M = 0.4
TABLE_RGB = (0.55, 0.5, 0.45)
LIGHT = torch.nn.functional.normalize(torch.tensor([0.3, -0.4, 0.9]), dim=0)
EYES = ((-0.62, -0.05, 0.42), (0.1, 0.6, 0.5), (0.6, 0.1, 0.4), (-0.1, -0.55, 0.55))


@dataclass(frozen=True)
class Block:
    """Axis-aligned box, metres; `rgb` 0..1."""

    center: tuple[float, float, float]
    size: tuple[float, float, float]
    rgb: tuple[float, float, float]


@dataclass(frozen=True)
class SyntheticCell:
    views: list[CameraView]
    ids: Tensor  # (S, H, W) int64, k = blocks[k - 1]
    blocks: list[Block]


BLOCKS = [
    Block((-0.12, 0.05, 0.04), (0.06, 0.08, 0.08), (0.85, 0.15, 0.1)),
    Block((0.10, 0.12, 0.025), (0.10, 0.05, 0.05), (0.1, 0.3, 0.8)),
    Block((0.08, -0.10, 0.06), (0.05, 0.05, 0.12), (0.15, 0.65, 0.2)),
]


def _hit_box(origin: Tensor, rays: Tensor, block: Block) -> tuple[Tensor, Tensor]:
    """(N, 3) rays from (3,) origin -> ray parameter (N,) (inf = miss) and outward normals (N, 3)."""
    center, half = torch.tensor(block.center), torch.tensor(block.size) / 2
    inverse = 1.0 / torch.where(rays.abs() < 1e-9, torch.full_like(rays, 1e-9), rays)
    first, second = (center - half - origin) * inverse, (center + half - origin) * inverse
    near, axis = torch.minimum(first, second).max(dim=1)
    far = torch.maximum(first, second).min(dim=1).values
    normals = torch.zeros_like(rays).scatter_(1, axis[:, None], -rays.gather(1, axis[:, None]).sign())
    return torch.where((near < far) & (near > 0), near, torch.inf), normals


def render_cell(blocks: list[Block], num_views: int = 4, width: int = 160, height: int = 120) -> SyntheticCell:
    """Cameras of `EYES` looking at the table's middle; rays have z = 1, so their parameter is z-depth."""
    focal = 0.9 * width
    intrinsics = torch.tensor([[focal, 0.0, width / 2 - 0.5], [0.0, focal, height / 2 - 0.5], [0.0, 0.0, 1.0]])
    views, ids = [], []
    table = Block((0.0, 0.0, -0.01), (2 * TABLE_HALF_M, 2 * TABLE_HALF_M, 0.02), TABLE_RGB)
    for index, eye in enumerate(EYES[:num_views]):
        cam_from_world = look_at(torch.tensor(eye), torch.tensor([0.0, 0.0, 0.03]))
        world_from_cam = invert_rigid(cam_from_world)
        rays = pixel_rays(intrinsics, pixel_grid(height, width).reshape(-1, 2)) @ world_from_cam[:3, :3].T
        hits = [_hit_box(world_from_cam[:3, 3], rays, block) for block in [table, *blocks]]
        depth, nearest = torch.stack([hit[0] for hit in hits]).min(dim=0)
        normals = torch.stack([hit[1] for hit in hits])[nearest, torch.arange(len(rays))]
        shade = 0.35 + 0.65 * (normals @ LIGHT).clamp_min(0)
        colors = torch.tensor([block.rgb for block in [table, *blocks]])[nearest] * shade[:, None]
        missed = ~torch.isfinite(depth)
        depth[missed], nearest[missed], colors[missed] = 0.0, 0, 0.2
        views.append(
            CameraView(
                image=colors.T.reshape(3, height, width),
                intrinsics=intrinsics,
                cam_from_world=cam_from_world,
                depth=depth.reshape(height, width),
                stamp_ns=1_000 + index,
                frame_id=f"cam{index}_optical",
                camera=f"cam{index}",
            )
        )
        ids.append(nearest.reshape(height, width))
    return SyntheticCell(views, torch.stack(ids), list(blocks))


@pytest.fixture(scope="session")
def cell() -> SyntheticCell:
    """Four 160x120 views of three separate blocks."""
    return render_cell(BLOCKS)


@pytest.fixture(scope="session")
def make_cell():
    """`render_cell` and `Block`, for tests that lay their own table."""
    return render_cell, Block
