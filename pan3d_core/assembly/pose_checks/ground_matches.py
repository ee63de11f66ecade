"""More matches between pictures of a level scene, by looking at each of them as if from above.

Descriptors bear a change of view of some 40 degrees. Seen from above, as the given poses say where that is, a support looks alike
to all cameras. Only what places look like is compared, never where they lie, so matches do not agree with poses because of it: a
pose that is a little off, or another height, moves a place in the picture from above and leaves its look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pan3d_core.assembly.pose_checks.portions import Portions
from pan3d_core.assembly.pose_checks.pose_fit import pair_transforms, ray_errors
from pan3d_core.assembly.pose_checks.pose_hypotheses import common_mistakes, single_mistakes
from pan3d_core.assembly.pose_checks.view_matches import CONTRAST, Array, ViewMatches, grey_picture, match_features, sift_features
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import CameraView

# With so many fitting matches per view no others are looked for.
ENOUGH = 20
# Half the side of the ground that is looked at, as a fraction of the cameras' distance from it.
HALF_SIDE = 0.5
# Pixels along the side of the picture from above for each along the longer side of a view: more show nothing new.
PIXELS_FROM_ABOVE = 1.5
# Rays that are flatter than this above the ground see it too foreshortened (sine).
STEEP = 0.25
# Pixels along the border of what a camera sees that are no places.
BORDER = 7


def with_ground_matches(
    matches: ViewMatches, views: Sequence[CameraView], cam_from_world: Array, config: ConsistencyConfig
) -> Portions[ViewMatches]:
    """Add matches from above where few of those that were found fit the poses.

    Where the poses do not let all cameras look down at one place, those are taken that would, had they been made with a usual
    mistake, or one camera's with it: so that mistake can be told from pictures of little texture, too. Where they do look down at
    one place and what is found there does not fit them, poses of a usual mistake are tried that as many matches from above fit
    as tell something.

    Args:
        matches: Of these views.
        views: With intrinsics.
        cam_from_world: (S, 4, 4) metres as they were given.
        config: Limits.

    Returns:
        The matches, and more where they were few.
    """
    if _fitting(matches, cam_from_world, config) >= ENOUGH * len(views):
        return matches
    found = yield from match_on_ground(views, cam_from_world, config)
    if found is not None:
        matches = matches.joined(found)
        if len(found) < config.min_matches or _fitting(matches, cam_from_world, config) >= config.min_matches:
            return matches
    for poses in _otherwise(cam_from_world):
        more = yield from match_on_ground(views, poses, config)
        if more is not None and (found is None or _fitting(more, poses, config) >= config.min_matches):
            return matches.joined(more)
    if found is not None:
        return matches
    single = [item.cam_from_world for view in range(len(views)) for item in single_mistakes(cam_from_world, view)]
    more = yield from match_on_ground(views, min(single, key=_miss), config)
    return matches if more is None else matches.joined(more)


def _otherwise(cam_from_world: Array) -> Iterator[Array]:
    """What the poses should be, had all of them been made with a usual mistake, or had two cameras been exchanged."""
    if len(cam_from_world) == 2:
        yield cam_from_world[::-1]
    for mistake in common_mistakes(cam_from_world):
        yield mistake.cam_from_world


def _fitting(matches: ViewMatches, cam_from_world: Array, config: ConsistencyConfig) -> int:
    errors = ray_errors(matches.rays(), pair_transforms(matches, cam_from_world))
    return int((errors < math.radians(config.tolerance_deg)).sum())


def match_on_ground(
    views: Sequence[CameraView], cam_from_world: Array, config: ConsistencyConfig
) -> Portions[ViewMatches | None]:
    """Match every two views by how the ground between them looks from above; a portion is a view or a pair of views.

    Args:
        views: With intrinsics.
        cam_from_world: (S, 4, 4) metres, z of the world up.
        config: Largest size of the pictures and number of places.

    Returns:
        Matches as `match_views` gives them; None where the cameras do not look down at one place.
    """
    center = _looked_at(cam_from_world)
    if center is None:
        return None
    eyes = np.linalg.inv(cam_from_world)[:, :3, 3]
    distance = float(np.median(np.linalg.norm(eyes - center, axis=1)))
    side = min(config.picture_side, round(PIXELS_FROM_ABOVE * max(max(view.hw) for view in views)))
    half = HALF_SIDE * distance
    step = 2 * half / side
    world_from_ground = np.array([[step, 0, center[0] - half], [0, -step, center[1] + half], [0, 0, center[2]], [0, 0, 1]])
    detector = cv2.SIFT.create(config.features, contrastThreshold=CONTRAST)
    found = []
    for view, pose in zip(views, cam_from_world):
        pixel_from_ground = view.calibration()[0].double().numpy(force=True) @ pose[:3] @ world_from_ground
        picture, seen = _from_above(view, pixel_from_ground, side)
        pixels, descriptors = sift_features(picture, (side, side), detector, seen)
        there = pixels @ pixel_from_ground.T
        found.append((there / there[:, 2:], descriptors))
        yield
    return (yield from match_features(found, views))


def _looked_at(cam_from_world: Array) -> Array | None:
    """(3,) the place nearest to all optical axes, where all cameras look down at it."""
    world_from_cam = np.linalg.inv(cam_from_world)
    eyes, axes = world_from_cam[:, :3, 3], world_from_cam[:, :3, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    if np.linalg.cond(across.sum(0)) > 1e6:
        return None
    center: Array = np.linalg.solve(across.sum(0), (across @ eyes[:, :, None]).sum(0))[:, 0]
    towards = center - eyes
    length = np.linalg.norm(towards, axis=1)
    ahead = (towards * axes).sum(1) > 0.5 * length
    down = -towards[:, 2] > STEEP * length
    return center if bool((ahead & down).all()) else None


def _miss(cam_from_world: Array) -> float:
    """How far the place that cameras look down at is from the farthest optical axis, as a share of its distance; inf = none."""
    center = _looked_at(cam_from_world)
    if center is None:
        return math.inf
    in_camera = cam_from_world[:, :3, :3] @ center + cam_from_world[:, :3, 3]
    return float((np.linalg.norm(in_camera[:, :2], axis=1) / np.linalg.norm(in_camera, axis=1)).max())


def _from_above(view: CameraView, pixel_from_ground: Array, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """(side, side) grey picture of the ground, and where it is seen (255)."""
    grey = grey_picture(view, max(view.hw))
    picture = cv2.warpPerspective(grey, pixel_from_ground, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    seen = cv2.warpPerspective(
        np.full_like(grey, 255), pixel_from_ground, (side, side), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
    return np.asarray(picture, np.uint8), np.asarray(cv2.erode(seen, np.ones((2 * BORDER + 1,) * 2, np.uint8)), np.uint8)
