"""Camera views to network size; the same code for robot and training.

Intrinsics follow the pixels. With integer = pixel centre, resizing by s maps x to (x + 0.5) s - 0.5, and a cut or
padding shifts it by whole pixels; both are kept in `network_from_original`. (The official rule of Depth Anything 3 maps a
principal point to x s, which holds when integers are corners of pixels; here it would be off by (1 - s) / 2.) Depth is picked,
never blended: the mean of two depths across an edge is a point in empty space.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from pan3d_core.config import PreprocessConfig
from pan3d_core.geometry.camera_checks import PoseRefused, require_lens, require_near
from pan3d_core.geometry.transforms import invert_rigid, is_rigid
from pan3d_core.structures import CameraView, ViewBatch, unit_range

log = logging.getLogger("pan3d.preprocess")

LONGEST_FRAME = 3.0  # long side over short side of mode "whole"; beyond it, convolutions and positions see what they never saw
SIZE_FOR_SHAPE = 0.25  # mode "whole": a frame may be larger or smaller by 10 % where that spares stretching by 2.5 %


@dataclass(frozen=True)
class _Fit:
    """Resize to `resized_hw`, then take `out_hw` from row `top`, column `left` (negative = padding)."""

    resized_hw: tuple[int, int]
    top: int
    left: int
    out_hw: tuple[int, int]
    via_hw: tuple[int, int] | None = None  # the picture is resized to this first

    def network_from_original(self, original_hw: tuple[int, int]) -> Tensor:
        """(3, 3) original pixel -> network pixel."""
        sy, sx = (new / old for new, old in zip(self.resized_hw, original_hw))
        return torch.tensor([[sx, 0.0, 0.5 * sx - 0.5 - self.left], [0.0, sy, 0.5 * sy - 0.5 - self.top], [0.0, 0.0, 1.0]])

    def padded_to(self, height: int, width: int) -> _Fit:
        """The same picture centred in a larger frame; the smaller half of the padding comes first."""
        above, before = (height - self.out_hw[0]) // 2, (width - self.out_hw[1]) // 2
        return replace(self, top=self.top - above, left=self.left - before, out_hw=(height, width))

    def cut_to(self, height: int, width: int) -> _Fit:
        """The middle of the picture; the smaller half of what is cut comes first."""
        above, before = (self.out_hw[0] - height) // 2, (self.out_hw[1] - width) // 2
        return replace(self, top=self.top + above, left=self.left + before, out_hw=(height, width))


def preprocess(views: Sequence[CameraView], config: PreprocessConfig, support_height_m: float | None = None) -> ViewBatch:
    """Views of any sizes -> one batch at network size.

    Modes: "cover" fills exactly (height, width) and cuts the rest evenly; "width" is the rule of VGGT (arXiv 2503.11651,
    official crop mode; with `resample="lanczos"` that of SegVGGT): the given width, the height in multiples, the middle
    `height` rows at most; "pad" fits the longer side and fills up with white; "longest" is the rule of Depth Anything 3
    (with `resample="opencv"`): the longer side becomes that of (height, width), then both sides go to the nearest multiple,
    and views of different size are cut to the smallest height and width; "whole" cuts nothing: a frame of about height x
    width pixels whose sides are multiples and nearest in shape to the picture, which is stretched into it by a few percent at
    most. A strip longer than `LONGEST_FRAME` and views of different shape are filled up with white.

    Intrinsics and poses are all or nothing: when one view lacks them the batch has None (logged), and the poses that there are
    become its `known_poses`. Depth is (S, h, w)
    with 0 = none as soon as one view has it. Raises `ValueError` for no views, poses that are no rigid transforms,
    a principal point outside its image, or views in different world frames.

    Args:
        views: Of one moment and one world frame, each of any size.
        config: Network size and how it is reached; engines have theirs as `facts.preprocess`.
        support_height_m: World z of the surface that objects stand on, metres; None = unknown.

    Returns:
        S views at (h, w), with the matrices that map original pixels to network pixels.
    """
    _check_views(views)
    original_hw = tuple((int(view.image.shape[1]), int(view.image.shape[2])) for view in views)
    fits = [_fit(hw, config) for hw in original_hw]
    fits = _framed_alike(fits, config.mode)

    images = torch.stack([_resize_image(view.image, fit, config.resample) for view, fit in zip(views, fits)])
    if any(view.image.is_floating_point() for view in views):
        _require_finite(images)
    mapping = torch.stack([fit.network_from_original(hw) for fit, hw in zip(fits, original_hw)]).to(images.device)
    intrinsics, poses = _all_or_none(views, "intrinsics"), _all_or_none(views, "cam_from_world")
    some_posed = poses is None and any(view.cam_from_world is not None for view in views)
    depths = [None if view.depth is None else _pick_depth(view.depth, fit) for view, fit in zip(views, fits)]
    links = tuple(view.world_from_links for view in views)
    return ViewBatch(
        images=images,
        intrinsics=None if intrinsics is None else mapping @ intrinsics.float(),
        cam_from_world=poses,
        depth=_stack_depth(depths, images),
        stamps_ns=tuple(view.stamp_ns for view in views),
        cameras=tuple(view.camera for view in views),
        original_hw=original_hw,
        network_from_original=mapping,
        world_frame_id=views[0].world_frame_id,
        support_height_m=support_height_m,
        known_poses=tuple(view.cam_from_world for view in views) if some_posed else (),
        world_from_links=links if any(item is not None for item in links) else (),
    )


def _check_views(views: Sequence[CameraView]) -> None:
    if not views:
        raise ValueError("views: expected at least one view, got none")
    frames = sorted({view.world_frame_id for view in views if view.cam_from_world is not None})
    if len(frames) > 1:
        raise ValueError(f"CameraView.world_frame_id: expected one frame for all views, got {', '.join(frames)}")
    for view in views:
        require_camera(view)


def require_usable(view: CameraView, config: PreprocessConfig) -> None:
    """Check all that `preprocess` asks of a view alone, so that one can be left out before the others are lost.

    Args:
        view: Of any size.
        config: What it will be prepared for.

    Raises:
        ValueError: `preprocess` would refuse it; `CalibrationRefused` and `PoseRefused` where that is for these.
    """
    require_camera(view)
    _fit(view.hw, config)


def seen_shares(batch: ViewBatch) -> tuple[float, ...]:
    """Say how much of each original picture lies in the frame that the network sees.

    Args:
        batch: As `preprocess` makes it.

    Returns:
        For each view the share of its area, 0..1.
    """
    shares = []
    for mapping, (height, width) in zip(batch.network_from_original.cpu(), batch.original_hw):
        share = 1.0
        for axis, (original, network) in enumerate(((width, batch.hw[1]), (height, batch.hw[0]))):
            scale, shift = float(mapping[axis, axis]), float(mapping[axis, 2])
            first, last = ((edge - shift) / scale for edge in (-0.5, network - 0.5))  # edges of the frame, in original pixels
            share *= max(0.0, min(last, original - 0.5) - max(first, -0.5)) / original
        shares.append(share)
    return tuple(shares)


def require_camera(view: CameraView) -> None:
    """Refuse a view whose pose or intrinsics no camera has: raises `PoseRefused` or `CalibrationRefused`, naming the field."""
    if view.cam_from_world is not None and not is_rigid(view.cam_from_world):
        raise PoseRefused(
            f"CameraView.cam_from_world: expected a rotation and a translation for {view.camera!r}, "
            f"got {view.cam_from_world.tolist()}"
        )
    if view.cam_from_world is not None:
        require_near(f"CameraView.cam_from_world of {view.camera!r}", invert_rigid(view.cam_from_world)[:3, 3].numpy(force=True))
    if view.intrinsics is not None:
        require_lens(f"CameraView.intrinsics of {view.camera!r}", view.intrinsics.numpy(force=True), view.hw)


def _fit(hw: tuple[int, int], config: PreprocessConfig) -> _Fit:
    height, width = hw
    if config.mode == "cover":
        factor = max(config.height / height, config.width / width)
        resized = max(config.height, round(height * factor)), max(config.width, round(width * factor))
        return _Fit(resized, (resized[0] - config.height) // 2, (resized[1] - config.width) // 2, (config.height, config.width))
    step = config.multiple
    if config.mode == "whole":
        return _whole(hw, config)
    if config.mode == "longest":
        factor = max(config.height, config.width) / max(hw)
        via = max(1, round(height * factor)), max(1, round(width * factor))
        rows, columns = (max(step, int(side / step + 0.5) * step) for side in via)  # ties go up
        return _Fit((rows, columns), 0, 0, (rows, columns), via)
    if config.mode == "width" or width >= height:
        resized = round(height * (config.width / width) / step) * step, config.width
    else:
        resized = config.height, round(width * (config.height / height) / step) * step
    if min(resized) == 0:
        raise ValueError(f"CameraView.image: expected sides of similar length, got {width} x {height}, which leaves no pixels")
    if config.mode == "pad":
        return _Fit(resized, 0, 0, resized).padded_to(config.height, config.width)
    rows = min(resized[0], config.height)
    return _Fit(resized, (resized[0] - rows) // 2, 0, (rows, config.width))


@lru_cache(maxsize=64)
def _whole(hw: tuple[int, int], config: PreprocessConfig) -> _Fit:
    """The frame of about as many pixels as asked for that is nearest in shape, and the picture stretched to fill it."""
    step, pixels, shape = config.multiple, config.height * config.width, hw[1] / hw[0]
    wanted = min(max(shape, 1 / LONGEST_FRAME), LONGEST_FRAME)
    most = math.ceil((pixels * LONGEST_FRAME) ** 0.5 / step)
    frames = [(step * rows, step * columns) for rows in range(1, most + 1) for columns in range(1, most + 1)]

    def distance(frame: tuple[int, int]) -> float:
        stretch = abs(math.log(frame[1] / frame[0] / wanted))
        return stretch + SIZE_FOR_SHAPE * abs(math.log(frame[0] * frame[1] / pixels))

    rows, columns = min(frames, key=distance)
    if shape == wanted:
        return _Fit((rows, columns), 0, 0, (rows, columns))
    factor = min(rows / hw[0], columns / hw[1])
    resized = max(1, round(hw[0] * factor)), max(1, round(hw[1] * factor))
    return _Fit(resized, 0, 0, resized).padded_to(rows, columns)


def _framed_alike(fits: list[_Fit], mode: str) -> list[_Fit]:
    """All of one size: cut to the smallest in mode "longest", else padded to the largest."""
    heights, widths = [fit.out_hw[0] for fit in fits], [fit.out_hw[1] for fit in fits]
    if mode == "longest":
        return [fit.cut_to(min(heights), min(widths)) for fit in fits]
    return [fit.padded_to(max(heights), max(widths)) for fit in fits]


def _resize_image(image: Tensor, fit: _Fit, resample: str) -> Tensor:
    """(3, H, W) -> (3, h, w); outside the picture white, as the official programs pad."""
    if fit.via_hw is not None:
        image = _resized(image, fit.via_hw, resample)
    return _window(_resized(image, fit.resized_hw, resample), fit, 1.0)


def _resized(image: Tensor, hw: tuple[int, int], resample: str) -> Tensor:
    """(3, H, W) -> (3, h, w) in 0..1; what has this size already passes unchanged."""
    if hw == tuple(image.shape[1:]):
        resized = unit_range(image)
    elif resample == "area":
        # Bytes stay bytes while they are many: six times as fast, and rounded to them at network size (half a step of 255).
        many = image if image.dtype == torch.uint8 else image.float()
        resized = unit_range(interpolate(many[None], hw, mode="bilinear", antialias=True)[0]).clamp(0.0, 1.0)
    elif resample == "bicubic":
        # On 8-bit input this is Pillow's resize, rounding included, which the official VGGT loader uses.
        resized = interpolate(_as_bytes(image)[None], hw, mode="bicubic", antialias=True)[0].float() / 255.0
    else:
        resized = _resized_by_opencv(image, hw, resample)
    return resized


def _resized_by_opencv(image: Tensor, hw: tuple[int, int], resample: str) -> Tensor:
    grows = hw[0] > image.shape[1] or hw[1] > image.shape[2]
    rule = cv2.INTER_LANCZOS4 if resample == "lanczos" else cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    pixels = _as_bytes(image).permute(1, 2, 0).cpu().numpy()
    resized = cv2.resize(pixels, (hw[1], hw[0]), interpolation=rule)
    return torch.from_numpy(resized).to(image.device).permute(2, 0, 1).float() / 255.0


def _as_bytes(image: Tensor) -> Tensor:
    if image.dtype == torch.uint8:
        return image
    _require_finite(image)  # bytes cannot say it any more
    return (image * 255.0).round().clamp(0, 255).to(torch.uint8)


def _require_finite(images: Tensor) -> None:
    if not bool(torch.isfinite(images).all()):
        raise ValueError("CameraView.image: expected finite values in 0..1, got NaN or infinity")


def _window(resized: Tensor, fit: _Fit, fill: float) -> Tensor:
    """Cut or pad (..., H, W) to the output frame of `fit`."""
    (height, width), (out_height, out_width) = fit.resized_hw, fit.out_hw
    sides = (-fit.left, fit.left + out_width - width, -fit.top, fit.top + out_height - height)
    cut = resized[..., max(fit.top, 0) : fit.top + out_height, max(fit.left, 0) : fit.left + out_width]
    return pad(cut, (max(sides[0], 0), max(sides[1], 0), max(sides[2], 0), max(sides[3], 0)), value=fill)


def _pick_depth(depth: Tensor, fit: _Fit) -> Tensor:
    """(H, W) -> (h, w): the measurement whose pixel holds the network pixel's centre; no or bad measurement = 0."""
    height, width = depth.shape
    rows = ((torch.arange(fit.resized_hw[0], device=depth.device) + 0.5) * (height / fit.resized_hw[0])).long()
    columns = ((torch.arange(fit.resized_hw[1], device=depth.device) + 0.5) * (width / fit.resized_hw[1])).long()
    picked = depth[rows.clamp_max(height - 1)][:, columns.clamp_max(width - 1)].float()
    return _window(torch.where(torch.isfinite(picked) & (picked > 0), picked, 0.0), fit, 0.0)


def _stack_depth(depths: list[Tensor | None], images: Tensor) -> Tensor | None:
    if all(depth is None for depth in depths):
        return None
    none = torch.zeros(images.shape[-2:], device=images.device)
    return torch.stack([none if depth is None else depth for depth in depths])


def _all_or_none(views: Sequence[CameraView], name: str) -> Tensor | None:
    values = [getattr(view, name) for view in views]
    missing = [view.camera for view, value in zip(views, values) if value is None]
    if missing:
        if len(missing) < len(views):
            log.warning("%s: missing for %s; the network is not given the other views' either", name, ", ".join(missing))
        return None
    return torch.stack(values)
