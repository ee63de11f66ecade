"""Pictures of results for reports. Every picture is (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from pan3d_core.geometry.boxes import OrientedBox, box_corners
from pan3d_core.geometry.cameras import pixel_grid
from pan3d_core.pictures.palette import Color, Picture, instance_color, instance_palette
from pan3d_core.runtime.files import written_whole
from pan3d_core.structures import GraspTarget

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Line = tuple[Floats, Color]  # polyline (K, 3) in the world, and its colour

BACKGROUND: Color = (247, 247, 245)
NO_DEPTH: Color = (40, 40, 40)
GRASP_COLOR, APPROACH_COLOR = (208, 16, 56), (60, 60, 60)
FINGER_M = 0.045
BOX_EDGES = tuple((a, a | bit) for bit in (1, 2, 4) for a in range(8) if not a & bit)


def to_picture(image: torch.Tensor) -> Picture:
    """(3, H, W) RGB in 0..1 -> picture."""
    picture: Picture = (image * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy(force=True)
    return picture


def enlarge(picture: Picture, width: int, *, smooth: bool = True) -> Picture:
    """Bring a picture to another width.

    Args:
        picture: (H, W, 3) uint8 RGB.
        width: Pixels; the height follows.
        smooth: False keeps values apart (ids, depth).

    Returns:
        (h, width, 3) uint8 RGB.
    """
    height = round(picture.shape[0] * width / picture.shape[1])
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize((width, height), method))


def overlay(
    picture: Picture,
    ids: Ints,
    names: Mapping[int, str],
    boxes: Sequence[Line] = (),
    strength: float = 0.45,
    palette: npt.NDArray[np.uint8] | None = None,
) -> Picture:
    """Draw instances as tinted areas with outlines and names.

    `ids` (H, W) at the picture's size, 0 = none; `names` of the ids to be labelled; `boxes`: polylines (K, 2) in pixels.
    `palette` (K, 3) uint8 has a colour for every id; without one it is that of instances.

    Args:
        picture: (H, W, 3) uint8.
        ids: Integers of any kind.
        names: Others are tinted and stay without a label.
        boxes: Drawn over everything.
        strength: Of the tint, 0..1.
        palette: Colours to be used instead of the project's.

    Returns:
        A new picture of the same size.
    """
    palette = instance_palette(max(int(ids.max(initial=0)), 1)) if palette is None else palette
    inside = ids > 0
    tinted = np.where(inside[..., None], (1 - strength) * picture + strength * palette[ids], picture)
    border = outline(ids)
    tinted[border] = palette[ids][border]
    canvas = Image.fromarray(tinted.astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for line, color in boxes:
        draw.line([tuple(pixel) for pixel in line], fill=color, width=max(1, picture.shape[1] // 400))
    places = []
    for instance_id, name in names.items():
        rows, columns = np.nonzero(ids == instance_id)
        if len(rows):
            places.append((float(np.median(columns)), float(rows.min()), name, instance_color(instance_id)))
    _draw_labels(draw, places, canvas.size)
    return np.asarray(canvas)


def outline(ids: Ints, width: int = 2) -> npt.NDArray[np.bool_]:
    """(H, W) bool: the outermost `width` pixels of every instance."""
    border = np.zeros(ids.shape, dtype=bool)
    for axis in (0, 1):
        for shift in range(1, width + 1):
            for step in (shift, -shift):
                border |= np.roll(ids, step, axis=axis) != ids
    return border & (ids > 0)


def depth_picture(depth: Floats, near_m: float, far_m: float) -> Picture:
    """Colour depth from near (red) to far (blue) on a scale that several pictures can share.

    Args:
        depth: (H, W) z-depth.
        near_m: Where the scale begins, in the unit of `depth`.
        far_m: Where it ends.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    share = np.clip((depth - near_m) / max(far_m - near_m, 1e-6), 0.0, 1.0)
    picture: Picture = _spectrum()[np.rint(share * 255).astype(np.uint8)]
    picture[~(depth > 0)] = NO_DEPTH
    return picture


def depth_range(*depths: Floats) -> tuple[float, float]:
    """Near and far limit that suit all given depth maps; a distant background may saturate, so that objects show."""
    known = np.concatenate([depth[depth > 0].ravel() for depth in depths])
    if len(known) == 0:
        return 0.0, 1.0
    near, middle, far = np.percentile(known, [1, 50, 97])
    return float(near), float(max(min(far, 2 * middle - near), near + 1e-3))


