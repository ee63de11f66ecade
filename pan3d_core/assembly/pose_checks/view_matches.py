"""Places that two views both see, found by the look of their surroundings alone, without any use of the poses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from pan3d_core.assembly.pose_checks.portions import Portions, at_once
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import CameraView, unit_range

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Features = tuple[Array, npt.NDArray[np.float32]]  # homogeneous pixels (K, 3) and descriptors (K, 128) of length 1

# A detector that finds places of little contrast, too: tables are often plain.
CONTRAST = 0.02
# The best match must be this much nearer than the second best (Lowe 2004), both ways the best of all.
RATIO = 0.85
# Places that look the same (squared distance of descriptors), this share of the longer side apart, as often in one picture.
SAME_LOOK, APART, REPEATED = 0.1, 0.03, 2
# From this share of such places on a picture repeats itself: stripes, squares, bricks. In cells it is 0.2 at most, there 0.9.
REPEATING = 0.4


@dataclass(frozen=True)
class ViewMatches:
    """N places, each seen by two of S views. Outliers are many: half is usual between views 60 degrees apart."""

    first: Indices  # (N,) view
    second: Indices  # (N,) view
    first_pixels: Array  # (N, 3) homogeneous pixels of the first view's own image
    second_pixels: Array  # (N, 3)
    intrinsics: Array  # (S, 3, 3)

    def __len__(self) -> int:
        return len(self.first)

    def of(self, rows: npt.NDArray[np.bool_]) -> ViewMatches:
        """The matches of these rows only."""
        pixels = self.first_pixels[rows], self.second_pixels[rows]
        return ViewMatches(self.first[rows], self.second[rows], *pixels, self.intrinsics)

    def joined(self, more: ViewMatches) -> ViewMatches:
        """These and others of the same views."""
        return ViewMatches(
            np.concatenate([self.first, more.first]),
            np.concatenate([self.second, more.second]),
            np.concatenate([self.first_pixels, more.first_pixels]),
            np.concatenate([self.second_pixels, more.second_pixels]),
            self.intrinsics,
        )

    def rays(self, lens: Indices | None = None) -> tuple[Array, Array]:
        """Give the rays through both pixels of each match.

        Args:
            lens: (S,) whose intrinsics each view has; its own where none are given.

        Returns:
            Twice (N, 3), unit vectors in the frame of their camera.
        """
        inverse = np.linalg.inv(self.intrinsics if lens is None else self.intrinsics[lens])
        first = np.einsum("nij,nj->ni", inverse[self.first], self.first_pixels)
        second = np.einsum("nij,nj->ni", inverse[self.second], self.second_pixels)
        return unit(first), unit(second)


def unit(vectors: Array) -> Array:
    """Vectors (..., 3) at length 1; those of length 0 stay."""
    length: Array = np.sqrt(np.square(vectors).sum(-1, keepdims=True))
    return vectors / np.maximum(length, 1e-12)


def match_views(views: Sequence[CameraView], config: ConsistencyConfig) -> ViewMatches:
    """Match every two views by SIFT descriptors (Lowe 2004; square roots of them, Arandjelovic and Zisserman 2012).

    Args:
        views: With intrinsics.
        config: Size of the pictures and number of places.

    Returns:
        Matches of all pairs, first view < second view.
    """
    return at_once(matching(views, config))


def matching(views: Sequence[CameraView], config: ConsistencyConfig) -> Portions[ViewMatches]:
    """Do the work of `match_views`; a portion is a view or a pair of views."""
    found = yield from find_features(views, config)
    return (yield from match_features(found, views))


def find_features(views: Sequence[CameraView], config: ConsistencyConfig) -> Portions[list[Features]]:
    """Find what can be recognised in every view; a portion is a view."""
    detector, found = cv2.SIFT.create(config.features, contrastThreshold=CONTRAST), []
    for view in views:
        found.append(sift_features(grey_picture(view, config.picture_side), view.hw, detector))
        yield
    return found


def match_features(
    found: Sequence[Features], views: Sequence[CameraView], touching: Collection[int] | None = None
) -> Portions[ViewMatches]:
    """Match the features of every two views, a pair in each portion.

    Args:
        found: Of each view.
        views: With intrinsics.
        touching: Only pairs with one of these views; None = all pairs.

    Returns:
        Matches of all pairs, first view < second view.
    """
    rows = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3)))]
    for a, b in combinations(range(len(views)), 2):
        if touching is None or a in touching or b in touching:
            rows.append(_pair_rows(found, a, b))
            yield
    intrinsics = np.stack([view.calibration()[0].double().numpy(force=True) for view in views])
    return ViewMatches(
        np.concatenate([row[0] for row in rows]),
        np.concatenate([row[1] for row in rows]),
        np.concatenate([row[2] for row in rows]),
        np.concatenate([row[3] for row in rows]),
        intrinsics,
    )


def grey_picture(view: CameraView, longer_side: int) -> npt.NDArray[np.uint8]:
    """The view in grey, (h, w), with at most this many pixels on its longer side."""
    image = view.image if view.image.element_size() == 1 else (unit_range(view.image) * 255).round().clamp(0, 255).byte()
    grey = cv2.cvtColor(np.ascontiguousarray(image.permute(1, 2, 0).numpy(force=True)), cv2.COLOR_RGB2GRAY)
    factor = longer_side / max(grey.shape)
    if factor < 1:
        size = max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def sift_features(
    grey: npt.NDArray[np.uint8], hw: tuple[int, int], detector: cv2.SIFT, mask: npt.NDArray[np.uint8] | None = None
) -> tuple[Array, npt.NDArray[np.float32]]:
    """Find places that can be recognised.

    Args:
        grey: (h, w), reduced from the full image.
        hw: Size of the full image.
        detector: Finds and describes them.
        mask: (h, w) 0 where none are wanted.

    Returns:
        Homogeneous pixels (K, 3) of the full image, and descriptors (K, 128) of length 1. Of a picture that repeats itself only
        the places that do not: which of the others is which, their looks cannot say.
    """
    points, descriptors = detector.detectAndCompute(grey, mask)
    if len(points) == 0:
        return np.zeros((0, 3)), np.zeros((0, 128), np.float32)
    scale = np.array([hw[1] / grey.shape[1], hw[0] / grey.shape[0]])
    pixels = (np.array([point.pt for point in points]) + 0.5) * scale - 0.5
    total = np.maximum(descriptors.sum(1, keepdims=True), 1e-9)
    looks = np.sqrt(descriptors / total).astype(np.float32)
    alone = ~_repeated(pixels, looks, APART * max(hw))
    kept = alone if alone.mean() <= 1 - REPEATING else np.ones_like(alone)
    return np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)[kept], looks[kept]


def _repeated(pixels: Array, looks: npt.NDArray[np.float32], apart: float) -> npt.NDArray[np.bool_]:
    """(K,) whether several places elsewhere in the picture look the same."""
    first, second = np.nonzero(2.0 - 2.0 * (looks @ looks.T) < SAME_LOOK)
    elsewhere = np.abs(pixels[first] - pixels[second]).max(1) > apart
    return np.asarray(np.bincount(first[elsewhere], minlength=len(pixels)) >= REPEATED, np.bool_)


def _pair_rows(found: Sequence[Features], a: int, b: int) -> tuple[Indices, Indices, Array, Array]:
    (pixels_a, own), (pixels_b, other) = found[a], found[b]
    if min(len(own), len(other)) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3))
    distance = 2.0 - 2.0 * (own @ other.T)
    row = np.arange(len(own))
    best = distance.argmin(1)
    nearest = distance[row, best]
    mutual = distance.argmin(0)[best] == row
    distance[row, best] = np.inf
    good = mutual & (nearest < RATIO**2 * distance.min(1))
    count = int(good.sum())
    return np.full(count, a), np.full(count, b), pixels_a[good], pixels_b[best[good]]
