"""Whether the widest surface that is seen lies level: it does in a world whose z is up, which poses are expected to be of.

Poses relative to the first camera, or of a world whose y is up, agree with each other and with every picture.
"""

from __future__ import annotations

import math

import numpy as np

from pan3d_core.assembly.pose_checks.support.height import LAYER, MIN_PIXELS, SeenPlaces
from pan3d_core.assembly.pose_checks.view_matches import Array

# A plane holds this share of all places and so many of them, spreads this far in its narrow direction (fraction of the distance),
# and is found among so many planes through three of so many places.
PLANE_SHARE, PLANE_PLACES, PLANE_SPREAD, TRIPLES, TRIED_PLACES = 0.25, 20, 0.06, 400, 1500
# Tables and floors are more level than the first angle, which is told, and for sure than the second. Beyond the third it may be a
# wall, unless this share of the places is lower than the support by more than this, where no wall stands.
TOLD_DEG, TILTED_DEG, UPRIGHT_DEG, BELOW_SHARE, BELOW_M = 8.0, 20.0, 70.0, 0.25, 0.05
# Places are scattered over heights where so many fit, this share is lower than the support by more than `BELOW_M`, and smaller
# shares than these lie near the support and in any level layer.
SCATTERED_PLACES, SCATTERED_BELOW, NEAR_SUPPORT, IN_LAYER = 12, 0.15, 0.15, 0.4
# Where some level layer has this share of the plane's places, the plane leans beside what things stand on.
LEVEL_SHARE = 0.5


def surface_tilt(places: SeenPlaces) -> float | None:
    """Find how far the plane that most places share leans.

    Args:
        places: By matches or by depth.

    Returns:
        Degrees between it and the horizontal; None without a wide one of many places, or where as many lie in a level layer.
    """
    points = _thinned(places)
    found = _most_shared(points, places)
    if found is None:
        return None
    heights, layer = np.sort(points[:, 2]), LAYER * places.distance_m
    level = _most_in_a_layer(heights, layer)
    plane = None if level >= LEVEL_SHARE * len(found) else _fitted(found, places.distance_m)
    return None if plane is None else math.degrees(math.acos(min(1.0, float(plane[0][2]))))


def _most_in_a_layer(heights: Array, layer: float) -> int:
    """Of sorted heights, the most that lie within so much of one of them."""
    return int((np.searchsorted(heights, heights + layer, "right") - np.searchsorted(heights, heights - layer)).max())


def plane_through(places: SeenPlaces) -> tuple[Array, float] | None:
    """Find the plane that most places share.

    Args:
        places: By matches or by depth.

    Returns:
        Its unit normal (3,), that points up, and its distance from the origin along it; None without a wide one of many places.
    """
    found = _most_shared(_thinned(places), places)
    return None if found is None else _fitted(found, places.distance_m)


def _thinned(places: SeenPlaces) -> Array:
    return places.points[:: max(1, len(places.points) // TRIED_PLACES)]


def _most_shared(points: Array, places: SeenPlaces) -> Array | None:
    """Those of the points that lie in one plane, the one of most."""
    least = MIN_PIXELS * len(points) / max(len(places.points), 1) if places.by_depth else PLANE_PLACES
    if len(points) < max(least, 3):
        return None
    corners = points[np.random.default_rng(0).integers(len(points), size=(TRIPLES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.sqrt(np.square(normals).sum(1))
    normals, corners = normals[lengths > 1e-9] / lengths[lengths > 1e-9, None], corners[lengths > 1e-9]
    if len(normals) == 0:
        return None
    held = np.abs(points @ normals.T - (corners[:, 0] * normals).sum(1)) <= LAYER * places.distance_m  # (N, planes)
    inside = points[held[:, int(held.sum(0).argmax())]]
    return inside if len(inside) >= max(least, PLANE_SHARE * len(points)) else None


def _fitted(points: Array, distance_m: float) -> tuple[Array, float] | None:
    """Normal and offset of the plane of points, where they are spread widely in it."""
    spreads, axes = np.linalg.eigh(np.cov(points.T))
    if math.sqrt(max(float(spreads[1]), 0.0)) < PLANE_SPREAD * distance_m:
        return None
    normal: Array = axes[:, 0] * (1.0 if axes[2, 0] >= 0 else -1.0)
    return normal, float(normal @ points.mean(0))


def tilt_doubt(places: SeenPlaces, support_height_m: float | None, degrees: float | None = None) -> tuple[str, bool]:
    """Tell what a surface that is not level says of the world that poses are in.

    Args:
        places: By matches or by depth.
        support_height_m: World z of the surface that objects stand on, as it was given; None = unknown.
        degrees: By which a surface was found to lean; None = `surface_tilt` of the places.

    Returns:
        What speaks against a world whose z is up, empty where nothing does; and whether that refutes a height in it.
    """
    degrees = surface_tilt(places) if degrees is None else degrees
    if degrees is None or degrees < TOLD_DEG:
        return "", False
    words = f"the widest surface that is seen is tilted by {degrees:.0f} degrees in the world of the poses, whose z must be up"
    words = f"{words}; are they relative to a camera, or is y up in it?"
    if support_height_m is None or degrees < TILTED_DEG:
        return words, False
    below = float((places.points[:, 2] < support_height_m - BELOW_M).mean()) if len(places.points) else 0.0
    return words, degrees < UPRIGHT_DEG or below >= BELOW_SHARE


def scatter_doubt(places: SeenPlaces, support_height_m: float) -> str:
    """Tell whether recognised places lie at all heights, below the support too, as they do in a world that lies on its side.

    Few places say so that are too few to share a plane. A floor beside a table is a level layer, and things stand on the support.

    Args:
        places: By matches.
        support_height_m: World z as it was given.

    Returns:
        What speaks against a world whose z is up; empty where nothing does.
    """
    heights, layer = np.sort(places.points[:, 2]), 2 * LAYER * places.distance_m
    if len(heights) < SCATTERED_PLACES or places.by_depth:
        return ""
    together = _most_in_a_layer(heights, layer)
    below = heights < support_height_m - BELOW_M
    near = np.abs(heights - support_height_m) <= layer
    if below.mean() < SCATTERED_BELOW or near.mean() >= NEAR_SUPPORT or together >= IN_LAYER * len(heights):
        return ""
    words = f"{below.mean():.0%} of what cameras have in common lies below the support at {support_height_m:.3f} m"
    return f"{words}, and little of it at one height; are the poses relative to a camera, or is y up in their world?"
