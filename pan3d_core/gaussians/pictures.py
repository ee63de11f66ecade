"""Pictures of a scene of Gaussians along a camera path: colour, objects, classes, depth. (H, W, 3) uint8 RGB each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from pan3d_core.gaussians.camera_paths import CameraPath
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.language.prompts import class_of_name
from pan3d_core.pictures import overlays
from pan3d_core.pictures.palette import LUMA, UNASSIGNED, Color, Picture, class_colors
from pan3d_core.rendering.rasterizer import UNITLESS_RASTER, RasterSettings, Rendering, rasterize
from pan3d_core.structures import require_shape

SOLID = 0.5  # opacity from which on a pixel shows something
TINT = 0.7  # share of the colour of an object or class; the rest is rendered light and shade, so that shapes remain
IDS_AT_ONCE = 32  # channels of one pass
MIN_BAR_WIDTH = 300  # pixels, for the numbers of a scale of depth
NONE_OF_THESE = "none of these"


@dataclass(frozen=True)
class ClassTexts:
    """Classes that pixels are told apart by."""

    names: tuple[str, ...]
    texts: Tensor  # (T, E) of the encoder of the scene's text space

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"classes: expected at least one name and none twice, got {', '.join(self.names) or 'none'}")
        require_shape("ClassTexts.texts", self.texts, (len(self.names), None))


def class_names(scene: GaussianScene) -> tuple[str, ...]:
    """What the scene's own objects are, without colours, in alphabetical order: "mug" of "red mug", nothing of "red object"."""
    nouns = {class_of_name(name) for name in scene.names.values()}
    return tuple(sorted(nouns - {""}))


def color_pictures(scene: GaussianScene, path: CameraPath) -> Iterator[Picture]:
    """Render what the cameras see.

    Args:
        scene: On any device.
        path: F cameras.

    Returns:
        F pictures (H, W, 3) uint8, each made when it is asked for.
    """
    for made in _renderings(scene, path):
        yield overlays.to_picture(made.colors[0])


def instance_pictures(scene: GaussianScene, path: CameraPath) -> Iterator[Picture]:
    """Render objects in the colours of the project's palette, with their ids and names.

    Args:
        scene: Without objects, all is light and shade.
        path: As for `color_pictures`.

    Returns:
        As `color_pictures`.
    """
    labels = {key: f"{key} {scene.names[key]}" for key in scene.ids()}
    for index, made in enumerate(_renderings(scene, path)):
        ids = rendered_ids(scene, _part(path, index))[0].numpy(force=True)
        yield overlays.overlay(_light_and_shade(made), ids, labels, strength=TINT)


def semantic_pictures(scene: GaussianScene, path: CameraPath, classes: ClassTexts) -> Iterator[Picture]:
    """Render classes in the colours of their names, grey for none of these, with a legend below. Errors as `rendered_classes`.

    Args:
        scene: With semantic features and their text space.
        path: As for `color_pictures`.
        classes: Names with their vectors in the space of the scene's encoder.

    Returns:
        As `color_pictures`, with the legend's rows below the H of the path.
    """
    colors = {**dict(zip(classes.names, class_colors(classes.names))), NONE_OF_THESE: UNASSIGNED}
    palette, below = np.array([UNASSIGNED, *colors.values()], np.uint8), legend(colors, path.image_hw[1])
    for index, made in enumerate(_renderings(scene, path)):
        found = rendered_classes(scene, _part(path, index), classes)[0].numpy(force=True)
        picture = overlays.overlay(_light_and_shade(made), found, {}, strength=TINT, palette=palette)
        yield np.concatenate([picture, below])


def depth_pictures(scene: GaussianScene, path: CameraPath) -> Iterator[Picture]:
    """Render z-depth on one scale for the whole path, with a bar below where there is room; in metres where the scene is metric.

    Args:
        scene: As for `color_pictures`.
        path: Whose nearest and farthest depth are the ends of the scale.

    Returns:
        As `color_pictures`, with the bar's rows below the H of the path; the first comes when all depths are known.
    """
    depths = [torch.where(made.opacity >= SOLID, made.depth, 0.0)[0].numpy(force=True) for made in _renderings(scene, path)]
    near, far = overlays.depth_range(*depths)
    width = path.image_hw[1]
    bar = [overlays.depth_scale(near, far, width, "m" if scene.is_metric else "")] if width >= MIN_BAR_WIDTH else []
    for depth in depths:
        yield np.concatenate([overlays.depth_picture(depth, near, far), *bar])


