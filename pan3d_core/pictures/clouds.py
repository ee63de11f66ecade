"""Clouds drawn by a small z-buffer of our own: no window, no graphics driver. Pictures are (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from pan3d_core.geometry.arrays import Floats
from pan3d_core.geometry.transforms import look_at
from pan3d_core.pictures.overlays import BACKGROUND, Line, project_lines
from pan3d_core.pictures.palette import Picture

FOCAL_FRACTION = 1.35  # of the picture's width: a mild telephoto, so that shapes look upright
GRID_COLOR = (205, 206, 208)


@dataclass(frozen=True)
class Viewpoint:
    """Where a picture of a cloud is taken from. Angles in degrees; azimuth 0 looks from +x, 90 from +y."""

    target: tuple[float, float, float]
    distance: float
    azimuth_deg: float
    elevation_deg: float = 35.0

    @property
    def cam_from_world(self) -> npt.NDArray[np.float64]:
        """(4, 4)."""
        azimuth, elevation = np.radians([self.azimuth_deg, self.elevation_deg])
        outward = [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        target = torch.tensor(self.target, dtype=torch.float64)
        cam_from_world: npt.NDArray[np.float64] = look_at(target + self.distance * torch.tensor(outward), target).numpy()
        return cam_from_world


def viewpoints_around(points: Floats, azimuths_deg: Sequence[float] = (215.0, 35.0)) -> list[Viewpoint]:
    """Find viewpoints from which points fill the picture; outliers are left aside.

    Args:
        points: (N, 3) world.
        azimuths_deg: One for each viewpoint.

    Returns:
        The viewpoints, in that order.
    """
    low, high = np.percentile(points, [3, 97], axis=0) if len(points) else (np.zeros(3), np.ones(3))
    x, y, z = ((low + high) / 2).tolist()
    distance = 1.05 * FOCAL_FRACTION * float(np.linalg.norm(high - low)) + 1e-6
    return [Viewpoint((x, y, z), distance, azimuth) for azimuth in azimuths_deg]


def view_behind(cam_from_world: Floats, points: Floats, azimuth_deg: float) -> Floats:
    """Turn a camera around the middle of the points, about its own vertical.

    For scenes whose world has no known up, such as reconstructions without calibration.

    Args:
        cam_from_world: (4, 4) of the given camera.
        points: (N, 3) world.
        azimuth_deg: By how much it is turned.

    Returns:
        (4, 4) `cam_from_world`.
    """
    low, high = np.percentile(points, [3, 97], axis=0)
    center = torch.from_numpy((low + high) / 2)
    world_from_cam = np.linalg.inv(cam_from_world)
    up, outward = -world_from_cam[:3, 1], world_from_cam[:3, 3] - center.numpy()
    angle = np.radians(azimuth_deg)
    turned = outward * np.cos(angle) + np.cross(up, outward) * np.sin(angle) + up * (up @ outward) * (1 - np.cos(angle))
    return look_at(center + torch.from_numpy(turned + 0.25 * np.linalg.norm(outward) * up), center, torch.from_numpy(up)).numpy()


def cloud_picture(
    points: Floats,
    colors: npt.NDArray[np.uint8],
    cam_from_world: Floats,
    *,
    normals: Floats | None = None,
    lines: Sequence[Line] = (),
    grid_height: float | None = None,
    size: tuple[int, int] = (640, 480),
    point_size: float = 0.004,
) -> Picture:
    """Draw points, nearest in front.

    Args:
        points: (N, 3) world.
        colors: (N, 3) uint8 RGB.
        cam_from_world: (4, 4) of the camera that looks.
        normals: (N, 3) for shading.
        lines: Drawn on top of everything.
        grid_height: World z of a grid of 10 cm squares below.
        size: Width and height, pixels.
        point_size: A length of the world: near points are drawn larger and hide what is behind them.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    width, height = size
    intrinsics = np.array([[FOCAL_FRACTION * width, 0, width / 2], [0, FOCAL_FRACTION * width, height / 2], [0, 0, 1.0]])
    canvas = Image.new("RGB", size, BACKGROUND)
    if grid_height is not None:
        _draw_lines(ImageDraw.Draw(canvas), _grid_lines(points, grid_height), intrinsics, cam_from_world, 1)
    picture = np.array(canvas)
    cam = points @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
    front = cam[:, 2] > 1e-3
    shaded = colors if normals is None else _shade(colors, normals, cam_from_world)
    _splat(picture, cam[front], shaded[front], intrinsics, point_size)
    canvas = Image.fromarray(picture)
    _draw_lines(ImageDraw.Draw(canvas), lines, intrinsics, cam_from_world, 3)
    return np.asarray(canvas)


def _splat(picture: Picture, cam: Floats, colors: npt.NDArray[np.uint8], intrinsics: Floats, point_size: float) -> None:
    """Draw each point as a square of its projected size, 1 to 7 pixels wide; sorting by depth is the z-buffer."""
    height, width = picture.shape[:2]
    order = np.argsort(-cam[:, 2], kind="stable")
    cam, colors = cam[order], colors[order]
    pixels = np.rint((cam @ intrinsics.T)[:, :2] / cam[:, 2:]).astype(np.int64)
    reach = np.clip(np.rint(0.5 * point_size * intrinsics[0, 0] / cam[:, 2]), 0, 3).astype(np.int64)
    depth = np.full(height * width, np.inf)
    flat = picture.reshape(-1, 3)
    widest = int(reach.max(initial=0))
    for row in range(-widest, widest + 1):
        for column in range(-widest, widest + 1):
            x, y = pixels[:, 0] + column, pixels[:, 1] + row
            use = (reach >= max(abs(row), abs(column))) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
            place, z, ink = (y * width + x)[use], cam[use, 2], colors[use]
            nearer = z < depth[place]
            # Points come far to near, and of repeated places the last write stays: the nearest one.
            depth[place[nearer]] = z[nearer]
            flat[place[nearer]] = ink[nearer]


def _shade(colors: npt.NDArray[np.uint8], normals: Floats, cam_from_world: Floats) -> npt.NDArray[np.uint8]:
    """Light from above the viewer's left shoulder."""
    light_cam = np.array([-0.45, -0.65, -0.62])
    light = cam_from_world[:3, :3].T @ (light_cam / np.linalg.norm(light_cam))
    shaded: npt.NDArray[np.uint8] = np.rint(colors * (0.55 + 0.45 * np.clip(normals @ light, 0, 1))[:, None]).astype(np.uint8)
    return shaded


def _grid_lines(points: Floats, height: float, step: float = 0.1) -> list[Line]:
    low, high = np.percentile(points[:, :2], [2, 98], axis=0) if len(points) else (np.zeros(2), np.ones(2))
    first, last = np.floor(low / step).astype(int), np.ceil(high / step).astype(int)
    (x0, y0), (x1, y1) = first * step, last * step
    ends = [((k * step, y0), (k * step, y1)) for k in range(first[0], last[0] + 1)]
    ends += [((x0, k * step), (x1, k * step)) for k in range(first[1], last[1] + 1)]
    return [(np.array([[*a, height], [*b, height]], dtype=np.float64), GRID_COLOR) for a, b in ends]


def _draw_lines(draw: ImageDraw.ImageDraw, lines: Sequence[Line], intrinsics: Floats, cam_from_world: Floats, width: int) -> None:
    for pixels, color in project_lines(lines, intrinsics, cam_from_world):
        draw.line([tuple(pixel) for pixel in pixels], fill=color, width=width, joint="curve")
