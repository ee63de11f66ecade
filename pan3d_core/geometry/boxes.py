"""Oriented boxes: fitted to points, compared, drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid, transform_points

Floats = npt.NDArray[np.float64]
# Points beyond this many are thinned before the yaw search, whose answer they no longer change.
MAX_YAW_POINTS = 256


@dataclass(frozen=True)
class OrientedBox:
    """Box with its own axes; `size_m` is the full extent along them."""

    world_from_box: Tensor  # (4, 4) origin at the centre
    size_m: Tensor  # (3,)


def upright_box(points: Tensor, trim_fraction: float = 0.0) -> OrientedBox:
    """Fit a box to (N, 3) points with z up: the yaw of least area, extents between trimmed quantiles; x is the longer side.

    A round outline has no yaw; among equal ones the smallest turn is taken, so the answer is stable.

    Args:
        points: In the world, z up.
        trim_fraction: Share of the points at each end of an axis that the box leaves out.

    Returns:
        The box, in the unit of the points.
    """
    if points.ndim != 2 or points.shape[1] != 3 or points.shape[0] == 0:
        raise ValueError(f"points: expected shape (1 or more, 3), got {tuple(points.shape)}")
    columns = np.ascontiguousarray(points.numpy(force=True).T, dtype=np.float64)
    flat = np.ascontiguousarray(columns[:2, :: max(1, columns.shape[1] // MAX_YAW_POINTS)])
    yaw = _least_area_yaw(flat, np.radians(np.arange(-45.0, 45.0, 5.0)), trim_fraction)
    yaw = _least_area_yaw(flat, yaw + np.radians(np.arange(-4.0, 5.0)), trim_fraction)

    cosine, sine = math.cos(yaw), math.sin(yaw)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    low, high = trimmed_extent(turn.T @ columns, trim_fraction)
    size, world_from_box = high - low, np.eye(4)
    world_from_box[:3, 3] = turn @ (low + high) / 2
    if size[1] > size[0]:
        turn, size = np.stack([turn[:, 1], -turn[:, 0], turn[:, 2]], axis=1), size[[1, 0, 2]]
    world_from_box[:3, :3] = turn
    return OrientedBox(*(torch.from_numpy(values).to(points) for values in (world_from_box, size)))


def trimmed_extent(values: Floats, trim_fraction: float) -> tuple[Floats, Floats]:
    """Measure where values lie without their outermost ones.

    NumPy, because its sort of short rows is several times faster than torch's; so the boxes are made on the CPU.

    Args:
        values: (..., N).
        trim_fraction: Share of the values that is left out at each end.

    Returns:
        Low and high, each (...,).
    """
    count = values.shape[-1]
    cut = min(int(trim_fraction * count), (count - 1) // 2)
    if cut == 0:
        return values.min(axis=-1), values.max(axis=-1)
    ordered = np.sort(values, axis=-1)
    return ordered[..., cut], ordered[..., count - 1 - cut]


def _least_area_yaw(flat: Floats, yaws: Floats, trim_fraction: float) -> float:
    """The yaw whose upright rectangle around (2, N) points is smallest."""
    cosines, sines = np.cos(yaws), np.sin(yaws)
    rows = np.stack([cosines, sines, -sines, cosines], axis=-1).reshape(-1, 2)
    low, high = trimmed_extent(rows @ flat, trim_fraction)
    sides = (high - low).reshape(-1, 2) + 1e-6
    area = sides[:, 0] * sides[:, 1] * (1 + 0.02 * np.abs(yaws))
    return float(yaws[area.argmin()])


def box_corners(box: OrientedBox) -> Tensor:
    """(8, 3) corners in the world; corner k has the signs of the bits of k (x lowest)."""
    bits = torch.tensor([[k & 1, k >> 1 & 1, k >> 2 & 1] for k in range(8)], device=box.size_m.device)
    return transform_points(box.world_from_box, (bits.to(box.size_m.dtype) - 0.5) * box.size_m)


def points_in_box(points: Tensor, box: OrientedBox, margin_m: float = 0.0) -> Tensor:
    """Tell which points lie in a box.

    Args:
        points: (N, 3) world, metres.
        box: The box.
        margin_m: How much larger the box is taken on every side.

    Returns:
        (N,) bool.
    """
    local = transform_points(invert_rigid(box.world_from_box), points)
    return (local.abs() <= box.size_m / 2 + margin_m).all(-1)


def box_iou(first: OrientedBox, second: OrientedBox) -> float:
    """Compute intersection over union of two boxes: exact when both stand upright, otherwise by 20 x 20 x 20 samples of each.

    Args:
        first: In one world with `second`.
        second: Of any orientation.

    Returns:
        0 to 1.
    """
    volumes = [max(float(box.size_m.prod()), 1e-12) for box in (first, second)]
    if _is_upright(first) and _is_upright(second):
        shared = _upright_intersection(first, second)
    else:
        shared = (_sampled_share(first, second) * volumes[0] + _sampled_share(second, first) * volumes[1]) / 2
    return shared / (volumes[0] + volumes[1] - shared)


def _is_upright(box: OrientedBox) -> bool:
    return abs(float(box.world_from_box[2, 2])) > 1 - 1e-6


def _upright_intersection(first: OrientedBox, second: OrientedBox) -> float:
    places = [(float(box.world_from_box[2, 3]), float(box.size_m[2]) / 2) for box in (first, second)]
    low, high = max(middle - half for middle, half in places), min(middle + half for middle, half in places)
    if high <= low:
        return 0.0
    return _clipped_area(_outline(first), _outline(second)) * (high - low)


def _outline(box: OrientedBox) -> list[tuple[float, float]]:
    """Horizontal outline, counter-clockwise."""
    (xx, xy, _, x), (yx, yy, _, y), *_ = box.world_from_box.tolist()
    length, width, _ = (side / 2 for side in box.size_m.tolist())
    ends = (-length, -width), (length, -width), (length, width), (-length, width)
    points = [(x + a * xx + b * xy, y + a * yx + b * yy) for a, b in ends]
    return points if _signed_area(points) > 0 else points[::-1]


def _signed_area(points: list[tuple[float, float]]) -> float:
    following = points[1:] + points[:1]
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, following)) / 2


def _clipped_area(subject: list[tuple[float, float]], clip: list[tuple[float, float]]) -> float:
    """Area of the intersection of two convex counter-clockwise polygons (Sutherland and Hodgman 1974)."""
    for (ax, ay), (bx, by) in zip(clip, clip[1:] + clip[:1]):
        if not subject:
            return 0.0
        sides = [(bx - ax) * (y - ay) - (by - ay) * (x - ax) for x, y in subject]
        kept = []
        for k, (point, side) in enumerate(zip(subject, sides)):
            before, side_before = subject[k - 1], sides[k - 1]
            if (side >= 0) != (side_before >= 0):
                share = side_before / (side_before - side)
                kept.append((before[0] + share * (point[0] - before[0]), before[1] + share * (point[1] - before[1])))
            if side >= 0:
                kept.append(point)
        subject = kept
    return _signed_area(subject) if len(subject) > 2 else 0.0


def _sampled_share(sampled: OrientedBox, other: OrientedBox) -> float:
    """Share of a regular grid in `sampled` that lies in `other`."""
    ticks = (torch.arange(20, dtype=sampled.size_m.dtype, device=sampled.size_m.device) + 0.5) / 20 - 0.5
    grid = torch.stack(torch.meshgrid(ticks, ticks, ticks, indexing="ij"), dim=-1).reshape(-1, 3)
    points = transform_points(sampled.world_from_box, grid * sampled.size_m)
    return float(points_in_box(points, other).float().mean())
