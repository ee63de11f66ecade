"""What data sets say of a scan beyond objects in pictures: truth on vertices, and names of everything that is annotated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MeshTruth:
    """Truth on the N vertices of a scan, numbered as the ScanNet benchmark numbers it."""

    vertices: Tensor  # (N, 3) float32 metres, world
    ids: Tensor  # (N,) int64 label * 1000 + instance, 0 = not annotated
    class_of_label: dict[int, int]  # label -> index into `SceneTruth.labels`; ids of other labels are void
    superpoints: Tensor | None = None  # (N,) int64 piece of the published over-segmentation that holds each vertex
    # Depth for the test whether a view sees a vertex, per view or None: as the sensor measured it, at its own size, or where
    # there was no sensor as it was rendered.
    sensor_depth: tuple[Tensor | None, ...] = ()  # (Hd, Wd) z-depth, metres, 0 = none
    sensor_intrinsics: tuple[Tensor | None, ...] = ()  # (3, 3) pixels of the depth image


@dataclass(frozen=True)
class RegionTruth:
    """What every annotated pixel belongs to, walls and floors included, by the data set's own names."""

    ids: tuple[Tensor, ...]  # per view (H, W) integers, 0 = not annotated; an object has its id of `instance_ids`
    names: Mapping[int, str]  # id -> name of its class
