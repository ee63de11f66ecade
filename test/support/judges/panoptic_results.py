"""Results of perception with one pixel per object."""

from collections.abc import Sequence

import torch

from pan3d_core.labels import LabelSpace
from pan3d_core.structures import Panoptic3D, Segment


def panoptic_of(segments: Sequence[Segment], labels: LabelSpace, stamp_s: float = 0.0) -> Panoptic3D:
    """A single row of pixels: one that is nothing, then one of each segment."""
    ids = torch.tensor([[[0, *[item.instance_id for item in segments]]]])
    return Panoptic3D(
        semantic_id=torch.tensor([[[-1, *[item.class_id for item in segments]]]]),
        instance_id=ids,
        segments=tuple(segments),
        points=torch.zeros(ids.numel(), 3),
        point_colors=torch.zeros(ids.numel(), 3),
        point_instance_id=ids.flatten(),
        point_normals=torch.zeros(ids.numel(), 3),
        labels=labels,
        stamp_ns=int(stamp_s * 1e9),
    )


def ids_of(panoptic: Panoptic3D) -> list[int]:
    """Ids of the segments, in their order."""
    return [item.instance_id for item in panoptic.segments]
