"""Cameras of EPS3D: of views that the Gaussians were not made from, and how it counts pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from pan3d_core.models.vggt.network import VGGT

SMALLEST_LENGTH = 1e-6


def counted_from_centers(intrinsics: Tensor) -> Tensor:
    """Count pixels of intrinsics (..., 3, 3) from the first one's centre instead of the image's corner, as EPS3D does."""
    half_pixel = torch.zeros_like(intrinsics)
    half_pixel[..., :2, 2] = 0.5
    return intrinsics - half_pixel


@torch.no_grad()
def novel_cameras(
    vggt: VGGT, images: Tensor, context: Tensor, aggregator_dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """Find cameras of views that no Gaussians come from, in the frame and unit of those that they do come from.

    A second pass sees all views; its translations are scaled so that those of the context have their first length. (The published
    program divides means of signed coordinates instead, which may be near 0.) With one view in the context, or cameras on one
    spot, the second pass's own unit stays.

    Args:
        vggt: The network that found the context's cameras.
        images: (B, V, 3, H, W) RGB 0..1, the first N of them being the context.
        context: (B, N, 4, 4) `cam_from_world` of the context, the first one the identity.
        aggregator_dtype: As in `VGGT.features`.

    Returns:
        `cam_from_world` (B, V - N, 4, 4) and intrinsics (B, V - N, 3, 3) in pixels.
    """
    count = context.shape[1]
    cam_from_world, intrinsics = vggt(images, aggregator_dtype=aggregator_dtype).cameras()
    first, second = (poses[:, :count, :3, 3].norm(dim=-1).mean(1) for poses in (context, cam_from_world))
    known = (first > SMALLEST_LENGTH) & (second > SMALLEST_LENGTH)
    ratio = torch.where(known, first / second.clamp_min(SMALLEST_LENGTH), 1.0)
    novel = cam_from_world[:, count:].clone()
    novel[..., :3, 3] *= ratio[:, None, None]
    return novel, intrinsics[:, count:]
