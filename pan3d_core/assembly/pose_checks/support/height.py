"""The height of the surface that objects stand on, as the views show it: known before any network has answered.

Places that two views both see are put where their rays meet; measured depth says more, where there is any. Most of what stands
on a surface is above it, and no more than stray places are below, so the surface is the lowest height at which many lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pan3d_core.assembly.pose_checks.ground_matches import with_ground_matches
from pan3d_core.assembly.pose_checks.portions import at_once
from pan3d_core.assembly.pose_checks.pose_fit import NEAR_M, pair_transforms, ray_errors
from pan3d_core.assembly.pose_checks.view_matches import Array, ViewMatches, match_views
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import CameraView, SupportHeight

# Rays that meet at a smaller angle say too little of the depth.
MIN_ANGLE_DEG = 5.0
# Half the thickness of the layer of one surface, as a fraction of the distance: what pixels and a sensor's noise leave.
LAYER = 0.006
# A layer is a surface with this share of all places, and with this many of them by matches or by pixels.
MIN_SHARE, MIN_MATCHES, MIN_PIXELS = 0.1, 12, 500
# Objects are lower than this: half of all places lie so far above the surface at most, and a floor under a table is none.
TALLEST_M, ABOVE_SHARE = 0.35, 0.5
# What a height is unsure by at best, as a fraction of the distance: of calibration, and of a depth sensor's scale.
UNSURE_MATCHES, UNSURE_DEPTH = 0.001, 0.003
# Depth is read at this many pixels of a view, in the middle of the picture, where the floor beside a table is not.
DEPTH_PIXELS, MIDDLE = 4000, 0.7
# A surface is wide with this standard deviation in its narrow direction, as a fraction of the distance.
WIDE = 0.12
# Against a height that is far off speak at most this share of as many places there as at the surface's, a wide surface where a
# box could be meant, and at most this share of places that could be objects on it.
FEW_THERE, FEW_ABOVE = 0.25, 0.35
# A height that is so many times another may be one of another unit.
OTHER_UNIT = 1.2
# Beside a box stand other things, lower ones too: a surface half as wide is no box's top where at most this share of the places
# from it on is lower, and what is above it spreads this far.
HALF_WIDE, FEW_LOWER, WIDE_ABOVE = 0.07, 0.05, 0.09


@dataclass(frozen=True)
class SeenPlaces:
    """N places in the world that were located without knowing what they belong to."""

    points: Array  # (N, 3) metres, world
    distance_m: float  # median, from the nearer camera
    by_depth: bool  # measured by sensors; else by matches

    def near(self, height_m: float) -> npt.NDArray[np.bool_]:
        """(N,) whether a place is in the layer at this height."""
        return np.abs(self.points[:, 2] - height_m) <= LAYER * self.distance_m


def estimate_support_height(views: Sequence[CameraView], config: ConsistencyConfig | None = None) -> SupportHeight | None:
    """Find the height of the surface that objects stand on, from depth where it was measured, else from matches.

    Args:
        views: Of one moment; those without intrinsics or pose are not used.
        config: How places are matched; the defaults where none is given.

    Returns:
        The height in the world; None where too little is seen.
    """
    config = config or ConsistencyConfig()
    posed = [view for view in views if view.intrinsics is not None and view.cam_from_world is not None]
    found = find_support(measured_places(posed)) if posed else None
    if found is not None or len(posed) < 2:
        return found
    poses = np.stack([view.calibration()[1].double().numpy(force=True) for view in posed])
    matches = at_once(with_ground_matches(match_views(posed, config), posed, poses, config))
    return find_support(triangulated_places(matches, poses, math.radians(config.tolerance_deg)))


def triangulated_places(matches: ViewMatches, cam_from_world: Array, tolerance: float) -> SeenPlaces:
    """Put each match that fits the poses where its rays pass each other.

    Args:
        matches: Of any pairs of views.
        cam_from_world: (S, 4, 4) metres.
        tolerance: Largest miss of the rays, rad.

    Returns:
        Places seen at an angle, in front of both cameras.
    """
    middle, reach, good = meeting_places(matches, cam_from_world, tolerance)
    return SeenPlaces(middle[good], _median(reach.min(0)[good]), by_depth=False)


def meeting_places(matches: ViewMatches, cam_from_world: Array, tolerance: float) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Find where the rays of matches pass each other.

    Args:
        matches: N of any pairs of views.
        cam_from_world: (S, 4, 4) metres.
        tolerance: Largest miss of the rays, rad.

    Returns:
        (N, 3) places in the world, (2, N) metres along the rays of both cameras, and (N,) which of them can be believed.
    """
    rays = matches.rays()
    fits = ray_errors(rays, pair_transforms(matches, cam_from_world)) < tolerance
    world_from_cam = np.linalg.inv(cam_from_world)[np.stack([matches.first, matches.second])]  # (2, N, 4, 4)
    first, second = np.einsum("knij,knj->kni", world_from_cam[..., :3, :3], np.stack(rays))
    eyes = world_from_cam[..., :3, 3]
    apart = eyes[0] - eyes[1]
    cosine = (first * second).sum(1)
    squared_sine = np.maximum(1 - cosine**2, 1e-12)
    on_first, on_second = (first * apart).sum(1), (second * apart).sum(1)
    reach = np.stack([cosine * on_second - on_first, on_second - cosine * on_first]) / squared_sine  # (2, N)
    good = fits & (reach.min(0) > NEAR_M) & (squared_sine > math.sin(math.radians(MIN_ANGLE_DEG)) ** 2)
    middle = (eyes + reach[..., None] * np.stack([first, second])).mean(0)
    return middle, reach, good


