"""Colour words: which word fits a colour as a camera saw it.

Colours are compared in OKLab (Ottosson 2020), where a change of illumination by a factor k multiplies L, a and b alike by the
cube root of k. The ratios a/L and b/L are therefore the same in light and in shadow; lightness itself counts little, and only
where it makes the difference between words (orange and brown, white and black).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

# Prototypes as sRGB hex; several where one word covers a wide range. The order decides nothing.
BASE_COLORS: dict[str, tuple[str, ...]] = {
    "red": ("cc1414", "a01010", "e03030"),
    "orange": ("ee7310", "f08c28"),
    "yellow": ("edd114", "d8b820", "f0e060"),
    "green": ("1a8c26", "3cb043", "6b9b2a"),
    "teal": ("0d9494", "30b0b0"),
    "blue": ("1a38c7", "2060d0", "4a90e0"),
    "purple": ("731f99", "8a4fc0"),
    "pink": ("ed739e", "f4a8c0", "e0408c"),
    "brown": ("6b401f", "8b5a2b", "4a2c16"),
    "white": ("ebebe6", "ffffff"),
    "grey": ("808080", "a0a0a0", "606060"),
    "black": ("121214", "262628"),
}
# Other words: their own prototypes, so that "navy" prefers the darker of two blue things.
OTHER_COLORS: dict[str, tuple[str, ...]] = {
    "crimson": ("b0102c",), "scarlet": ("e0200c",), "ruby": ("a01030",), "maroon": ("6a0c18",), "burgundy": ("6e1028",),
    "amber": ("f0a810",), "golden": ("d8ac28",), "gold": ("d8ac28",), "mustard": ("c8a020",), "lemon": ("f4e440",),
    "lime": ("90d020",), "olive": ("6c6c18",), "emerald": ("108c50",), "mint": ("90e0b0",), "khaki": ("b8ac70",),
    "turquoise": ("28b8b0",), "cyan": ("10b8c8",), "aqua": ("20c0c8",), "navy": ("101c5c",), "azure": ("3888e0",),
    "violet": ("7830b0",), "lilac": ("b890d0",), "lavender": ("b8a8e0",), "magenta": ("c81c98",), "fuchsia": ("d820a0",),
    "rose": ("e06088",), "salmon": ("f08c78",), "tan": ("c8a070",), "beige": ("dccca8",), "cream": ("f0e8cc",),
    "ivory": ("f0ecdc",), "silver": ("b0b2b4",), "charcoal": ("383a3c",),
}  # fmt: skip
SPELLINGS = {
    "gray": "grey", "grayish": "grey", "greyish": "grey", "reddish": "red", "bluish": "blue", "greenish": "green",
    "yellowish": "yellow", "pinkish": "pink", "brownish": "brown", "purplish": "purple", "orangey": "orange", "whitish": "white",
    "blackish": "black",
}  # fmt: skip
SHADES = {"dark": -1, "deep": -1, "light": 1, "pale": 1, "bright": 1}
_RATIO_SIGMA = 0.09
_LIGHTNESS_WEIGHT = 0.27
_FLOOR = 0.01
_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def oklab(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """sRGB 0..1 (..., 3) -> OKLab (..., 3): lightness 0..1, green-red, blue-yellow."""
    rgb = np.clip(np.asarray(rgb, dtype=np.float64), 0.0, 1.0)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: npt.NDArray[np.float64] = np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T
    return lab


def rgb_of_oklab(lab: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """OKLab (..., 3) -> sRGB (..., 3), outside 0..1 for colours that no screen shows."""
    linear = (np.asarray(lab, dtype=np.float64) @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_LMS).T
    curved = 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055
    return np.where(np.abs(linear) <= 0.0031308, 12.92 * linear, np.sign(linear) * curved)


def typical_rgb(word: str) -> npt.NDArray[np.float64]:
    """sRGB 0..1 (3,) of a colour word. Raises `ValueError` for an unknown word."""
    known = canonical_color(word)
    if known is None:
        raise ValueError(f"word: expected a colour word such as {', '.join(BASE_COLORS)}, got {word!r}")
    return _rgb_of_code({**BASE_COLORS, **OTHER_COLORS}[known][0])


def _rgb_of_code(code: str) -> npt.NDArray[np.float64]:
    return np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)])


def _features(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Shading-robust coordinates (..., 3) in which distances are compared: (weighted lightness, a/L, b/L)."""
    lab = oklab(rgb)
    # Ratios of near-black colours are noise; the offset draws them to the neutral axis.
    ratios = lab[..., 1:] / (lab[..., :1] + 0.1)
    return np.concatenate([_LIGHTNESS_WEIGHT * lab[..., :1], ratios], axis=-1)


def _prototypes(codes: tuple[str, ...]) -> npt.NDArray[np.float64]:
    return _features(np.stack([_rgb_of_code(code) for code in codes]))


_TABLE = {word: _prototypes(codes) for word, codes in {**BASE_COLORS, **OTHER_COLORS}.items()}


def canonical_color(word: str) -> str | None:
    """The word under which a colour is known ("gray" -> "grey"); None when `word` is no colour."""
    word = SPELLINGS.get(word, word)
    return word if word in _TABLE else None


def color_fit(word: str, rgb: npt.NDArray[np.floating], shade: int = 0) -> float:
    """Tell how well a colour word describes a colour.

    Args:
        word: Any that `canonical_color` knows.
        rgb: (3,) sRGB, 0..1.
        shade: -1 asks for a dark variant, +1 for a light one.

    Returns:
        1 where no basic colour word fits better, towards 0.01 for another colour.

    Raises:
        ValueError: The word is no colour.
    """
    known = canonical_color(word)
    if known is None:
        raise ValueError(f"word: expected a colour word such as {', '.join(BASE_COLORS)}, got {word!r}")
    features = _features(np.asarray(rgb))
    own = _distance(known, features)
    nearest = min(_distance(base, features) for base in BASE_COLORS)
    fit = math.exp(-max(0.0, own**2 - nearest**2) / (2 * _RATIO_SIGMA**2))
    if shade:
        lightness = float(oklab(np.asarray(rgb))[0])
        fit *= 0.4 + 0.6 / (1.0 + math.exp(-shade * (lightness - 0.55) / 0.06))
    return max(_FLOOR, fit)


def name_color(rgb: npt.NDArray[np.floating]) -> str:
    """The basic colour word that fits best."""
    features = _features(np.asarray(rgb))
    return min(BASE_COLORS, key=lambda word: _distance(word, features))


def _distance(word: str, features: npt.NDArray[np.float64]) -> float:
    return float(np.linalg.norm(_TABLE[word] - features, axis=-1).min())
