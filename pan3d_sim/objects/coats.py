"""What colours an object wears in one scene: procedural ones are painted anew, modelled ones mostly keep their own surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from pan3d_core.language.colors import oklab
from pan3d_sim.objects.kinds import COLORS, ObjectSpec, sample_color

# Of modelled objects: those that keep all their surfaces, and those of which only the largest part is painted.
OWN_SHARE, ONE_PART_SHARE = 0.65, 0.2
_GAIN, _TINT = (0.75, 1.15), 0.06  # how much the brightness and the colour of an own surface vary

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Coat:
    """Colours of an object's parts."""

    color_name: str  # of the main part
    rgb: Rgb  # of the main part
    part_rgb: tuple[Rgb, ...]  # what each part's surface is multiplied with
    painted: tuple[bool, ...]  # whether a pattern takes the place of the part's own surface


def sample_coat(rng: np.random.Generator, obj: ObjectSpec) -> Coat:
    """Draw the colours of an object.

    Args:
        rng: Source of all chance.
        obj: Procedural or modelled.

    Returns:
        A colour for each of its parts.
    """
    if not obj.is_modelled:
        color_name, rgb = sample_color(rng, obj.kind)
        return Coat(color_name, rgb, tuple(obj.part_rgb(part, rgb) for part in obj.parts), (False,) * len(obj.parts))
    choice = rng.random()
    count = len(obj.parts)
    number_painted = 0 if choice < OWN_SHARE else 1 if choice < OWN_SHARE + ONE_PART_SHARE else count
    gain = rng.uniform(*_GAIN) * (1 + rng.uniform(-_TINT, _TINT, 3))
    colors, looks = [], []
    for index, part in enumerate(obj.parts):
        own = np.array(obj.part_rgb(part))
        if index < number_painted:
            own = np.array(sample_color(rng, obj.kind)[1])
        elif part.texture is None:
            own = np.clip(own * gain, 0.02, 0.98)
        else:
            own = np.clip(gain, 0.0, 1.0)
        looks.append(own if part.texture is None or index < number_painted else own * part.texture.mean((0, 1)) / 255)
        colors.append(_rgb(own))
    rgb = _rgb(looks[0])
    painted = tuple(index < number_painted for index in range(count))
    return Coat(nearest_color(rgb), rgb, tuple(colors), painted)


def mean_rgb(texture: np.ndarray) -> Rgb:
    """The mean colour (sRGB 0..1) of a picture (h, w, 3) uint8."""
    return _rgb(texture.reshape(-1, 3).mean(0) / 255)


def nearest_color(rgb: Rgb) -> str:
    """The word of `COLORS` that describes a colour (sRGB 0..1) best."""
    return _words()[int(np.argmin(((oklab(np.array(rgb)) - _labs()) ** 2).sum(1)))]


@cache
def _words() -> tuple[str, ...]:
    return tuple(COLORS)


@cache
def _labs() -> np.ndarray:
    return oklab(np.array(list(COLORS.values())))


def _rgb(values: np.ndarray) -> Rgb:
    red, green, blue = (float(x) for x in values)
    return red, green, blue
