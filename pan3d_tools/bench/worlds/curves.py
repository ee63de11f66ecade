"""Lines over one axis as SVG, for pages of the documentation: small, sharp at any size, and readable as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 260, 52, 16, 34, 44
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e")  # told apart by people who see red and green alike, too
TICKS = 5


@dataclass(frozen=True)
class Line:
    """Values over the places of a picture."""

    name: str
    values: tuple[float, ...]  # NaN = none there


def curve_picture(title: str, along: str, of: str, places: Sequence[float], lines: Sequence[Line]) -> str:
    """Draw lines.

    Args:
        title: Above the picture.
        along: What the horizontal axis is, with its unit.
        of: What the vertical axis is, with its unit.
        places: On the horizontal axis, ascending.
        lines: Each with as many values as there are places.

    Returns:
        An SVG document. The vertical axis begins at 0.

    Raises:
        ValueError: There are fewer than two places, or a line has another number of values.
    """
    if len(places) < 2:
        raise ValueError(f"places: expected at least 2, got {len(places)}")
    for line in lines:
        if len(line.values) != len(places):
            raise ValueError(f"lines: expected {len(places)} values of {line.name}, got {len(line.values)}")
    top = _rounded_up(max((value for line in lines for value in line.values if math.isfinite(value)), default=1.0))

    def x(place: float) -> float:
        return LEFT + (place - places[0]) / (places[-1] - places[0]) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [_text(WIDTH / 2, 18, title, "middle"), _text(WIDTH / 2, HEIGHT - 8, along, "middle"), _text(6, TOP - 8, of, "start")]
    for tick in range(TICKS + 1):
        value = top * tick / TICKS
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, y(value) + 4, f"{value:.3g}", "end"))
    parts += [_text(x(place), HEIGHT - BOTTOM + 16, f"{place:g}", "middle") for place in places]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        known = [(x(place), y(value)) for place, value in zip(places, line.values) if math.isfinite(value)]
        if known:
            path = "L".join(f"{across:.1f} {up:.1f}" for across, up in known)
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{colour}"/>' for across, up in known]
        parts.append(_text(LEFT + 8, HEIGHT - BOTTOM - 8 - 15 * number, line.name, "start", colour))
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">{ground}{"".join(parts)}</svg>\n'
    )


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#333333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next((step * power for step in (1, 2, 2.5, 5) if step * power >= value - 1e-9), 10 * power)
