"""The answer of perception beside the truth of the cell. No ROS in here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from pan3d_core.geometry.boxes import OrientedBox, box_iou
from pan3d_eval.metrics.average_precision import instance_ap, measure_overlaps
from pan3d_eval.metrics.depth import DepthErrors, depth_errors

FOUND_IOU = 0.25  # box IoU from which the prompted object counts as found
MIN_TRUE_PIXELS = 30  # at network size; smaller true instances do not count for AP


@dataclass(frozen=True)
class TrueInstance:
    """One object of the cell."""

    instance_id: int
    name: str
    color: str
    box: OrientedBox
    visible_pixels: tuple[int, ...]
    graspable: bool


@dataclass(frozen=True)
class TrueCamera:
    """What one camera really sees."""

    name: str
    rgb: np.ndarray  # (H, W, 3) uint8
    depth: np.ndarray  # (H, W) float32 metres, 0 = none
    instance_ids: np.ndarray  # (H, W) 0 = none
    intrinsics: np.ndarray  # (3, 3) pixels
    world_from_cam: np.ndarray  # (4, 4)


@dataclass(frozen=True)
class SeenInstance:
    """One object that perception reported."""

    instance_id: int
    name: str
    score: float
    box: OrientedBox


@dataclass(frozen=True)
class SeenCamera:
    """What perception made of one camera, at network size."""

    name: str
    depth: np.ndarray  # (h, w) float32 metres
    instance_ids: np.ndarray  # (h, w) 0 = none
    intrinsics: np.ndarray  # (3, 3) pixels at (h, w)


@dataclass(frozen=True)
class SceneErrors:
    """All instances and all cameras."""

    ap50: float  # class-agnostic, one mask over all views
    ap25: float
    depth: DepthErrors  # all pixels
    object_depth: DepthErrors  # pixels of objects only
    center_errors_mm: tuple[float, ...]  # of the reported boxes that overlap a true one by FOUND_IOU
    num_true: int
    num_seen: int


@dataclass(frozen=True)
class ObjectErrors:
    """The prompted object."""

    iou: float  # of the boxes
    center_error_mm: float
    size_error_mm: float  # largest difference of the sorted sides

    @property
    def found(self) -> bool:
        return self.iou >= FOUND_IOU


def sample_at_network(image: np.ndarray, true_intrinsics: np.ndarray, seen: SeenCamera) -> np.ndarray:
    """(H, W) values of the true image at the pixel centres of the network's image (h, w); 0 outside."""
    height, width = seen.depth.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return _sample(image, true_intrinsics @ np.linalg.inv(seen.intrinsics), columns, rows)


def ids_at_camera(truth: TrueCamera, seen: SeenCamera) -> np.ndarray:
    """(H, W) reported ids at the resolution of the camera; 0 where the network did not look."""
    height, width = truth.depth.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return _sample(seen.instance_ids, seen.intrinsics @ np.linalg.inv(truth.intrinsics), columns, rows)


def scene_errors(
    true_objects: list[TrueInstance], true_cameras: list[TrueCamera], seen: list[SeenInstance], seen_cameras: list[SeenCamera]
) -> SceneErrors:
    """Compare everything. Cameras are matched by name; the seen ones must be among the true ones."""
    by_name = {camera.name: camera for camera in true_cameras}
    true_ids, true_depth = [], []
    for camera in seen_cameras:
        truth = by_name[camera.name]
        true_ids.append(sample_at_network(truth.instance_ids.astype(np.int64), truth.intrinsics, camera))
        true_depth.append(sample_at_network(truth.depth, truth.intrinsics, camera))
    ids = torch.from_numpy(np.stack(true_ids))
    depth = torch.from_numpy(np.stack(true_depth))
    seen_ids = torch.from_numpy(np.stack([camera.instance_ids.astype(np.int64) for camera in seen_cameras]))
    seen_depth = torch.from_numpy(np.stack([camera.depth for camera in seen_cameras]))
    masks = torch.stack([seen_ids == item.instance_id for item in seen]) if seen else torch.zeros(0, *ids.shape, dtype=torch.bool)
    scores = torch.tensor([item.score for item in seen])
    overlaps = measure_overlaps(masks, scores, ids, min_points=MIN_TRUE_PIXELS)
    precision = instance_ap([overlaps], min_points=MIN_TRUE_PIXELS)
    return SceneErrors(
        ap50=precision.ap50,
        ap25=precision.ap25,
        depth=depth_errors(seen_depth, depth),
        object_depth=depth_errors(seen_depth, depth, ids > 0),
        center_errors_mm=_center_errors(true_objects, seen),
        num_true=precision.num_true,
        num_seen=len(seen),
    )


def object_errors(true_box: OrientedBox, seen_box: OrientedBox | None) -> ObjectErrors:
    """The prompted object; None = perception reported none."""
    if seen_box is None:
        return ObjectErrors(0.0, math.nan, math.nan)
    offset = (true_box.world_from_box[:3, 3] - seen_box.world_from_box[:3, 3]).norm()
    sides = (true_box.size_m.sort().values - seen_box.size_m.sort().values).abs().max()
    return ObjectErrors(box_iou(true_box, seen_box), 1000 * float(offset), 1000 * float(sides))


def choose_object(objects: list[TrueInstance], seed: int, image_pixels: int, *, unique_color: bool = False) -> TrueInstance:
    """The object that the demo asks for when nobody says: seen well by two cameras and, where there is one, graspable.

    `unique_color` puts objects first whose colour no other has, for engines that cannot name kinds.
    """
    enough = image_pixels // 600
    colors = [item.color for item in objects]
    preferences = [
        lambda item: sum(count >= enough for count in item.visible_pixels) >= 2,
        lambda item: not unique_color or colors.count(item.color) == 1,
        lambda item: item.graspable,
    ]
    candidates = objects
    for preferred in preferences:
        candidates = [item for item in candidates if preferred(item)] or candidates
    return candidates[seed % len(candidates)]


def _sample(image: np.ndarray, image_from_pixels: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Nearest values of `image` where the homography (3, 3) puts the pixels; 0 outside."""
    x, y, scale = image_from_pixels @ np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])
    column, row = np.rint(x / scale).astype(int), np.rint(y / scale).astype(int)
    inside = (column >= 0) & (row >= 0) & (column < image.shape[1]) & (row < image.shape[0])
    values = np.zeros(columns.size, image.dtype)
    values[inside] = image[row[inside], column[inside]]
    return values.reshape(columns.shape)


def _center_errors(true_objects: list[TrueInstance], seen: list[SeenInstance]) -> tuple[float, ...]:
    errors = []
    for item in seen:
        best = max(true_objects, key=lambda obj: box_iou(obj.box, item.box), default=None)
        if best is not None:
            result = object_errors(best.box, item.box)
            if result.found:
                errors.append(result.center_error_mm)
    return tuple(errors)
