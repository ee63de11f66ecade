"""What the page shows of one object: its pictures, its place among others, the cloud of its scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pan3d_core.labelling.review import ReviewedObject, ReviewState, ScenePixels, best_views, thumbnail
from pan3d_core.labelling.review.pixels import box_of
from pan3d_core.pictures.overlays import montage
from pan3d_core.pictures.palette import Picture, instance_palette
from pan3d_core.structures import unit_range
from pan3d_core.views.scene_folder import Scene

THUMBNAILS, COLUMNS, SIDE_PX = 6, 3, 150
MAX_POINTS = 40_000  # of a cloud, so that a page that is far away follows
FAINT, TINT = 0.35, 0.6  # light of what is no object, and colour of other objects
RAY_TAN = 0.012  # how far beside the ray of a click a point may be, over its distance


@dataclass(frozen=True)
class Cloud:
    """The points of a scene that are drawn."""

    points: Tensor  # (N, 3) world, metres
    colors: Tensor  # (N, 3) RGB 0..1 as the cameras saw it
    ids: Tensor  # (N,) int64 object, 0 = none


def cloud_of(scene: Scene, pixels: ScenePixels) -> Cloud:
    """Take evenly spread points of all views.

    Args:
        scene: With images.
        pixels: Its objects and points.

    Returns:
        At most `MAX_POINTS`; none where no depth is known.
    """
    points = torch.cat([item.reshape(-1, 3) for item in pixels.points])
    colors = torch.cat([unit_range(view.image).permute(1, 2, 0).reshape(-1, 3) for view in scene.views])
    ids = torch.cat([item.reshape(-1) for item in pixels.ids])
    known = torch.isfinite(points[:, 0]).nonzero()[:, 0]
    rows = known[:: -(-len(known) // MAX_POINTS) or 1]
    return Cloud(points[rows], colors[rows], ids[rows])


def shown_colors(cloud: Cloud, object_id: int) -> npt.NDArray[np.uint8]:
    """Colour a cloud so that one object stands out.

    Args:
        cloud: Of a scene.
        object_id: The object, which keeps its colours.

    Returns:
        (N, 3) uint8 RGB: other objects by their ids, the rest dark.
    """
    palette = torch.from_numpy(instance_palette(int(cloud.ids.max()) if len(cloud.ids) else 0)).float() / 255
    others = torch.lerp(cloud.colors, palette[cloud.ids], TINT)
    colors = torch.where((cloud.ids > 0)[:, None], others, FAINT * cloud.colors)
    colors = torch.where((cloud.ids == object_id)[:, None], cloud.colors, colors)
    return (255 * colors).round().clamp(0, 255).to(torch.uint8).numpy()


def met_by_ray(cloud: Cloud, origin: Tensor, direction: Tensor) -> tuple[int, Tensor] | None:
    """Find what a click meets first.

    Args:
        cloud: Of a scene.
        origin: (3,) world.
        direction: (3,) of any length but 0.

    Returns:
        Id of the object, 0 = none, and the (3,) point; None where nothing is.
    """
    along = direction / direction.norm()
    offset = cloud.points - origin
    distance = offset @ along
    beside = (offset - distance[:, None] * along).norm(dim=1)
    near = ((distance > 0) & (beside < RAY_TAN * distance)).nonzero()[:, 0]
    if not len(near):
        return None
    row = near[distance[near].argmin()]
    return int(cloud.ids[row]), cloud.points[row]


def pictures_of(scene: Scene, pixels: ScenePixels, object_id: int) -> Picture | None:
    """Put an object's best views side by side, with their numbers.

    Args:
        scene: With images.
        pixels: Its objects.
        object_id: One of them.

    Returns:
        RGB; None where no view shows it.
    """
    rows = best_views(scene.views, pixels.inside(object_id), THUMBNAILS)
    if not rows:
        return None
    tiles = [thumbnail(scene.views[row], pixels, row, object_id, SIDE_PX) for row in rows]
    return montage(tiles, COLUMNS, [f"view {row}" for row in rows])


def facts_of(item: ReviewedObject, pixels: ScenePixels) -> str:
    """Say in a line what is known of an object."""
    views = sum(bool(mask.any()) for mask in pixels.inside(item.object_id))
    box = box_of(pixels, item.object_id)
    size = "size not known" if box is None else " × ".join(f"{100 * side:.1f}" for side in box.size_m.tolist()) + " cm"
    doubt = "in doubt, and void unless it is kept or named; " if item.doubtful and not item.decision else ""
    decided = f"decided by action {item.decided_by}" if item.decision else "nobody has decided yet"
    return f"{item.scene}/{item.object_id} {item.told}: {doubt}{views} views, {size}; {decided}"


def nearest_first(item: ReviewedObject, state: ReviewState, pixels: ScenePixels) -> tuple[ReviewedObject, ...]:
    """Order the other objects of a scene by how near they are.

    Args:
        item: The object.
        state: Of the review.
        pixels: Of the scene.

    Returns:
        The others; those of unknown place come last.
    """

    def middle(object_id: int) -> Tensor:
        points = pixels.of_object(object_id)
        return points.median(0).values if len(points) else torch.full((3,), torch.inf)

    here = middle(item.object_id)
    others = [other for other in state.of_scene(item.scene) if other.place != item.place]
    far = {other.place: float((middle(other.object_id) - here).norm().nan_to_num(torch.inf)) for other in others}
    return tuple(sorted(others, key=lambda other: (far[other.place], other.object_id)))