def depth_scale(near_m: float, far_m: float, width: int, unit: str = "m") -> Picture:
    """Draw a bar with the colours and numbers of `depth_picture`.

    Args:
        near_m: Where the scale begins.
        far_m: Where it ends.
        width: Of the bar, pixels.
        unit: Behind the numbers.

    Returns:
        (46, width, 3) uint8 RGB.
    """
    height, margin = 46, 34
    values = np.linspace(near_m, far_m, width - 2 * margin)
    bar = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    bar[6:20, margin:-margin] = depth_picture(values[None], near_m, far_m)
    canvas = Image.fromarray(bar)
    draw = ImageDraw.Draw(canvas)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = margin + share * (width - 2 * margin)
        draw.line([(x, 20), (x, 24)], fill=(60, 60, 60))
        draw.text((x, 26), f"{near_m + share * (far_m - near_m):.2f} {unit}", fill=(40, 40, 40), font=label_font(13), anchor="ma")
    return np.asarray(canvas)


def error_picture(depth: Floats, true_depth: Floats, limit_m: float) -> Picture:
    """Colour the signed error of depth: red = too far, blue = too near, white = right, dark = one of them unknown.

    Args:
        depth: (H, W), 0 = unknown.
        true_depth: (H, W), 0 = unknown.
        limit_m: Where colours are saturated.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    share = np.clip((depth - true_depth) / limit_m, -1.0, 1.0)[..., None]
    too_far, too_near = np.array([190.0, 25, 40]), np.array([25.0, 75, 190])
    picture = np.where(share > 0, 255 + share * (too_far - 255), 255 - share * (too_near - 255))
    picture[~((depth > 0) & (true_depth > 0))] = NO_DEPTH
    colored: Picture = np.rint(picture).astype(np.uint8)
    return colored


def grasp_lines(grasp: GraspTarget) -> list[Line]:
    """Fingers, palm and approach way of a grasp as polylines in the world."""
    half = (grasp.opening_m or grasp.width_m) / 2
    hand = np.array([[-half, 0, 0.008], [-half, 0, -FINGER_M], [half, 0, -FINGER_M], [half, 0, 0.008]])
    way = np.array([[0, 0, -FINGER_M], [0, 0, -FINGER_M - grasp.pregrasp_distance_m]])
    pose = grasp.world_from_grasp.double().numpy(force=True)
    return [(line @ pose[:3, :3].T + pose[:3, 3], color) for line, color in ((way, APPROACH_COLOR), (hand, GRASP_COLOR))]


def box_lines(box: OrientedBox, color: Color) -> list[Line]:
    """Return the twelve edges of a box as polylines in the world.

    Args:
        box: The box.
        color: Of the lines.

    Returns:
        Polylines (2, 3) in the world with their colour.
    """
    corners = box_corners(box).double().numpy(force=True)
    return [(corners[list(edge)], color) for edge in BOX_EDGES]


def project_lines(lines: Sequence[Line], intrinsics: Floats, cam_from_world: Floats) -> list[Line]:
    """Project polylines of the world; a line with a point behind the camera is left out.

    Args:
        lines: In the world.
        intrinsics: (3, 3) pixels.
        cam_from_world: (4, 4).

    Returns:
        Pixel polylines (K, 2).
    """
    projected: list[Line] = []
    for line, color in lines:
        cam = line @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
        if (cam[:, 2] > 1e-3).all():
            projected.append(((cam @ intrinsics.T)[:, :2] / cam[:, 2:], color))
    return projected


def montage(pictures: Sequence[Picture], columns: int, captions: Sequence[str] = (), gap: int = 8) -> Picture:
    """Put pictures in a grid, left to right, each brought to the first one's width.

    Args:
        pictures: (H, W, 3) uint8 RGB each.
        columns: Of the grid.
        captions: Below the pictures.
        gap: Between them, pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    width = pictures[0].shape[1]
    tiles = [picture if picture.shape[1] == width else enlarge(picture, width) for picture in pictures]
    below = 24 if captions else 0
    height = max(tile.shape[0] for tile in tiles) + below
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for index, tile in enumerate(tiles):
        x, y = gap + index % columns * (width + gap), gap + index // columns * (height + gap)
        canvas.paste(Image.fromarray(tile), (x, y))
        if index < len(captions):
            draw.text((x + 2, y + tile.shape[0] + 4), captions[index], fill=(40, 40, 40), font=label_font(14))
    return np.asarray(canvas)


