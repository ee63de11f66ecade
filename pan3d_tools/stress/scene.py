"""A table with three boxes, and cameras that see it: pictures and depth by rays, in milliseconds and the same each time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
HEIGHT, WIDTH, FOCAL_PX = 120, 160, 150.0
TABLE_HALF_M = (0.6, 0.6)
GRAIN_M = 0.015  # side of the patches of the table's pattern


@dataclass(frozen=True)
class Box:
    """An upright box on the table."""

    low: tuple[float, float, float]  # metres, world
    high: tuple[float, float, float]
    rgb: tuple[int, int, int]


BOXES = (
    Box((-0.12, 0.06, 0.0), (-0.04, 0.14, 0.08), (200, 30, 30)),
    Box((0.06, 0.02, 0.0), (0.12, 0.10, 0.12), (40, 60, 210)),
    Box((-0.02, -0.16, 0.0), (0.08, -0.08, 0.05), (30, 160, 60)),
)
EYES = {"left": (-0.45, 0.38, 0.55), "front": (-0.55, 0.0, 0.5), "right": (-0.42, -0.40, 0.58)}  # metres, world


def intrinsics() -> Floats:
    """(3, 3) of every camera, pixels; the origin is the centre of the top left pixel."""
    return np.array([[FOCAL_PX, 0.0, (WIDTH - 1) / 2], [0.0, FOCAL_PX, (HEIGHT - 1) / 2], [0.0, 0.0, 1.0]])


def world_from_cam(camera: str) -> Floats:
    """(4, 4) pose of a camera that looks at the middle of the table, metres; OpenCV axes."""
    eye = np.array(EYES[camera])
    forward = np.array([0.0, 0.0, 0.03]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def render(camera: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Picture and depth of the scene.

    Args:
        camera: One of `EYES`.

    Returns:
        (H, W, 3) RGB and (H, W) z-depth in metres, 0 where nothing is.
    """
    pose = world_from_cam(camera)
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1).astype(np.float64)
    rays = pixels @ np.linalg.inv(intrinsics()).T @ pose[:3, :3].T  # of z-depth 1
    eye = pose[:3, 3]
    depth = np.full((HEIGHT, WIDTH), np.inf)
    table = -eye[2] / rays[..., 2]
    points = eye + table[..., None] * rays
    on_table = (table > 0) & (np.abs(points[..., 0]) < TABLE_HALF_M[0]) & (np.abs(points[..., 1]) < TABLE_HALF_M[1])
    depth[on_table] = table[on_table]
    patches = np.floor(points[..., :2] / GRAIN_M).astype(np.int64)
    grain = ((patches[..., 0] * 73856093) ^ (patches[..., 1] * 19349663)) % 97
    rgb = np.where(on_table[..., None], (110 + 0.9 * grain)[..., None] * np.array([1.0, 0.93, 0.8]), 40.0)
    for box in BOXES:
        with np.errstate(divide="ignore", invalid="ignore"):
            slabs = np.sort(np.stack([(np.array(side) - eye) / rays for side in (box.low, box.high)]), axis=0)
        entry, leave = slabs[0].max(-1), slabs[1].min(-1)
        hit = (entry < leave) & (entry > 0) & (entry < depth)
        depth[hit] = entry[hit]
        side = slabs[0].argmax(-1)[hit]
        rgb[hit] = np.array(box.rgb) * np.array([0.8, 0.65, 1.0])[side][:, None]
    return np.clip(rgb, 0, 255).astype(np.uint8), np.where(np.isfinite(depth), depth, 0.0).astype(np.float32)
