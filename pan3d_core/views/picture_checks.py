"""Whether pictures show anything: covered lenses, too dark ones, and those that are blurred beside others of the same scene."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from pan3d_core.structures import CameraView, unit_range

DARK = 0.08  # of the full scale: what the brightest twentieth of a picture must reach
FINE_PX, COARSE_PX = 0.8, 3.0  # scales at which edges are measured
BLURRED_BESIDE = 0.68  # share of the sharpness of the middle view of a scene, below which a view is blurred
BLURRED = 1.35  # sharpness of edges that are wider than the coarse scale
FAINT = 0.01  # brightness per pixel across edges at the coarse scale, below which a picture has none
PLAIN_STEPS = 2.5  # of 8 bits: a picture whose colours differ by no more shows nothing
ONE_COLOUR = "nothing but one colour"
_STRONGEST = 0.995  # of the edges of a picture: the others are noise
_LONGEST = 640  # pictures are thinned to so many pixels
_COARSE_STEP = 16  # pixels between those that are looked at first


def sharpness(image: npt.NDArray[np.floating]) -> float:
    """Measure how steep the strongest edges of a picture are, over how steep they are when it is blurred on purpose.

    Args:
        image: (H, W) brightness 0..1.

    Returns:
        About 3 where they are sharp, 1 where they are wider than `COARSE_PX`; 3 where there are none. A camera that moves blurs
        along its way alone, so the worst of four directions counts.
    """
    blurs = (np.asarray(cv2.GaussianBlur(image.astype(np.float64), (0, 0), scale), np.float64) for scale in (FINE_PX, COARSE_PX))
    fine, coarse = (_steepness(blur) for blur in blurs)
    edges = coarse > FAINT
    return float((fine[edges] / coarse[edges]).min()) if edges.any() else COARSE_PX / FINE_PX


def _steepness(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of the strongest edges, across each of four directions."""
    across, down = (cv2.Sobel(image, cv2.CV_64F, *axis) / 8 for axis in ((1, 0), (0, 1)))
    turns = np.deg2rad([0, 45, 90, 135])
    along = [np.abs(np.cos(turn) * across + np.sin(turn) * down) for turn in turns]
    return np.array([np.quantile(item, _STRONGEST) for item in along])


def covered_rows(views: Sequence[CameraView]) -> tuple[int, ...]:
    """Find the views that show nothing: pictures of one colour but for noise of one step of 8 bits, and no depth measured beside.

    Args:
        views: Of one set.

    Returns:
        Their rows.
    """
    return tuple(row for row, view in enumerate(views) if _is_plain(view) and not _measures(view))


def about_covered(views: Sequence[CameraView], rows: Sequence[int]) -> tuple[str, ...]:
    """Say which views show nothing, and what becomes of them.

    Args:
        views: Of one set.
        rows: From `covered_rows`.

    Returns:
        A sentence, or none.
    """
    if not rows:
        return ()
    names = ", ".join(views[row].camera for row in rows)
    told = f"pictures of {names} show" if len(rows) > 1 else f"picture of {names} shows"
    kept = "nothing can be said of the scene" if len(rows) == len(views) else "nothing is concluded from it"
    return (f"the {told} {ONE_COLOUR}: is the lens covered, or the exposure wrong? {kept[0].upper()}{kept[1:]}",)


def _is_plain(view: CameraView) -> bool:
    pixels = _thinned(view)
    few = pixels[:, ::_COARSE_STEP, ::_COARSE_STEP]  # where these differ, the others need no look
    return _spread(few) <= PLAIN_STEPS / 255.0 and _spread(pixels) <= PLAIN_STEPS / 255.0


def _spread(pixels: Tensor) -> float:
    """Of (3, H, W), the largest difference of two pixels in one channel, 0..1."""
    values = unit_range(pixels).flatten(1)
    return float((values.amax(1) - values.amin(1)).max())


def _measures(view: CameraView) -> bool:
    return view.depth is not None and bool((view.depth > 0).any())


def _thinned(view: CameraView) -> Tensor:
    step = max(1, -(-max(view.hw) // _LONGEST))
    return view.image[:, ::step, ::step]


def picture_faults(views: Sequence[CameraView]) -> dict[int, str]:
    """Find the views whose pictures show too little.

    Args:
        views: Of one scene, in their order.

    Returns:
        Row -> why, of those that are too dark, and of those that are much less sharp than the others or have no sharp edge.
    """
    lights = []
    for view in views:
        lights.append(unit_range(_thinned(view)).amax(0).numpy(force=True))
    faults = {
        row: f"too dark (brightness {bright:.2f} of at least {DARK})"
        for row, light in enumerate(lights)
        if (bright := float(np.quantile(light, 0.95))) < DARK
    }
    sharp = {row: sharpness(light) for row, light in enumerate(lights) if row not in faults}
    least = max(BLURRED, BLURRED_BESIDE * float(np.median(list(sharp.values())))) if sharp else 0.0
    blurred = {row: f"blurred (sharpness {value:.1f} of at least {least:.1f})" for row, value in sharp.items() if value < least}
    return faults | blurred