def rendered_ids(scene: GaussianScene, path: CameraPath) -> Tensor:
    """Tell the instance that most of each pixel's compositing weight belongs to.

    One channel per instance is splatted and the largest taken, not a colour per id: mixtures of two colours at a border may be
    the colour of a third object, mixtures of channels never are.

    Args:
        scene: On any device.
        path: F cameras of (H, W) pixels.

    Returns:
        (F, H, W) int64, 0 = none or nothing there.
    """
    blocks = scene.instance_id.new_tensor(scene.ids()).split(IDS_AT_ONCE)  # a single empty one without objects
    winner = torch.zeros(len(path), *path.image_hw, dtype=torch.int64, device=scene.instance_id.device)
    opacity = of_none = best = scene.gaussians.means.new_zeros(winner.shape)
    for index, chosen in enumerate(blocks):
        made = _render(scene, path, (scene.instance_id[:, None] == chosen).to(scene.gaussians.means.dtype))
        if index == 0:
            opacity = of_none = made.opacity
        if len(chosen) == 0:
            break
        of_none = of_none - made.features.sum(1)
        most, row = made.features.max(dim=1)
        winner = torch.where(most > best, chosen[row], winner)
        best = torch.maximum(best, most)
    return torch.where((opacity >= SOLID) & (best > of_none), winner, 0)


def rendered_classes(scene: GaussianScene, path: CameraPath, classes: ClassTexts) -> Tensor:
    """Tell the class of every pixel.

    Args:
        scene: With semantic features and their text space.
        path: F cameras of (H, W) pixels.
        classes: T names with their vectors in the space of the scene's encoder.

    Returns:
        (F, H, W) int64: 1 + row of the likeliest class, 1 + T where none of these is likelier, 0 = nothing there.

    Raises:
        ValueError: The scene has no semantic features or no text space.
    """
    features, space = scene.gaussians.semantic_features, scene.text_space
    if features is None or space is None:
        raise ValueError("semantics: expected a scene with semantic features and a text space, got one without")
    texts = classes.texts.to(features)
    found = []
    for index in range(len(path)):
        made = _render(scene, _part(path, index), features)
        mean = made.features[0].movedim(0, -1) / made.opacity[0, ..., None].clamp_min(SOLID)  # haze means what solid things mean
        found.append(torch.where(made.opacity[0] >= SOLID, space.probabilities(mean, texts).argmax(-1) + 1, 0))
    return torch.stack(found)


def legend(colors: Mapping[str, Color], width: int) -> Picture:
    """Squares with names, in as many rows as the width needs."""
    square = max(12, width // 42)
    font, gap = overlays.label_font(square), square // 2
    places, x, y = [], gap, gap
    for name, color in colors.items():
        length = square + gap + round(font.getlength(name)) + 2 * gap
        if x > gap and x + length > width:
            x, y = gap, y + square + gap
        places.append((x, y, name, color))
        x += length
    canvas = Image.new("RGB", (width, y + square + gap), overlays.BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for x, y, name, color in places:
        draw.rectangle([x, y, x + square, y + square], fill=color)
        draw.text((x + square + gap, y + square / 2), name, fill=(40, 40, 40), font=font, anchor="lm")
    return np.asarray(canvas)


def side_by_side(kinds: Sequence[Iterator[Picture]]) -> Iterator[Picture]:
    """Pictures of several kinds of one path in one row each; lower ones are filled up below."""
    for pictures in zip(*kinds, strict=True):
        height = max(len(picture) for picture in pictures)
        filled = [np.full((height - len(picture), picture.shape[1], 3), overlays.BACKGROUND, np.uint8) for picture in pictures]
        yield np.concatenate([np.concatenate(pair) for pair in zip(pictures, filled)], axis=1)


def _light_and_shade(made: Rendering) -> Picture:
    """The first picture without its colours, which would mix with those of objects or classes."""
    luma = torch.einsum("c,chw->hw", made.colors.new_tensor(LUMA), made.colors[0])
    return overlays.to_picture(luma.expand(3, -1, -1))


def _renderings(scene: GaussianScene, path: CameraPath) -> Iterator[Rendering]:
    """Colour, depth and opacity of one camera after the other, so that memory does not grow with the path."""
    for index in range(len(path)):
        yield _render(scene, _part(path, index))


def _render(scene: GaussianScene, path: CameraPath, features: Tensor | None = None) -> Rendering:
    means = scene.gaussians.means
    background = means.new_tensor(overlays.BACKGROUND) / 255
    settings = RasterSettings() if scene.is_metric else UNITLESS_RASTER  # a near plane in metres says nothing about other units
    settings = replace(settings, low_pass_px2=settings.low_pass_px2 * _magnification(scene, path) ** 2)
    with torch.no_grad():
        return rasterize(
            scene.gaussians,
            path.cam_from_world.to(means),
            path.intrinsics.to(means),
            path.image_hw,
            features,
            background,
            settings,
        )


def _magnification(scene: GaussianScene, path: CameraPath) -> float:
    """How many times finer than in the scene's own views the pixels are, at least 1.

    Gaussians of a network are as large as its pixels and what rendering adds to them make them; finer pixels would show gaps.
    """
    if len(scene.intrinsics) == 0:
        return 1.0
    return max(1.0, float(path.intrinsics[0, 0, 0]) / float(scene.intrinsics[:, 0, 0].median()))


def _part(path: CameraPath, index: int) -> CameraPath:
    return CameraPath(path.cam_from_world[index : index + 1], path.intrinsics[index : index + 1], path.image_hw)
