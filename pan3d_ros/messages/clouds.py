"""Labelled point clouds as sensor_msgs PointCloud2."""

from __future__ import annotations

import numpy as np
import torch
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.pictures.palette import UNASSIGNED, class_colors
from pan3d_core.structures import Panoptic3D
from pan3d_ros.platform.cloud_stand_ins import create_cloud, read_points

# rgb is 0x00RRGGBB in the bits of a float32, as PCL and RViz expect it. Two bytes after `label` keep
# `instance` aligned.
_NAMES = ["x", "y", "z", "rgb", "label", "instance", "confidence"]
_OFFSETS = [0, 4, 8, 12, 16, 20, 24]
POINT = np.dtype(
    {
        "names": _NAMES,
        "formats": ["<f4", "<f4", "<f4", "<f4", "<u2", "<u4", "<f4"],
        "offsets": _OFFSETS,
        "itemsize": 28,
    }
)
_FIELD_TYPES = {"label": PointField.UINT16, "instance": PointField.UINT32}
_FIELDS = [
    PointField(name=name, offset=offset, datatype=_FIELD_TYPES.get(name, PointField.FLOAT32), count=1)
    for name, offset in zip(_NAMES, _OFFSETS)
]


def label_of_class(class_id: int) -> int:
    """Value of the field `label`: 0 = unnamed, otherwise class_id + 1."""
    return class_id + 1


def pack_rgb(colors: Tensor) -> np.ndarray:
    """(N, 3) RGB in 0..1 -> (N,) float32 with the bits of 0x00RRGGBB."""
    levels = colors.detach().cpu().clamp(0, 1).mul(255).round().to(torch.uint8).numpy().astype(np.uint32)
    return ((levels[:, 0] << 16) | (levels[:, 1] << 8) | levels[:, 2]).view(np.float32)


def unpack_rgb(packed: np.ndarray) -> np.ndarray:
    """(N,) field `rgb` -> (N, 3) uint8."""
    bits = np.ascontiguousarray(packed).view(np.uint32)
    return np.stack([bits >> 16 & 255, bits >> 8 & 255, bits & 255], axis=-1).astype(np.uint8)


def cloud_records(panoptic: Panoptic3D, instance_ids: set[int] | None = None, max_points: int = 0) -> np.ndarray:
    """Lay out the cloud of a result as a message has it.

    Every k-th point is kept when there are too many, so the share of each object stays the same.

    Args:
        panoptic: With its points.
        instance_ids: Only points of these; None = all.
        max_points: At most so many; 0 = all.

    Returns:
        (N,) records of type `POINT`, metres; `confidence` is the score of the point's object, 0 for points of no object.
    """
    instance = panoptic.point_instance_id.detach().cpu().numpy()
    chosen = np.arange(len(instance)) if instance_ids is None else np.flatnonzero(np.isin(instance, list(instance_ids)))
    if max_points and len(chosen) > max_points:
        chosen = chosen[np.linspace(0, len(chosen) - 1, max_points).astype(np.int64)]
    top = max([0, *(s.instance_id for s in panoptic.segments)])
    labels, scores = np.zeros(top + 1, np.uint16), np.zeros(top + 1, np.float32)
    for segment in panoptic.segments:
        labels[segment.instance_id] = label_of_class(segment.class_id)
        scores[segment.instance_id] = segment.score
    instance = instance[chosen]
    known = np.where(instance <= top, instance, 0)
    picked = torch.from_numpy(chosen).to(panoptic.points.device)
    xyz = panoptic.points[picked].detach().cpu().numpy()
    records = np.empty(len(chosen), POINT)
    records["x"], records["y"], records["z"] = xyz[:, 0], xyz[:, 1], xyz[:, 2]
    records["rgb"] = pack_rgb(panoptic.point_colors[picked])
    records["label"], records["instance"], records["confidence"] = labels[known], instance, scores[known]
    return records


def by_class(records: np.ndarray, labels: LabelSpace) -> np.ndarray:
    """Colour records by class.

    Args:
        records: (N,) of type `POINT`; stay as they are.
        labels: Classes that their field `label` counts, from 1 on.

    Returns:
        (N,) records with `rgb` of the class's colour in `palette.class_colors`, grey where `label` is 0.
    """
    colors = pack_rgb(torch.tensor([UNASSIGNED, *class_colors(labels.names)]) / 255)
    colored = records.copy()
    colored["rgb"] = colors[records["label"]]
    return colored


def cloud_message(records: np.ndarray, header: Header) -> PointCloud2:
    """Make a PointCloud2.

    Args:
        records: (N,) of type `POINT`, without NaN.
        header: Of the message.

    Returns:
        One row of N points, dense.
    """
    message = create_cloud(header, _FIELDS, records)
    message.is_dense = True
    return message


def cloud_from_message(message: PointCloud2) -> np.ndarray:
    """(N,) records of type `POINT` of a cloud made by `cloud_message`; other layouts are refused."""
    names = [field.name for field in message.fields]
    if names != _NAMES or message.point_step != POINT.itemsize:
        raise ValueError(f"PointCloud2.fields: expected {_NAMES} of {POINT.itemsize} bytes, got {names}")
    return read_points(message).reshape(-1)
