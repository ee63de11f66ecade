"""What a real camera does to a picture, in the order in which light meets it: lens, shutter, sensor, processing, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_GAMMA = 2.2
_MIDDLE_GRAY = 0.18  # mean that automatic exposure aims at, of linear light
_LINEAR = ((np.arange(256) / 255) ** _GAMMA).astype(np.float32)  # of 8 bits
_ENCODED = (255 * np.linspace(0, 1, 1 << 14) ** (1 / _GAMMA)).round().astype(np.uint8)  # 8 bits of linear light in 14
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class EffectRanges:
    """How far cameras depart from an ideal one. Shares are of scenes where lens and lighting are concerned, else of pictures."""

    shading: float = 0.45  # largest loss of light in the corners
    focus_share: float = 0.25
    focus_sigma: float = 1.2  # largest, pixels of a picture 144 wide; grows with the width
    motion_share: float = 0.12
    motion_px: float = 4.0  # longest, likewise
    automatic_share: float = 0.6  # exposures that follow the picture's brightness
    exposure_stops: float = 0.8  # largest error of exposure either way
    white_balance: float = 0.22  # largest logarithm of the gains of red and blue
    full_well: tuple[float, float] = (400.0, 12000.0)  # electrons of white; shot noise is the root of their number
    read_noise: tuple[float, float] = (1.0, 12.0)  # electrons
    mosaic_share: float = 0.6  # cameras with one filter a pixel
    jpeg_share: float = 0.5
    jpeg_quality: tuple[int, int] = (35, 95)
    gray_share: float = 0.08

    def __post_init__(self) -> None:
        for name in ("focus_share", "motion_share", "automatic_share", "mosaic_share", "jpeg_share", "gray_share", "shading"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"EffectRanges.{name}: expected 0 to 1, got {getattr(self, name)}")


def apply_effects(images: np.ndarray, rng: np.random.Generator, ranges: EffectRanges | None = None) -> np.ndarray:
    """Take the pictures of one scene with cameras that are not ideal.

    Args:
        images: (S, H, W, 3) uint8 sRGB of ideal cameras.
        rng: Source of all chance; equal states give equal pictures.
        ranges: How far cameras depart.

    Returns:
        (S, H, W, 3) uint8. Exposure, balance and sensor are alike in all views but for small differences.
    """
    ranges = ranges or EffectRanges()
    linear = _LINEAR[images]
    gain = _exposure(linear, rng, ranges)
    balance = np.exp(rng.uniform(-1, 1, 3) * [1, 0, 1] * ranges.white_balance)
    sensor = np.exp(rng.uniform(*np.log(ranges.full_well))), np.exp(rng.uniform(*np.log(ranges.read_noise)))
    mosaic, gray = rng.random() < ranges.mosaic_share, rng.random() < ranges.gray_share
    taken = []
    for view in linear:
        light = _through_lens(view, rng, ranges) * (gain * np.exp(rng.normal() * 0.05))
        signal = _on_sensor(light, rng, *sensor)
        if mosaic:
            signal = _demosaiced(signal)
        color = np.clip(signal * (balance * np.exp(rng.normal(size=3) * 0.015)).astype(np.float32), 0, 1)
        if gray:
            color = np.repeat((color @ _LUMINANCE)[..., None], 3, axis=2)
        picture = _ENCODED[(color * (len(_ENCODED) - 1)).astype(np.uint16)]
        taken.append(_compressed(picture, rng, ranges))
    return np.stack(taken)


def _exposure(linear: np.ndarray, rng: np.random.Generator, ranges: EffectRanges) -> float:
    error = 2.0 ** (rng.uniform(-1, 1) * ranges.exposure_stops)
    if rng.random() >= ranges.automatic_share:
        return float(error)
    mean = float((linear.mean((0, 1, 2)) @ _LUMINANCE).clip(0.01, 1))
    # Half way: metering by zones and highlights keeps cameras from making snow and coal the same grey.
    return float(error * (_MIDDLE_GRAY / mean) ** 0.7)


def _through_lens(light: np.ndarray, rng: np.random.Generator, ranges: EffectRanges) -> np.ndarray:
    """Darker corners, then what is out of focus or moves."""
    height, width = light.shape[:2]
    if ranges.shading > 0:
        y, x = (np.linspace(-1, 1, n, dtype=np.float32) - rng.normal() * 0.1 for n in (height, width))
        fall = rng.uniform(0, ranges.shading) / 2
        light = light * np.clip(1 - fall * (x[None, :, None] ** 2 + y[:, None, None] ** 2), 0.05, 1).astype(np.float32)
    scale = width / 144
    if rng.random() < ranges.focus_share:
        light = cv2.GaussianBlur(light, (0, 0), max(rng.uniform(0.2, 1.0) * ranges.focus_sigma * scale, 0.1))
    if rng.random() < ranges.motion_share:
        light = cv2.filter2D(light, -1, _motion_kernel(rng.uniform(0.3, 1.0) * ranges.motion_px * scale, rng.uniform(0, np.pi)))
    return light


def _motion_kernel(length: float, angle: float) -> np.ndarray:
    """Light along a line of `length` pixels, summing to 1."""
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for step in np.linspace(-0.5, 0.5, 8 * half):
        x, y = half + step * length * np.cos(angle), half + step * length * np.sin(angle)
        kernel[round(y), round(x)] += 1
    return kernel / kernel.sum()


def _on_sensor(light: np.ndarray, rng: np.random.Generator, full_well: float, read_noise: float) -> np.ndarray:
    """Electrons with shot noise (normal, as Poisson's is for many) and read noise, clipped at the full well."""
    noise = rng.standard_normal(light.shape, np.float32)
    deviation = np.sqrt(np.maximum(light, 0) / np.float32(full_well) + np.float32((read_noise / full_well) ** 2))
    return np.clip(light + noise * deviation, 0, 1)


def _demosaiced(signal: np.ndarray) -> np.ndarray:
    """One colour a pixel in Bayer's order, the others interpolated from neighbours."""
    raw = signal[..., 1].copy()
    raw[0::2, 0::2], raw[1::2, 1::2] = signal[0::2, 0::2, 0], signal[1::2, 1::2, 2]
    return cv2.cvtColor((raw * 65535).astype(np.uint16), cv2.COLOR_BayerRGGB2RGB).astype(np.float32) / 65535


def _compressed(picture: np.ndarray, rng: np.random.Generator, ranges: EffectRanges) -> np.ndarray:
    if rng.random() >= ranges.jpeg_share:
        return picture
    low, high = ranges.jpeg_quality
    quality = int(rng.integers(low, high + 1))
    _, stored = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1]