def measured_places(views: Sequence[CameraView]) -> SeenPlaces:
    """Give what sensors measured in the middle of the pictures, thinned.

    Args:
        views: With intrinsics and pose; those without depth add nothing.

    Returns:
        Places in the world.
    """
    points, distances = [np.zeros((0, 3))], [np.zeros(0)]
    for view in views:
        if view.depth is None:
            continue
        rows, columns = (_thinned(size, math.sqrt(DEPTH_PIXELS)) for size in view.hw)
        depth = view.depth[rows][:, columns].double().numpy(force=True)
        grid = np.stack([*np.meshgrid(columns, rows), np.ones(depth.shape)], axis=-1)
        intrinsics, cam_from_world = (matrix.double().numpy(force=True) for matrix in view.calibration())
        seen = np.isfinite(depth) & (depth > NEAR_M)
        in_camera = (grid[seen] @ np.linalg.inv(intrinsics).T) * depth[seen][:, None]
        world_from_cam = np.linalg.inv(cam_from_world)
        points.append(in_camera @ world_from_cam[:3, :3].T + world_from_cam[:3, 3])
        distances.append(depth[seen])
    return SeenPlaces(np.concatenate(points), _median(np.concatenate(distances)), by_depth=True)


def find_support(places: SeenPlaces) -> SupportHeight | None:
    """Find the lowest height at which many places lie, with most of the rest not far above.

    Args:
        places: By matches or by depth.

    Returns:
        Median and uncertainty of that layer; None where too little is seen.
    """
    heights = np.sort(places.points[:, 2])
    least = MIN_PIXELS if places.by_depth else MIN_MATCHES
    layer = LAYER * places.distance_m
    counts = np.searchsorted(heights, heights + layer, "right") - np.searchsorted(heights, heights - layer)
    above = np.searchsorted(heights, heights + TALLEST_M, "right") - np.searchsorted(heights, heights - layer)
    free = (counts >= max(least, MIN_SHARE * len(heights))) & (above >= ABOVE_SHARE * len(heights))
    lowest: float | None = None
    while free.any():
        peak = heights[np.argmax(np.where(free, counts, 0))]
        lowest = peak if lowest is None else min(lowest, peak)
        free &= np.abs(heights - peak) > 2 * layer
    if lowest is None:
        return None
    inside = heights[np.abs(heights - lowest) <= layer]
    height = float(np.median(inside))
    wide = _narrow_spread(places.points[places.near(height), :2]) >= WIDE * places.distance_m
    spread = 1.4826 * float(np.median(np.abs(inside - height))) / math.sqrt(len(inside))
    unsure = (UNSURE_DEPTH if places.by_depth else UNSURE_MATCHES) * places.distance_m
    return SupportHeight(height, math.hypot(spread, unsure), len(inside), places.by_depth, wide)


def support_doubt(places: SeenPlaces, found: SupportHeight, given_m: float, config: ConsistencyConfig) -> tuple[str, bool]:
    """Compare a support height that was given with what is seen.

    Args:
        places: By matches or by depth.
        found: The support that `find_support` sees in them.
        given_m: World z.
        config: Limits.

    Returns:
        What speaks against it, empty where nothing does; and whether that refutes it.
    """
    off = found.height_m - given_m
    there = int(places.near(given_m).sum())
    if abs(off) <= max(config.support_warn_m, 3 * found.sigma_m) or there >= found.places:
        return "", False
    if off > 0 and not found.wide and not _is_lowest(places, found, given_m):
        return "", False  # a box on a plain table would look alike
    words = height_words(found.height_m, given_m)
    far = abs(off) >= config.support_refuse_m and there <= FEW_THERE * found.places
    could_stand = places.points[:, 2] > given_m - LAYER * places.distance_m
    return words, far and (off > 0 or float(could_stand.mean()) < FEW_ABOVE)


def height_words(seen_m: float, given_m: float) -> str:
    """Say at which height the support is and at which it should be, and whether one of them may be of another unit."""
    words = f"the support is at {seen_m:.3f} m, workspace.support_height_m says {given_m:.3f}"
    if given_m * seen_m > 0 and max(given_m / seen_m, seen_m / given_m) >= OTHER_UNIT:
        words = f"{words}, {given_m / seen_m:.2g} times that; are poses and height in one unit?"
    return words


def _is_lowest(places: SeenPlaces, found: SupportHeight, given_m: float) -> bool:
    """Whether things stand about on what was found, and nothing is seen of what would stand beside it if it were a box."""
    heights, layer = places.points[:, 2], LAYER * places.distance_m
    above = (heights > found.height_m + 2 * layer) & (heights <= found.height_m + TALLEST_M)
    lower = (heights >= given_m - layer) & (heights < found.height_m - 2 * layer)
    if above.sum() < MIN_MATCHES or lower.sum() > FEW_LOWER * (found.places + above.sum()):
        return False
    surface, things = (_narrow_spread(places.points[rows, :2]) for rows in (places.near(found.height_m), above))
    return surface >= HALF_WIDE * places.distance_m and things >= WIDE_ABOVE * places.distance_m


def _narrow_spread(points: Array) -> float:
    """Standard deviation (m) of (N, 2) points in the direction in which they spread least."""
    return math.sqrt(max(float(np.linalg.eigvalsh(np.cov(points.T))[0]), 0.0))


def _thinned(size: int, most: float) -> npt.NDArray[np.int64]:
    """Indices of the middle of an axis, `most` at most."""
    low, high = round(size * (1 - MIDDLE) / 2), round(size * (1 + MIDDLE) / 2)
    return np.arange(low, max(high, low + 1), max(1, math.ceil((high - low) / most)))


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else 0.0
