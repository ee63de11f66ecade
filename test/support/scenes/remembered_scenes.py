"""What a perfect engine says of ray-cast scenes, step by step, for memories to remember."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from raycast_scene import LABELS, Ball, Block, camera_ring, cast
from torch import Tensor

from pan3d_core.geometry.boxes import upright_box
from pan3d_core.memory import MemoryObject, WorldMemory
from pan3d_core.structures import Panoptic3D, Reconstruction, Segment

CAMERAS = camera_ring(3)


def seen(
    objects: Sequence[Ball | Block],
    stamp_s: float = 0.0,
    *,
    overlooked: Collection[int] = (),
    cameras: Tensor = CAMERAS,
    noise_m: float = 0.0,
) -> tuple[Panoptic3D, Reconstruction]:
    """Every object that a pixel shows as a segment, but those whose places in `objects` are `overlooked` (arms, misses).

    Segments are numbered by their order, as before tracking. `noise_m` of depth depends on the stamp alone.
    """
    scene = cast(tuple(objects), cameras, image_hw=(72, 96), focal=95.0)
    owners = scene.ids.clone()
    for index in overlooked:
        owners[owners == index + 1] = 0
    noise = torch.randn(scene.depth.shape, generator=torch.Generator().manual_seed(int(stamp_s * 1000)))
    intrinsics = torch.stack([view.intrinsics for view in scene.views])
    found = Reconstruction(scene.depth + noise_m * noise, torch.ones_like(scene.depth), intrinsics, cameras, True)
    images = torch.stack([view.image for view in scene.views])
    points, colors = found.world_points.reshape(-1, 3), images.permute(0, 2, 3, 1).reshape(-1, 3)
    segments = []
    for new, old in enumerate(owners.unique()[owners.unique() > 0].tolist(), start=1):
        mine = (owners == old).flatten()
        box = upright_box(points[mine], 0.01)
        views = int((owners == old).flatten(1).any(-1).sum())
        kind = 0 if isinstance(objects[old - 1], Ball) else 1
        color = colors[mine].median(0).values
        segments.append(Segment(100 + new, kind, 0.9, 0.9, int(mine.sum()), views, points[mine].mean(0), box, color))
        owners[owners == old] = 100 + new
    semantic = torch.full_like(owners, -1)
    panoptic = Panoptic3D(
        semantic, owners, tuple(segments), points, colors, owners.flatten(), torch.zeros_like(points), LABELS, int(stamp_s * 1e9)
    )
    return panoptic, found


def shown(memory: WorldMemory, objects: Sequence[Ball | Block], stamp_s: float, **options: object) -> list[int]:
    """Show a scene to a memory; the ids that it gives, by the objects' order in the picture."""
    return [item.instance_id for item in memory.update(*seen(objects, stamp_s, **options)).segments]  # type: ignore[arg-type]


def remembered(memory: WorldMemory, instance_id: int) -> MemoryObject:
    """The object of this id; `StopIteration` where there is none."""
    return next(item for item in memory.world.objects if item.instance_id == instance_id)
