"""Pictures of the report. Images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

import base64
import colorsys

import cv2
import numpy as np
import torch

from pan3d_core.geometry.transforms import look_at
from pan3d_ros.demo.measure import SeenCamera, TrueCamera

Color = tuple[int, int, int]
Line = tuple[np.ndarray, Color]  # polyline (K, 3) in metres
BACKGROUND = (250, 250, 248)
GRASP_COLOR, APPROACH_COLOR = (220, 20, 60), (90, 90, 90)
FINGER_M, PALM_BACK_M = 0.045, 0.03


def instance_color(instance_id: int) -> Color:
    """A colour that stays with the id; neighbours differ in hue by the golden angle."""
    red, green, blue = colorsys.hsv_to_rgb((0.12 + 0.381966 * instance_id) % 1.0, 0.75, 0.95)
    return int(255 * red), int(255 * green), int(255 * blue)


def ids_at_camera(truth: TrueCamera, seen: SeenCamera) -> np.ndarray:
    """(H, W) reported ids at the resolution of the camera; 0 where the network did not look."""
    height, width = truth.depth.shape
    network_from_true = seen.intrinsics @ np.linalg.inv(truth.intrinsics)
    affine = np.linalg.inv(network_from_true)[:2]
    flags = cv2.INTER_NEAREST
    return cv2.warpAffine(seen.instance_ids.astype(np.float32), affine, (width, height), flags=flags).astype(np.int64)


def overlay(rgb: np.ndarray, ids: np.ndarray, names: dict[int, str], highlight: int = 0) -> np.ndarray:
    """Instances as tinted areas with outlines and names; `highlight` has a thick white outline."""
    picture = rgb.astype(np.float32)
    for instance_id in names:
        inside = ids == instance_id
        picture[inside] = 0.55 * picture[inside] + 0.45 * np.array(instance_color(instance_id))
    result = picture.astype(np.uint8)
    for instance_id, name in names.items():
        inside = (ids == instance_id).astype(np.uint8)
        outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        if instance_id == highlight:
            cv2.drawContours(result, outlines, -1, (255, 255, 255), 4)
        cv2.drawContours(result, outlines, -1, instance_color(instance_id), 2)
        rows, columns = np.nonzero(inside)
        if len(rows):
            _label(result, name, (int(columns.mean()), int(rows.min()) - 4))
    return result


def depth_picture(depth: np.ndarray, near_m: float, far_m: float) -> np.ndarray:
    """Depth from near (dark) to far (bright); black = none."""
    share = np.clip((depth - near_m) / max(far_m - near_m, 1e-6), 0, 1)
    picture = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)[:, :, ::-1].copy()
    picture[depth <= 0] = 0
    return picture


def error_picture(depth: np.ndarray, true_depth: np.ndarray, limit_m: float) -> np.ndarray:
    """Signed error: red = too far, blue = too near, white = right, grey = no truth or no prediction."""
    share = np.clip((depth - true_depth) / limit_m, -1, 1)[:, :, None]
    red, blue, white = np.array([200.0, 30, 30]), np.array([30.0, 60, 200]), np.array([255.0, 255, 255])
    picture = np.where(share > 0, white + share * (red - white), white - share * (blue - white))
    picture[(depth <= 0) | (true_depth <= 0)] = (128, 128, 128)
    return picture.astype(np.uint8)


def cloud_picture(
    points: np.ndarray, colors: np.ndarray, lines: list[Line], azimuth_deg: float
) -> np.ndarray:
    """Points (N, 3) m with colours (N, 3) uint8 from a viewpoint around the table; `lines`: polylines (K, 3) m, drawn on top."""
    height, width, focal = 480, 640, 620.0
    cam_from_world = _viewpoint(azimuth_deg, elevation_deg=35.0, distance_m=0.95)

    def project(world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cam = world @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
        pixels = focal * cam[:, :2] / cam[:, 2:] + [width / 2, height / 2]
        return pixels, cam[:, 2]

    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = BACKGROUND
    for grid in _table_grid():
        cv2.polylines(picture, [np.rint(project(grid)[0]).astype(np.int32)], False, (215, 215, 210), 1, cv2.LINE_AA)
    pixels, depth = project(points)
    far_first = np.argsort(-depth)
    for x, y, color in zip(*np.rint(pixels[far_first]).astype(int).T, colors[far_first].tolist()):
        if 1 <= x < width - 2 and 1 <= y < height - 2:
            picture[y - 1 : y + 2, x - 1 : x + 2] = color
    for line, color in lines:
        cv2.polylines(picture, [np.rint(project(line)[0]).astype(np.int32)], False, color, 2, cv2.LINE_AA)
    return picture


def grasp_lines(world_from_grasp: np.ndarray, width_m: float, approach_m: float) -> list[Line]:
    """Fingers, palm and the way of the approach of a grasp (+z approach, +x closing) as polylines in the world."""
    half = width_m / 2
    hand = np.array([[-half, 0, 0], [-half, 0, -FINGER_M], [half, 0, -FINGER_M], [half, 0, 0]])
    way = np.array([[0, 0, -FINGER_M], [0, 0, -FINGER_M - PALM_BACK_M - approach_m]])
    rotation, origin = world_from_grasp[:3, :3], world_from_grasp[:3, 3]
    return [(way @ rotation.T + origin, APPROACH_COLOR), (hand @ rotation.T + origin, GRASP_COLOR)]


def box_lines(world_from_box: np.ndarray, size_m: np.ndarray, color: Color) -> list[Line]:
    """The twelve edges of a box as polylines in the world."""
    outline = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5))
    corners = np.array([[x, y, z] for z in (-0.5, 0.5) for x, y in outline])
    world = (corners * size_m) @ world_from_box[:3, :3].T + world_from_box[:3, 3]
    return [(world[:5], color), (world[5:], color), *((world[[k, k + 5]], color) for k in range(4))]


def data_uri(picture: np.ndarray) -> str:
    """The picture inside the page, so that the report is one file."""
    ok, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not ok:
        raise ValueError(f"picture: expected (H, W, 3) uint8, got {picture.shape} {picture.dtype}")
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _label(picture: np.ndarray, text: str, anchor: tuple[int, int]) -> None:
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    x = min(max(anchor[0] - width // 2, 2), picture.shape[1] - width - 2)
    y = min(max(anchor[1], height + 4), picture.shape[0] - 4)
    cv2.rectangle(picture, (x - 2, y - height - 3), (x + width + 2, y + 4), (30, 30, 30), -1)
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)


def _viewpoint(azimuth_deg: float, elevation_deg: float, distance_m: float) -> np.ndarray:
    """(4, 4) cam_from_world of a camera that looks at the middle of the table."""
    azimuth, elevation = np.deg2rad([azimuth_deg, elevation_deg])
    outward = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    center = np.array([0.0, 0.0, 0.04])
    return look_at(torch.from_numpy(center + distance_m * outward), torch.from_numpy(center)).numpy()


def _table_grid() -> list[np.ndarray]:
    ticks = np.arange(-0.3, 0.301, 0.1)
    along_x = [np.array([[-0.3, tick, 0.0], [0.3, tick, 0.0]]) for tick in ticks]
    return along_x + [np.array([[tick, -0.3, 0.0], [tick, 0.3, 0.0]]) for tick in ticks]
