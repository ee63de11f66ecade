"""Which measured points of a scene its views agree on.

A depth image is wrong in places: between two surfaces, on smooth things, where a network guesses. Every view is wrong in its
own way, so a point that is wrong lies where others look through. As in fusion of depth maps by visibility (Merrell et al. 2007):
a point that others see through more often than they see it is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import project, unproject_depth
from pan3d_core.geometry.transforms import transform_points

HIDDEN_OFTEN = 3  # assumed: views that have a surface close before a point that none sees, from which on it is inside something
INSIDE_WITHIN = 0.3  # assumed: share of its depth; what is farther behind a surface may be another thing, in its shadow


@dataclass(frozen=True)
class DepthImage:
    """What one view measured."""

    depth: Tensor  # (H, W) z-depth in metres, 0 or not finite = no measurement
    intrinsics: Tensor  # (3, 3) pixels
    cam_from_world: Tensor  # (4, 4)

    @property
    def measured(self) -> Tensor:
        """(H, W) bool."""
        return (self.depth > 0) & torch.isfinite(self.depth)

    @property
    def points(self) -> Tensor:
        """(H, W, 3) in the world."""
        return unproject_depth(self.depth, self.intrinsics, self.cam_from_world)


def agreed_pixels(images: Sequence[DepthImage], tolerance: float) -> list[Tensor]:
    """Find the pixels with depth whose points other images do not contradict.

    Of the images that look at the point some see a surface there; some see through it; for some it is hidden. It stays where as
    many or more see it as see through it, unless none sees it and it is close behind what many see: the far side of an object is
    hidden from some and seen from others, and far behind a table one view may see alone.

    Args:
        images: Depth of one scene, in one world.
        tolerance: Share of the depth within which two images see one surface.

    Returns:
        (H, W) bool per image.
    """
    kept = []
    for index, image in enumerate(images):
        stays = image.measured
        stays[stays.clone()] = agreed_points(image.points[stays], [*images[:index], *images[index + 1 :]], tolerance)
        kept.append(stays)
    return kept


def agreed_points(points: Tensor, images: Sequence[DepthImage], tolerance: float, own: int = 0) -> Tensor:
    """(P,) bool of points (P, 3), likewise; `own` of the images that see a point are those which it comes from, and count not."""
    seen, looked_through, hidden = (torch.zeros(len(points), dtype=torch.int64, device=points.device) for _ in range(3))
    for judge in images:
        gap, looks = _gaps(points, judge)
        seen += looks & (gap.abs() <= tolerance)
        looked_through += looks & (gap > tolerance)
        hidden += looks & (gap < -tolerance) & (gap > -INSIDE_WITHIN)
    seen = (seen - own).clamp_min(0)
    return (seen >= looked_through) & ((seen > 0) | (hidden < HIDDEN_OFTEN))


def _gaps(points: Tensor, judge: DepthImage) -> tuple[Tensor, Tensor]:
    """Distances (P,) of points (P, 3) to the surface that an image sees there, as shares of their depth, positive before it; and
    (P,) bool whether it sees one."""
    height, width = judge.depth.shape
    pixels, z = project(transform_points(judge.cam_from_world, points), judge.intrinsics)
    inside = (z > 0) & (pixels > -0.5).all(-1) & (pixels[:, 0] < width - 0.5) & (pixels[:, 1] < height - 0.5)
    column, row = pixels[:, 0].round().long().clamp(0, width - 1), pixels[:, 1].round().long().clamp(0, height - 1)
    surface = torch.where(judge.measured, judge.depth, 0.0)[row, column]
    return (surface - z) / z.clamp_min(1e-9), inside & (surface > 0)
