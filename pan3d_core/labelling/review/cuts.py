"""Cutting an object out of one picture, by a cut through the graph of its pixels (Rother, Kolmogorov, Blake 2004)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

Mask = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]
Trimap = npt.NDArray[np.uint8]  # of `cv2.GC_...`: what is the object, is not, or has to be decided

FEWEST = 12  # pixels of an object, or around it, that say something of colours
_MARGIN = 0.3  # of the longer side of a guess, around it: where nothing of the object is
_LEAST_MARGIN = 0.1  # of the picture's width, likewise
_ALIKE = 12  # steps of 255 between neighbours, over which the first guess around a click spreads
_ROUNDS = 3


def alike(picture: Picture, row: int, column: int) -> Mask:
    """Mark what is of nearly the colour of a pixel, and connected to it.

    Args:
        picture: (H, W, 3).
        row: Of the pixel.
        column: Likewise.

    Returns:
        (H, W).
    """
    mask = np.zeros((picture.shape[0] + 2, picture.shape[1] + 2), np.uint8)
    cv2.floodFill(picture.copy(), mask, (column, row), (0,), (_ALIKE,) * 3, (_ALIKE,) * 3, 4 | cv2.FLOODFILL_MASK_ONLY)
    found: Mask = mask[1:-1, 1:-1].astype(bool)
    return found


def depth_within(mask: Mask, row: int, column: int) -> float:
    """How far a pixel is from the rim of a mask (H, W) that it is in, pixels; 0 outside of it."""
    padded = np.pad(mask, 1, constant_values=True).astype(np.uint8)  # the picture's edge is no rim
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[row + 1, column + 1])


def deepest(mask: Mask) -> tuple[int, int, float]:
    """Row and column of the pixel of a mask (H, W) farthest from its rim or the picture's, and how far: 0 = it is empty."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column), float(depth[row, column])


def trimap_of(guess: Mask, inside: Mask, outside: Mask, band: int | None) -> Trimap:
    """Say what a cut decides.

    Args:
        guess: (H, W) where the object may be.
        inside: Where it certainly is.
        outside: Where it certainly is not.
        band: Pixels on both sides of the guess's outline that are decided; None = all in a margin around it.

    Returns:
        (H, W).
    """
    made = np.full(guess.shape, cv2.GC_BGD, np.uint8)
    if band is None:
        made[_around(guess | inside, max(round(_LEAST_MARGIN * guess.shape[1]), round(_MARGIN * _side(guess | inside))))] = (
            cv2.GC_PR_BGD
        )
    made[guess] = cv2.GC_PR_FGD
    if band is not None:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1,) * 2)
        flat = guess.astype(np.uint8)
        made[cv2.dilate(flat, kernel).astype(bool) & ~guess] = cv2.GC_PR_BGD
        made[cv2.erode(flat, kernel).astype(bool)] = cv2.GC_FGD
    made[outside] = cv2.GC_BGD
    made[inside] = cv2.GC_FGD
    return made


def cut_out(picture: Picture, trimap: Trimap) -> Mask:
    """Decide by colours what is the object.

    Args:
        picture: (H, W, 3) RGB.
        trimap: Of `trimap_of`.

    Returns:
        (H, W); the trimap's guess where there is too little on either side.
    """
    is_fore: Mask = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    asked = trimap != cv2.GC_BGD
    part = _around(asked, FEWEST + _side(asked) // 2)  # colours of its surroundings, not of the whole room
    if min(is_fore[part].sum(), (~is_fore[part]).sum()) < FEWEST or not (asked & (trimap != cv2.GC_FGD)).any():
        return is_fore
    cut = np.ascontiguousarray(trimap[part])
    before, behind = np.zeros((1, 65)), np.zeros((1, 65))  # mixtures of colours, which it keeps here
    cv2.setRNGSeed(0)  # of the first clusters of colours: the same clicks give the same outline
    cv2.grabCut(np.ascontiguousarray(picture[part]), cut, (0, 0, 1, 1), behind, before, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = np.zeros_like(is_fore)
    found[part] = (cut == cv2.GC_FGD) | (cut == cv2.GC_PR_FGD)
    return found


def connected(found: Mask, seeds: Mask, *, else_largest: bool = False) -> Mask:
    """Keep the parts of a mask that have a seed.

    Args:
        found: (H, W).
        seeds: Likewise.
        else_largest: Whether the largest part stays where none has a seed.

    Returns:
        (H, W).
    """
    parts, count = label(found)
    wanted = set(np.unique(parts[seeds & found]).tolist()) - {0}
    if not wanted and else_largest and count:
        wanted = {1 + int(np.bincount(parts.ravel())[1:].argmax())}
    kept: Mask = np.isin(parts, list(wanted))
    return kept & found


def _side(mask: Mask) -> int:
    """The longer side of a mask's box; 0 = it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return 1 + int(max(np.ptp(rows), np.ptp(columns))) if len(rows) else 0


def _around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The box of a mask with a margin, cut to the picture; nothing where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(max(0, rows[0] - margin), rows[-1] + margin + 1), slice(max(0, columns[0] - margin), columns[-1] + margin + 1)
