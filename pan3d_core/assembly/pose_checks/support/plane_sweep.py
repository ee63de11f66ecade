"""How well pictures agree on a plane: each is laid on it, and where the plane is what they show, they look alike there.

Matches need corners that are recognised from other sides; a cloth, the grain of wood or a soft shadow has none. Laid on the right
plane any pattern agrees, over areas instead of at places, and on another it does not (plane sweep, Collins 1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from pan3d_core.assembly.pose_checks.portions import Portions
from pan3d_core.assembly.pose_checks.view_matches import Array, grey_picture
from pan3d_core.structures import CameraView

Grid = npt.NDArray[np.float32]

# Cells along the side of the ground, which reaches so far from its middle as a fraction of the distance, or as far as is seen.
CELLS, REACH, REACH_OF_VIEW = 96, 0.45, 1.1
# Pixels of a reduced picture per cell, cells along a patch that is compared, and pixels along one whose mean is taken off.
PIXELS_PER_CELL, PATCH, LOCAL = 1.5, 9, 15
# Grey levels by which pixels differ where there is a pattern: less is noise. A brighter edge counts no more than this many times.
PATTERN, MOST_CONTRAST = 1.0, 3.0
# A pattern varies across its strongest direction by this share of what it does along it, in squares of gradients; a straight edge
# by less.
STRAIGHT = 0.02


@dataclass(frozen=True)
class SweepPictures:
    """Pictures of S views whose local mean and contrast are taken off, and the ground that they are laid on."""

    pictures: tuple[Grid, ...]  # each (h, w, 2): values, and whether there is a pattern
    without_edges: tuple[Grid, ...]  # the same, where they vary in two directions
    pixel_from_world: Array  # (S, 3, 4) of these pictures
    middle: Array  # (2,) metres, of what cameras look at
    half_m: float  # half the side of the ground
    distance_m: float  # of the cameras from its middle

    def firm(self) -> SweepPictures:
        """The same without straight edges, which agree on every plane along them."""
        return replace(self, pictures=self.without_edges)

    def cells(self) -> tuple[Array, Array]:
        """(CELLS, CELLS) metres from the middle to each cell, along x and y."""
        along = (np.arange(CELLS) + 0.5) * 2 * self.half_m / CELLS - self.half_m
        x, y = np.meshgrid(along, along)
        return np.asarray(x, np.float64), np.asarray(y, np.float64)

    def without(self, views: Sequence[int]) -> SweepPictures:
        """Those of the other views."""
        kept = [index for index in range(len(self.pictures)) if index not in views]
        pictures, without_edges = (tuple(part[index] for index in kept) for part in (self.pictures, self.without_edges))
        return replace(self, pictures=pictures, without_edges=without_edges, pixel_from_world=self.pixel_from_world[kept])


def sweep_pictures(views: Sequence[CameraView], poses: Array, height_m: float) -> SweepPictures | None:
    """Prepare pictures for planes near a level one.

    Args:
        views: S with intrinsics.
        poses: (S, 4, 4) `cam_from_world`, metres.
        height_m: World z of that plane.

    Returns:
        The pictures; None where fewer than two cameras look down at it.
    """
    world_from_cam = np.linalg.inv(poses)
    eyes, axes = world_from_cam[:, :3, 3], world_from_cam[:, :3, 2]
    reach = (height_m - eyes[:, 2]) / np.where(np.abs(axes[:, 2]) > 1e-6, axes[:, 2], 1e-6)
    down = (axes[:, 2] < -0.1) & (reach > 0)
    if down.sum() < 2:
        return None
    middle = np.median((eyes + reach[:, None] * axes)[down, :2], axis=0)
    distance = float(np.median(np.linalg.norm(eyes[down] - np.append(middle, height_m), axis=1)))
    lenses = [view.calibration()[0].double().numpy(force=True) for view in views]
    seen = float(np.median([max(view.hw) / (2 * lens[0, 0]) for view, lens in zip(views, lenses)]))
    half = min(REACH, REACH_OF_VIEW * seen)
    prepared, cameras = [], []
    for view, lens, pose in zip(views, lenses, poses):
        grey = grey_picture(view, max(32, round(max(view.hw) * PIXELS_PER_CELL * CELLS / (2 * half * lens[0, 0]))))
        prepared.append(_without_shading(grey))
        scale_x, scale_y = grey.shape[1] / view.hw[1], grey.shape[0] / view.hw[0]
        scale = np.array([[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5], [0, 0, 1]])
        cameras.append(scale @ lens @ pose[:3])
    pictures, without_edges = zip(*prepared)
    return SweepPictures(pictures, without_edges, np.stack(cameras), middle, half * distance, distance)


def _without_shading(grey: npt.NDArray[np.uint8]) -> tuple[Grid, Grid]:
    """A picture as `SweepPictures` has it, and the same without straight edges."""
    values = grey.astype(np.float32)
    mean = _box(values, LOCAL)
    contrast = np.sqrt(np.maximum(_box(values * values, LOCAL) - mean * mean, 0.0))
    has_pattern = contrast > PATTERN
    flat = np.where(has_pattern, (values - mean) / np.maximum(contrast, PATTERN), 0.0).clip(-MOST_CONTRAST, MOST_CONTRAST)
    picture = np.dstack([flat, has_pattern]).astype(np.float32)
    return picture, picture * _varies_both_ways(values)[..., None]


def _varies_both_ways(values: Grid) -> npt.NDArray[np.bool_]:
    """(h, w) where a picture is no straight edge, by the eigenvalues of the structure tensor."""
    x, y = (np.asarray(cv2.Sobel(values, cv2.CV_32F, *order), np.float32) for order in ((1, 0), (0, 1)))
    xx, yy, xy = (_box(product, LOCAL) for product in (x * x, y * y, x * y))
    root = np.sqrt(np.square(xx - yy) + 4 * np.square(xy))
    return np.asarray(xx + yy - root >= STRAIGHT * (xx + yy + root))


def plane_agreement(
    pictures: SweepPictures, height_m: float, slope: tuple[float, float] = (0.0, 0.0), views: Sequence[int] = ()
) -> Grid:
    """Lay all pictures on a plane and compare them.

    Args:
        pictures: Of S views.
        height_m: World z of the plane at the middle of the ground.
        slope: By which z rises along x and along y.
        views: Only these with the others; none = all with all.

    Returns:
        (CELLS, CELLS) correlation of the pictures around each cell, over all pairs of them, -1..1; 0 where two do not show a
        pattern there.
    """
    step = 2 * pictures.half_m / CELLS
    corner = pictures.middle - pictures.half_m + step / 2
    start = height_m + float((corner - pictures.middle) @ slope)
    world_from_cell = np.array(
        [[step, 0, corner[0]], [0, step, corner[1]], [step * slope[0], step * slope[1], start], [0, 0, 1]], np.float64
    )
    both, alone, others = (np.zeros((CELLS, CELLS, 2), np.float32) for _ in range(3))
    for index, (picture, pixel_from_world) in enumerate(zip(pictures.pictures, pictures.pixel_from_world)):
        transform = pixel_from_world @ world_from_cell
        if not _is_ahead(transform):
            continue
        laid = cv2.warpPerspective(picture, transform, (CELLS, CELLS), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        both += laid
        alone += laid * laid
        others += laid if index not in views else 0.0
    twice = 2 * others * (both - others) if views else both * both - alone
    pairs = _box(twice, PATCH)  # twice the sum over pairs of products, of values and of patterns
    energy = _box(alone, PATCH)
    scale = pairs[..., 1] * energy[..., 0] / np.maximum(energy[..., 1], 1e-6)
    return np.where(pairs[..., 1] > 0.5, pairs[..., 0] / np.maximum(scale, 1e-6), 0.0).clip(-1.0, 1.0).astype(np.float32)


def _is_ahead(pixel_from_cell: Array) -> bool:
    """Whether all of the ground lies in front of the camera, so that its picture is not turned inside out."""
    edges = np.array([[0, 0, 1], [CELLS, 0, 1], [0, CELLS, 1], [CELLS, CELLS, 1]]) @ pixel_from_cell[2]
    return bool((edges > 0).all())


def overall(agreement: Grid) -> float:
    """Give the mean agreement of all cells, 0..1; cells that disagree count as 0."""
    return float(np.maximum(agreement, 0.0).mean())


def _box(values: Grid, side: int) -> Grid:
    return np.asarray(cv2.boxFilter(values, -1, (side, side)), np.float32)


def swept(
    pictures: SweepPictures, heights: Array, at_once: int, slope: tuple[float, float] = (0.0, 0.0)
) -> Portions[npt.NDArray[np.float32]]:
    """Compare pictures on parallel planes; a portion is `at_once` of them.

    Args:
        pictures: Of S views.
        heights: (H,) world z at the middle of the ground.
        at_once: Planes of a portion.
        slope: By which z rises along x and along y.

    Returns:
        (H, CELLS, CELLS) as `plane_agreement` gives it.
    """
    layers = []
    for number, height in enumerate(heights.tolist(), 1):
        layers.append(plane_agreement(pictures, height, slope))
        if number % at_once == 0:
            yield
    return np.stack(layers)
