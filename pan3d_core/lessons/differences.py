"""What looks otherwise in two pictures of one camera, whatever the light did in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pan3d_core.config import LessonConfig
from pan3d_core.structures import CameraView, unit_range

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BLUR_PX = 0.8
BLURRED = 0.42  # noise that is left by this blur, over what it takes out
FIT_ROUNDS = 8
MIN_FIT_PIXELS, FIT_PIXELS = 200, 6_000
SHADE_WINDOW_PX = 5
SHADES = (0.4, 2.2)  # a shadow that goes or comes makes nothing darker or brighter than by this
GROUND_SHADE = 0.12  # share of its brightness by which the support's colour in a shadow is another one: lamps differ in colour
PLAIN_SPREAD = 0.002  # variance of colours up to which a picture counts as of one colour
EDGE_PX = 2  # a shadow's outline is between light and dark
SIGMAS = 5.0
SATURATED, DARK = 0.985, 0.05
RIM_SHARE = 0.5  # of the difference of the inside, that a pixel at the outline has at least


@dataclass(frozen=True)
class Difference:
    """Two pictures of one camera compared, (H, W) each."""

    changed: Mask  # looks otherwise
    shaded: Mask  # of these, those that another shadow explains as well
    shadow: Mask  # of the latter, those on what seems to be the support: no object is there
    usable: Mask  # can be compared: neither picture shows the robot there
    light: Floats  # (3,) by which colours were multiplied to make the pictures alike
    nearer: Mask  # measured depth says that something is there that was not there before
    strength: Floats  # by how much colours differ

    @property
    def share(self) -> float:
        """Of the pixels that can be compared, those that changed; 1 where none can be."""
        return float(self.changed.sum() / self.usable.sum()) if self.usable.any() else 1.0


def difference(before: CameraView, after: CameraView, usable: Mask, ground: Mask, config: LessonConfig) -> Difference:
    """Compare two pictures.

    Args:
        before: The earlier one.
        after: The later one, of the same camera at the same place and size.
        usable: (H, W) bool, False where one of them shows what does not count.
        ground: (H, W) bool, where the earlier one seems to show the support: less is asked there of what is taken for a shadow.
        config: From when on a colour or a depth is another one.

    Returns:
        What changed. Depth that both measured is believed more than colours are.
    """
    first, second = (unit_range(view.image).permute(1, 2, 0).double().cpu().numpy() for view in (before, after))
    gain, offset = _light(first, second, usable)
    fitted = (first * gain + offset).clip(0.0, 1.0)
    rest = second - fitted
    # Of what was too bright for the first picture nobody knows how bright it was.
    rest = np.where((first >= SATURATED) & (rest > 0), 0.0, rest)
    strength: Floats = np.linalg.norm(rest, axis=2)
    smooth = ndimage.gaussian_filter(rest, (BLUR_PX, BLUR_PX, 0))
    # What differs from its neighbours is noise; what is the same over many pixels is no noise, however large.
    rough = np.abs(rest - smooth)[usable]
    noise = BLURRED * 1.4826 * np.median(rough, axis=0) if len(rough) else np.zeros(3)
    least = max(config.color_step, SIGMAS * float(np.linalg.norm(noise)))
    changed = usable & (np.linalg.norm(smooth, axis=2) > least)
    shaded = changed & _as_shade(fitted, second, ground, least)
    shaded |= changed & ground & ndimage.binary_dilation(shaded & ground, iterations=EDGE_PX)
    nearer = np.zeros_like(changed)
    if before.depth is not None and after.depth is not None:
        was, now = (view.depth.double().cpu().numpy() for view in (before, after) if view.depth is not None)
        step = np.maximum(config.depth_step_m, config.depth_step * was)
        both = usable & (was > 0) & (now > 0)
        nearer = _without_specks(both & (was - now > step))
        farther = _without_specks(both & (now - was > step))
        same = both & (np.abs(now - was) < step / 2)
        changed, shaded = changed | farther | nearer, (shaded | (changed & same)) & ~farther & ~nearer
    return Difference(changed, shaded, shaded & ground, usable, gain, nearer, strength)


def outlined(mask: Mask, seen: Difference, rim_px: int = 2) -> Mask:
    """Take from the rim of a mask what differs much less than its inside: smoothing has made it wider than the thing is.

    Args:
        mask: (H, W) bool, within what changed.
        seen: The difference that it was found in.
        rim_px: How wide the rim is, at most.

    Returns:
        (H, W) bool.
    """
    rim = mask & ~ndimage.binary_erosion(mask, iterations=rim_px)
    weight = ndimage.uniform_filter(mask.astype(np.float64), 5)
    inside = ndimage.uniform_filter(np.where(mask, seen.strength, 0.0), 5) / np.maximum(weight, 1e-9)
    kept: Mask = mask & ~(rim & (seen.strength < RIM_SHARE * inside))
    return kept


def _light(first: Floats, second: Floats, usable: Mask) -> tuple[Floats, Floats]:
    """(3,) gain and (3,) offset of each colour, by the half of the pixels that agree best: those that show the same thing. What
    is too bright or too dark for a picture says nothing of them."""
    gain, offset = np.ones(3), np.zeros(3)
    told = usable & ((first < SATURATED) & (second < SATURATED) & (first > DARK)).any(axis=2)
    x, y = first[told], second[told]
    if len(x) < MIN_FIT_PIXELS:
        return gain, offset
    thin = slice(None, None, max(1, len(x) // FIT_PIXELS))
    x, y = x[thin], y[thin]
    heard = ((x < SATURATED) & (y < SATURATED) & (x > DARK)).astype(np.float64)
    gain = np.array([np.median((y / np.maximum(x, 0.02))[heard[:, k] > 0, k]) if heard[:, k].any() else 1.0 for k in range(3)])
    for _ in range(FIT_ROUNDS):
        off = (np.abs(y - (x * gain + offset)) * heard).sum(1) / np.maximum(heard.sum(1), 1.0)
        weights = heard * (off <= np.median(off))[:, None]
        count = np.maximum(weights.sum(0), 1.0)
        means = (x * weights).sum(0) / count, (y * weights).sum(0) / count
        spread = ((x - means[0]) ** 2 * weights).sum(0) / count
        shared = ((x - means[0]) * (y - means[1]) * weights).sum(0) / count
        # A picture of one colour does not tell gain from offset, and what varies in it is noise.
        plain = means[1] / np.maximum(means[0], 0.02)
        fits = weights.sum(0) > 0
        gain = np.where(fits, (shared + PLAIN_SPREAD * plain) / (spread + PLAIN_SPREAD), gain)
        offset = np.where(fits, means[1] - gain * means[0], offset)
    return gain, offset


def _as_shade(first: Floats, second: Floats, ground: Mask, least: float) -> Mask:
    """Where the same colours, all by about the same factor, are darker or brighter over a small window."""
    size = (SHADE_WINDOW_PX, SHADE_WINDOW_PX)
    first, second = (ndimage.gaussian_filter(item, (BLUR_PX, BLUR_PX, 0)) for item in (first, second))
    both = ndimage.uniform_filter((first * second).sum(2), size)
    alone = ndimage.uniform_filter((first * first).sum(2), size)
    other = ndimage.uniform_filter((second * second).sum(2), size)
    factor = both / np.maximum(alone, 1e-6)
    left = np.sqrt(np.maximum(other - factor * both, 0.0))
    most = np.where(ground, np.maximum(least / 2, GROUND_SHADE * np.sqrt(other)), least / 2)
    found: Mask = (left < most) & (factor > SHADES[0]) & (factor < SHADES[1])
    return found


def _without_specks(mask: Mask) -> Mask:
    found: Mask = ndimage.binary_opening(mask, np.ones((2, 2), bool))
    return found
