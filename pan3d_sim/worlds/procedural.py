"""Surfaces made by rule: wood, stone, cloth, print and plain colour, each periodic and with the width it has in the world."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Surface:
    """A picture that repeats over a table, floor or wall."""

    pixels: np.ndarray  # (H, W, 3) uint8, periodic
    size_m: float  # width of the picture in the world
    tintable: bool  # grey values that any colour may be multiplied with


def draw_color(rng: np.random.Generator) -> np.ndarray:
    """Any colour that a table or wall has: saturated as often as pale, and grey, dark and white ones.

    Args:
        rng: Source of all chance.

    Returns:
        (3,) RGB in 0..1.
    """
    kind = rng.choice(5, p=(0.4, 0.25, 0.15, 0.08, 0.12))
    saturation = (rng.uniform(0.5, 1.0), rng.uniform(0.1, 0.5), rng.uniform(0.0, 0.06), rng.uniform(0, 0.5), rng.uniform(0, 0.05))
    value = (
        rng.uniform(0.3, 1.0),
        rng.uniform(0.45, 1.0),
        rng.uniform(0.25, 0.8),
        rng.uniform(0.04, 0.25),
        rng.uniform(0.8, 1.0),
    )
    return np.array(colorsys.hsv_to_rgb(rng.random(), saturation[kind], value[kind]))


def spectral_noise(rng: np.random.Generator, size: int, exponent: float, stretch: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Draw periodic noise with the power spectrum of many natural surfaces.

    Args:
        rng: Source of all chance.
        size: Width and height, pixels.
        exponent: Amplitudes fall with this power of the frequency: 0 = white, 2 = clouds.
        stretch: Factors on the frequencies along y and x; a large one along x makes streaks along y short.

    Returns:
        (size, size) values in 0..1.
    """
    fy, fx = np.fft.fftfreq(size)[:, None] * size * stretch[0], np.fft.rfftfreq(size)[None] * size * stretch[1]
    amplitude = np.maximum(np.hypot(fy, fx), 1.0) ** -exponent
    amplitude[0, 0] = 0.0
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) * amplitude, s=(size, size))
    low, high = np.percentile(noise, (1, 99))
    return np.clip((noise - low) / max(high - low, 1e-9), 0, 1)