def save(path: Path | str, picture: Picture) -> None:
    """Write a picture file.

    Args:
        path: The file; the suffix decides the format.
        picture: (H, W, 3) uint8 RGB.
    """
    with written_whole(path) as part:
        Image.fromarray(picture).save(part)


def _draw_labels(draw: ImageDraw.ImageDraw, places: list[tuple[float, float, str, Color]], size: tuple[int, int]) -> None:
    """Names above their instances, moved up or down until no two of them overlap."""
    font = label_font(max(12, size[0] // 42))
    taken: list[tuple[float, float, float, float]] = []
    for x, y, name, color in sorted(places, key=lambda place: place[1]):
        left, top, right, bottom = font.getbbox(name)
        width, height = right - left + 10, bottom - top + 8
        x0 = min(max(x - width / 2, 1), max(size[0] - width - 1, 1))
        y0 = _free_row(x0, max(y - height - 4, 1), width, height, taken, size[1])
        taken.append((x0, y0, x0 + width, y0 + height))
        draw.rounded_rectangle(taken[-1], radius=4, fill=(24, 24, 28), outline=color, width=2)
        draw.text((x0 + 5 - left, y0 + 4 - top), name, fill=(255, 255, 255), font=font)


def _free_row(
    x: float, y: float, width: float, height: float, taken: Sequence[tuple[float, float, float, float]], limit: float
) -> float:
    """The place nearest to `y` where a label of this size covers no other one; `y` itself when there is none."""
    for step in range(12):
        for candidate in (y - step * height / 2, y + step * height / 2):
            free = all(x + width < t[0] or t[2] < x or candidate + height < t[1] or t[3] < candidate for t in taken)
            if free and 0 <= candidate <= limit - height:
                return candidate
    return y


@lru_cache
def label_font(size: int) -> ImageFont.FreeTypeFont:
    """The font of every label, `size` pixels high. Raises `RuntimeError` where Pillow comes without FreeType."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("pictures: expected a Pillow with FreeType, whose fonts have sizes, got one without")
    return font


@lru_cache
def _spectrum() -> npt.NDArray[np.uint8]:
    """(256, 3) uint8: red, yellow, green, cyan, blue, dark violet, even in lightness between the stops."""
    stops = np.array(
        [[165, 10, 30], [240, 100, 40], [252, 205, 90], [190, 225, 120], [70, 180, 150], [50, 110, 190], [60, 30, 110]]
    )
    at = np.linspace(0, 255, len(stops))
    return np.stack([np.interp(np.arange(256), at, channel) for channel in stops.T], axis=1).astype(np.uint8)


def ids_on_image(ids: torch.Tensor, network_from_original: torch.Tensor, hw: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Bring ids of a network's image to the original one.

    Each id's area is interpolated on its own and the strongest one taken, so that outlines are smooth, not stepped.

    Args:
        ids: (h, w) integers on the CPU, 0 = none.
        network_from_original: (3, 3) pixels to pixels.
        hw: H and W of the original image.

    Returns:
        (H, W), 0 outside of what the network saw.
    """
    known, rows = torch.unique(ids, return_inverse=True)
    areas = torch.nn.functional.one_hot(rows, len(known)).permute(2, 0, 1).float()
    pixels = torch.cat([pixel_grid(*hw).reshape(-1, 2), torch.ones(hw[0] * hw[1], 1)], dim=1)
    network = (pixels @ network_from_original.cpu().T)[:, :2].reshape(1, *hw, 2)
    size = torch.tensor([ids.shape[1], ids.shape[0]])
    sampled = torch.nn.functional.grid_sample(
        areas[None], (2 * network + 1) / size - 1, mode="bilinear", padding_mode="zeros", align_corners=False
    )[0]
    strongest, row = sampled.max(dim=0)
    return torch.where(strongest > 0.25, known[row], 0).numpy()
