"""What a camera sees of a triangle mesh: depth and triangle of every pixel, for data sets that publish only the mesh."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import transform_points

NEAR_M = 0.05  # triangles that reach closer are left out rather than clipped
DEPTH_STEP_M = 1e-6  # resolution of the depth comparison
CANDIDATES = 4_000_000  # pixels tested at once, which bounds the memory


def render_mesh(
    vertices: Tensor, triangles: Tensor, intrinsics: Tensor, cam_from_world: Tensor, hw: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """z-buffer of (N, 3) world vertices and (F, 3) triangles -> z-depth (H, W) metres, 0 = nothing, and triangle (H, W), -1.

    Both sides of a triangle are seen. Depth is exact on planes (1 / z is linear in the image).
    """
    pixels, z = project(transform_points(cam_from_world.double(), vertices.double()), intrinsics.double())
    corners, corner_z = pixels[triangles], z[triangles]
    low, high = corners.amin(1).ceil().clamp_min(0), corners.amax(1).floor()
    high = torch.minimum(high, torch.tensor([hw[1] - 1, hw[0] - 1], dtype=high.dtype))
    seen = (corner_z.amin(1) > NEAR_M) & (high >= low).all(1)
    area = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    numbers = torch.nonzero(seen & (area.abs() > 1e-12))[:, 0]
    sides = (high - low).amax(1)[numbers].long() + 1
    empty = torch.iinfo(torch.int64).max
    buffer = torch.full((hw[0] * hw[1],), empty, dtype=torch.int64)
    for side in 2 ** np.arange(int(np.ceil(np.log2(max(int(sides.max()) if len(sides) else 1, 1)))) + 1):
        group = numbers[(sides <= side) & (sides > side // 2)]
        for chunk in group.split(max(1, CANDIDATES // int(side) ** 2)):
            _draw(buffer, chunk, corners[chunk], corner_z[chunk], low[chunk], hw, int(side))
    covered = buffer != empty
    depth = torch.where(covered, (buffer >> 32).double() * DEPTH_STEP_M, 0.0).float()
    triangle = torch.where(covered, buffer & 0xFFFFFFFF, -1)
    return depth.reshape(hw), triangle.reshape(hw)


def _draw(
    buffer: Tensor, numbers: Tensor, corners: Tensor, corner_z: Tensor, low: Tensor, hw: tuple[int, int], side: int
) -> None:
    """Put triangles of at most `side` pixels into the buffer of keys (depth step, triangle number), smallest first."""
    offsets = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
    pixels = low[:, None] + offsets
    a, b, c = (corners[:, None, k] for k in range(3))
    area = _cross(b - a, c - a)
    weights = torch.stack([_cross(b - pixels, c - pixels), _cross(c - pixels, a - pixels), _cross(a - pixels, b - pixels)], -1)
    weights = weights / area[..., None]
    inside = (weights >= -1e-9).all(-1) & (pixels[..., 0] < hw[1]) & (pixels[..., 1] < hw[0])
    depth = 1.0 / (weights / corner_z[:, None]).sum(-1)
    keys = ((depth / DEPTH_STEP_M).round().long() << 32) | numbers[:, None]
    places = (pixels[..., 1] * hw[1] + pixels[..., 0]).long()
    buffer.scatter_reduce_(0, places[inside], keys[inside], "amin")


def _cross(first: Tensor, second: Tensor) -> Tensor:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
