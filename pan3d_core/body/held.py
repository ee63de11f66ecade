"""What a robot holds, as a part of its body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.body.description import LinkShape
from pan3d_core.body.surfaces import convex_triangles
from pan3d_core.geometry.transforms import invert_rigid, transform_points

LEAST_POINTS = 8
THINNEST_M = 0.002


@dataclass(frozen=True)
class HeldObject:
    """An object that moves with a link."""

    instance_id: int
    shape: LinkShape  # closed hull of what was seen of it


def held_object(instance_id: int, points: Tensor, bottom_m: float, link: str, world_from_link: Tensor) -> HeldObject:
    """Fasten an object to a link where it is now.

    Args:
        instance_id: Of the object.
        points: (N, 3) metres, world: its surface as it was seen.
        bottom_m: World height of what it stood on, down to which it is taken to reach below what was seen of it.
        link: That holds it.
        world_from_link: (4, 4) where the link is.

    Returns:
        The object, as a convex hull.

    Raises:
        ValueError: The points are too few, or lie in an upright plane.
    """
    if len(points) < LEAST_POINTS:
        raise ValueError(f"object {instance_id}: expected {LEAST_POINTS} points of its surface or more, got {len(points)}")
    seen = points.double().cpu()
    below = seen.clone()
    below[:, 2] = torch.minimum(seen[:, 2] - THINNEST_M, torch.full_like(seen[:, 2], bottom_m))
    local = transform_points(invert_rigid(world_from_link.double().cpu()), torch.cat([seen, below])).numpy()
    vertices, faces = convex_triangles(np.asarray(local, np.float64))
    return HeldObject(instance_id, LinkShape(link, vertices, faces))
