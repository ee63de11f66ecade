"""What a robot holds, as a part of its body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pan3d_core.body.description import LinkShape
from pan3d_core.body.surfaces import convex_triangles
from pan3d_core.geometry.transforms import invert_rigid, transform_points

LEAST_POINTS = 8


@dataclass(frozen=True)
class HeldObject:
    """An object that moves with a link."""

    instance_id: int
    shape: LinkShape  # closed hull of what was seen of it


def held_object(instance_id: int, points: Tensor, link: str, world_from_link: Tensor) -> HeldObject:
    """Fasten an object to a link where it is now.

    Args:
        instance_id: Of the object.
        points: (N, 3) metres, world: its surface as it was seen.
        link: That holds it.
        world_from_link: (4, 4) where the link is.

    Returns:
        The object, as the convex hull of its points.

    Raises:
        ValueError: The points are too few, or lie in a plane.
    """
    if len(points) < LEAST_POINTS:
        raise ValueError(f"object {instance_id}: expected {LEAST_POINTS} points of its surface or more, got {len(points)}")
    local = transform_points(invert_rigid(world_from_link.double().cpu()), points.double().cpu()).numpy()
    # The side that no camera has seen is missing; what was seen is enough for those that see it still.
    vertices, faces = convex_triangles(np.asarray(local, np.float64))
    return HeldObject(instance_id, LinkShape(link, vertices, faces))
