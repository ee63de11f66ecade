"""What packages wear: labels made by rule, of panels, bands, pictures and lines like writing, in any colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Rgb = np.ndarray  # (3,) 0..1
Area = tuple[np.ndarray, np.ndarray]  # x and y of every pixel, 0..1, y downwards

_PLAIN = ((0.94, 0.94, 0.92), (0.06, 0.06, 0.07), (0.72, 0.58, 0.40), (0.85, 0.80, 0.68))  # white, black, cardboard, paper
_PLAIN_SHARE = 0.45  # of a print's colours


def sample_palette(rng: np.random.Generator, count: int = 5) -> np.ndarray:
    """Draw the colours of one brand: (count, 3) RGB 0..1, strong ones beside white, black and cardboard."""
    colors = []
    for _ in range(count):
        if rng.random() < _PLAIN_SHARE:
            color = np.array(_PLAIN[rng.integers(len(_PLAIN))]) + rng.uniform(-0.05, 0.05, 3)
        else:
            hue, saturation, value = rng.random() * 6, rng.uniform(0.35, 1.0), rng.uniform(0.25, 1.0)
            steps = (hue + np.array([5.0, 3.0, 1.0])) % 6
            color = value * (1 - saturation * np.minimum(steps, 4 - steps).clip(0, 1))
        colors.append(color)
    return np.clip(colors, 0.02, 0.98)


def sample_print(rng: np.random.Generator, palette: np.ndarray, size: int = 64) -> np.ndarray:
    """Draw one side of a package.

    Args:
        rng: Source of all chance.
        palette: (P, 3) RGB 0..1 that it is made of; the first is the ground.
        size: Width and height, pixels.

    Returns:
        (size, size, 3) uint8 sRGB.
    """
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    picture = np.broadcast_to(palette[0], (size, size, 3)).copy()
    if rng.random() < 0.3:  # the ground runs into another colour
        picture += (palette[rng.integers(len(palette))] - picture) * (y if rng.random() < 0.7 else x)[..., None]
    for layer in rng.choice(len(_LAYERS), rng.integers(2, 9), p=_WEIGHTS):
        cover = _LAYERS[layer](rng, (x, y))
        picture += (palette[rng.integers(min(1, len(palette) - 1), len(palette))] - picture) * cover[..., None]
    return np.round(255 * picture.clip(0, 1)).astype(np.uint8)


def _span(rng: np.random.Generator, low: float, high: float) -> tuple[float, float]:
    """Begin and end of a part of 0..1 between `low` and `high` long."""
    length = rng.uniform(low, high)
    start = rng.uniform(0, 1 - length)
    return start, start + length


def _within(values: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    inside: np.ndarray = (values >= span[0]) & (values < span[1])
    return inside


def _band(rng: np.random.Generator, area: Area) -> np.ndarray:
    """All along, level or leaning."""
    x, y = area
    lean = 0.0 if rng.random() < 0.6 else rng.uniform(-1, 1)
    along = y if rng.random() < 0.7 else x
    across = x if along is y else y
    return _within(along + lean * (across - 0.5), _span(rng, 0.05, 0.5)).astype(float)


def _panel(rng: np.random.Generator, area: Area) -> np.ndarray:
    x, y = area
    return (_within(x, _span(rng, 0.15, 0.9)) & _within(y, _span(rng, 0.1, 0.7))).astype(float)


def _disc(rng: np.random.Generator, area: Area) -> np.ndarray:
    """An ellipse, or its rim."""
    x, y = area
    wide, high = rng.uniform(0.1, 0.45, 2)
    radius = np.hypot((x - rng.uniform(0.2, 0.8)) / wide, (y - rng.uniform(0.2, 0.8)) / high)
    return ((radius < 1) & (radius > (0.75 if rng.random() < 0.3 else 0))).astype(float)


def _writing(rng: np.random.Generator, area: Area) -> np.ndarray:
    """Lines of words: runs and gaps."""
    x, y = area
    size = len(x)
    lines = int(rng.integers(1, 9))
    columns, rows = _span(rng, 0.3, 0.9), _span(rng, 0.08 * lines, min(0.16 * lines + 0.1, 0.95))
    letters = max(4, int(rng.integers(8, 33)))
    runs = rng.random((lines, letters)) < 0.72
    line = ((y - rows[0]) / (rows[1] - rows[0]) * lines).clip(0, lines - 1e-6)
    letter = ((x - columns[0]) / (columns[1] - columns[0]) * letters).clip(0, letters - 1e-6)
    shown = runs[line.astype(int), letter.astype(int)] & (line % 1 < 0.6) & _within(x, columns) & _within(y, rows)
    return shown.astype(float).reshape(size, -1)


def _stripes(rng: np.random.Generator, area: Area) -> np.ndarray:
    x, y = area
    turn = rng.uniform(0, np.pi)
    phase = (x * np.cos(turn) + y * np.sin(turn)) * rng.uniform(3, 14)
    return (phase % 1 < rng.uniform(0.2, 0.6)).astype(float)


def _dots(rng: np.random.Generator, area: Area) -> np.ndarray:
    x, y = area
    count = rng.uniform(3, 9)
    return (np.hypot(x * count % 1 - 0.5, y * count % 1 - 0.5) < rng.uniform(0.15, 0.4)).astype(float)


def _bars(rng: np.random.Generator, area: Area) -> np.ndarray:
    """A code of bars."""
    x, y = area
    columns, rows = _span(rng, 0.2, 0.4), _span(rng, 0.1, 0.2)
    bars = rng.random(24) < 0.5
    bar = ((x - columns[0]) / (columns[1] - columns[0]) * len(bars)).clip(0, len(bars) - 1e-6).astype(int)
    return (bars[bar] & _within(x, columns) & _within(y, rows)).astype(float)


def _picture(rng: np.random.Generator, area: Area) -> np.ndarray:
    """A soft shape, like the food that packages show."""
    x, y = area
    cover = np.zeros(x.shape)
    middle = rng.uniform(0.25, 0.75, 2)
    for _ in range(rng.integers(2, 7)):
        at = middle + rng.normal(0, 0.13, 2)
        cover = np.maximum(cover, np.exp(-((((x - at[0]) ** 2 + (y - at[1]) ** 2) / rng.uniform(0.004, 0.03)) ** 2)))
    return cover * rng.uniform(0.6, 1.0)


def _star(rng: np.random.Generator, area: Area) -> np.ndarray:
    x, y = area
    left, up = x - rng.uniform(0.25, 0.75), y - rng.uniform(0.25, 0.75)
    tips, reach = rng.integers(3, 12), rng.uniform(0.12, 0.35)
    wave = 1 + rng.uniform(0.1, 0.4) * np.cos(tips * np.arctan2(up, left) + rng.uniform(0, 6))
    return (np.hypot(left, up) < reach * wave).astype(float)


_WEIGHTED: dict[Callable[[np.random.Generator, Area], np.ndarray], float] = {
    _band: 3, _panel: 3, _disc: 2, _writing: 5, _stripes: 0.7, _dots: 0.5, _bars: 1, _picture: 3, _star: 1.5,
}  # fmt: skip
_LAYERS = tuple(_WEIGHTED)
_WEIGHTS = np.array(list(_WEIGHTED.values())) / sum(_WEIGHTED.values())