def _mix(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(N, N) shares -> (N, N, 3) colours between two."""
    return low + value[..., None] * (high - low)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:size, 0:size] / size
    return y, x


def _gray(value: np.ndarray) -> np.ndarray:
    return np.repeat(value[..., None], 3, axis=2)


def _plain(rng: np.random.Generator, size: int) -> np.ndarray:
    contrast = rng.uniform(0.0, 0.15)
    return _gray(1 - contrast * spectral_noise(rng, size, rng.uniform(0.3, 2.0)))


def _speckle(rng: np.random.Generator, size: int) -> np.ndarray:
    spots = spectral_noise(rng, size, 0.8) > rng.uniform(0.6, 0.85)
    return _gray(np.where(spots, rng.uniform(0.2, 0.8), 1.0) * (0.85 + 0.15 * rng.random((size, size))))


def _cloth(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = _grid(size)
    threads = int(rng.integers(20, 60))
    weave = 0.5 + 0.5 * np.sin(2 * np.pi * threads * x) * np.sin(2 * np.pi * threads * y)
    return _gray(1 - rng.uniform(0.1, 0.35) * weave - 0.15 * spectral_noise(rng, size, 1.5))


def _rough(rng: np.random.Generator, size: int) -> np.ndarray:
    return _gray(1 - rng.uniform(0.2, 0.7) * spectral_noise(rng, size, rng.uniform(0.3, 1.6)))


def _wood(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = _grid(size)
    rings = spectral_noise(rng, size, 1.8, (0.35, 5.0))
    fibre = spectral_noise(rng, size, 0.7, (0.06, 2.0))
    value = 0.5 + 0.5 * np.sin(2 * np.pi * rng.integers(3, 9) * rings)
    light = np.array(colorsys.hsv_to_rgb(rng.uniform(0.03, 0.13), rng.uniform(0.15, 0.7), rng.uniform(0.35, 0.95)))
    color = _mix(0.65 * value + 0.35 * fibre, light * rng.uniform(0.5, 0.85), light)
    planks = int(rng.choice([0, 3, 4, 6]))
    if planks:
        plank = (x * planks).astype(int)
        color *= rng.uniform(0.75, 1.0, planks)[plank][..., None]
        color[(x * planks) % 1 < 0.02 * planks / 3] *= 0.5
    return color


def _marble(rng: np.random.Generator, size: int) -> np.ndarray:
    veins = np.abs(2 * spectral_noise(rng, size, 1.7) - 1) ** rng.uniform(0.15, 0.5)
    base = draw_color(rng) if rng.random() < 0.5 else np.full(3, rng.uniform(0.7, 0.95))
    return _mix(veins, base * rng.uniform(0.3, 0.7), base) * (0.85 + 0.15 * spectral_noise(rng, size, 2.0)[..., None])


def _checks(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = _grid(size)
    count = int(2 * rng.integers(1, 5))
    odd = ((x * count).astype(int) + (y * count).astype(int)) % 2
    return _mix(odd.astype(float), draw_color(rng), draw_color(rng)) * _plain(rng, size)


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    edges = np.sort(rng.random(rng.integers(3, 14)))
    colors = np.stack([draw_color(rng) for _ in range(min(len(edges), 4))])
    band = np.searchsorted(edges, _grid(size)[1]) % len(edges) % len(colors)
    return colors[band] * _plain(rng, size)


def _plaid(rng: np.random.Generator, size: int) -> np.ndarray:
    return 0.5 * _stripes(rng, size) + 0.5 * np.swapaxes(_stripes(rng, size), 0, 1)


def _tiles(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = _grid(size)
    rows, columns = int(rng.integers(2, 7)), int(rng.integers(2, 7))
    shifted = (x + 0.5 / columns * ((y * rows).astype(int) % 2) * rng.integers(0, 2)) % 1
    tone = rng.uniform(1 - rng.uniform(0, 0.4), 1.0, (rows, columns))[(y * rows).astype(int), (shifted * columns).astype(int)]
    joint = rng.uniform(0.02, 0.1)
    in_joint = ((shifted * columns) % 1 < joint) | ((y * rows) % 1 < joint)
    color = tone[..., None] * draw_color(rng) * _plain(rng, size)
    color[in_joint] = draw_color(rng)
    return color


def _shapes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Discs, boxes and bars in a few colours, as on oilcloth, posters and carpets."""
    y, x = _grid(size)
    palette = np.stack([draw_color(rng) for _ in range(4)])
    color = np.broadcast_to(palette[0], (size, size, 3)).copy()
    reach = rng.uniform(0.02, 0.2)
    for _ in range(int(rng.integers(5, 50))):
        dx, dy = (np.abs((axis - rng.random() + 0.5) % 1 - 0.5) for axis in (x, y))
        width, height = rng.uniform(0.3, 1.0, 2) * reach
        inside = (dx / width) ** 2 + (dy / height) ** 2 < 1 if rng.random() < 0.6 else (dx < width) & (dy < height)
        color[inside] = palette[rng.integers(1, 4)]
    return color


def _print(rng: np.random.Generator, size: int) -> np.ndarray:
    """Columns of lines of words with headings and pictures, as on newspapers, letters and packages."""
    paper, ink = (np.full(3, rng.uniform(0.75, 1.0)), np.full(3, rng.uniform(0.0, 0.3)))
    if rng.random() < 0.3:
        paper, ink = draw_color(rng), draw_color(rng)
    page = np.zeros((size, size))
    columns = int(rng.integers(1, 5))
    width = size // columns
    for column in range(columns):
        top = int(rng.integers(0, 10))
        while top < size - 8:
            line = int(rng.choice([3, 4, 5, 12], p=(0.4, 0.35, 0.15, 0.1)))
            left, end = column * width + 4, (column + 1) * width - 4 - int(rng.integers(0, width // 4))
            if rng.random() < 0.04:  # a picture
                page[top : top + 6 * line, left:end] = spectral_noise(rng, size, 1.5)[
                    : page[top : top + 6 * line].shape[0], left:end
                ]
                top += 6 * line
            while left < end - 2:
                word = int(rng.integers(line, 6 * line))
                strokes = rng.random((1, min(word, end - left))) < 0.75
                page[top : top + (line * 2 + 2) // 3, left : min(left + word, end)] = strokes
                left += word + max(line // 2, 2)
            top += line + int(rng.integers(1, 3))
    return _mix(np.clip(page, 0, 1), paper, ink)


def _cells(rng: np.random.Generator, size: int) -> np.ndarray:
    """Terrazzo, gravel or leather: nearest of random points, with or without joints."""
    points = rng.random((int(rng.integers(20, 90)), 2))
    coarse = size // 2
    y, x = _grid(coarse)
    dx = np.abs((x[..., None] - points[:, 0] + 0.5) % 1 - 0.5)
    dy = np.abs((y[..., None] - points[:, 1] + 0.5) % 1 - 0.5)
    distance = dx**2 + dy**2
    order = np.argpartition(distance, 1, axis=2)[..., :2]
    nearest, second = np.moveaxis(np.sqrt(np.take_along_axis(distance, order, 2)), 2, 0)
    base = draw_color(rng)
    color = np.clip(base * rng.uniform(0.5, 1.3, (len(points), 1)) + rng.uniform(-0.15, 0.15, (len(points), 3)), 0, 1)[
        order[..., 0]
    ]
    color[second - nearest < rng.uniform(0, 0.02)] = base * rng.uniform(0.2, 1.0)
    return np.repeat(np.repeat(color, 2, 0), 2, 1) * _plain(rng, size)


def _gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    return _mix(spectral_noise(rng, size, rng.uniform(1.5, 3.0)), draw_color(rng), draw_color(rng))


# Style: how often, smallest and largest width in metres, whether its grey values take any tint.
_STYLES: dict[Callable[[np.random.Generator, int], np.ndarray], tuple[float, float, float, bool]] = {
    _plain: (0.28, 0.3, 1.5, True),
    _speckle: (0.05, 0.1, 0.6, True),
    _cloth: (0.07, 0.05, 0.25, True),
    _rough: (0.09, 0.15, 1.0, True),
    _wood: (0.12, 0.25, 0.9, False),
    _marble: (0.06, 0.4, 1.5, False),
    _checks: (0.04, 0.08, 0.6, False),
    _stripes: (0.04, 0.1, 0.6, False),
    _plaid: (0.04, 0.1, 0.5, False),
    _tiles: (0.06, 0.2, 1.0, False),
    _shapes: (0.05, 0.2, 0.8, False),
    _print: (0.05, 0.2, 0.5, False),
    _cells: (0.03, 0.1, 0.6, False),
    _gradient: (0.02, 0.5, 1.5, False),
}


def draw_surface(rng: np.random.Generator, size: int = 256) -> Surface:
    """Draw a surface of any style.

    Args:
        rng: Source of all chance.
        size: Width and height of its picture, pixels; even.

    Returns:
        The surface.
    """
    styles = list(_STYLES)
    weights = np.array([_STYLES[style][0] for style in styles])
    style = styles[rng.choice(len(styles), p=weights / weights.sum())]
    _, smallest, largest, tintable = _STYLES[style]
    color = style(rng, size)
    size_m = float(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
    return Surface((255 * np.clip(color, 0, 1)).round().astype(np.uint8), size_m, tintable)
