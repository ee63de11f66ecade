"""Constant movements of cameras that let most of what views share fit: a small bundle adjustment without points.

Two kinds of misses are made small. The ray of one view misses the epipolar plane of the other's; that says little where
everything lies on a table, since a turn and a shift then look alike. So where both rays of a match pass the support, the places
where they do are to be one place: matches on the support fit, all others are outliers of that. The support is level; its height
is found as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from pan3d_core.assembly.pose_checks.ground_matches import match_on_ground
from pan3d_core.assembly.pose_checks.portions import at_once
from pan3d_core.assembly.pose_checks.pose_fit import NEAR_M, WIDTHS, pair_transforms, plane_distances, ray_errors, small_motion
from pan3d_core.assembly.pose_checks.support.height import find_support, triangulated_places
from pan3d_core.assembly.pose_checks.view_matches import Array, ViewMatches, match_views
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import CameraView

Flags = npt.NDArray[np.bool_]

# Movements are expected to be about so large: degrees, metres. Where pictures do not tell, they are none.
USUAL_DEG, USUAL_M = 2.0, 0.02
# The support is where matches see it at first, give or take this.
HEIGHT_M = 0.004
# How far right matches miss, rad.
NOISE = 1e-3
SETTLING = 6  # steps with the strictest width
NUDGE = 1e-5
# Begins the fit near what it begins with, after a large movement of one camera was found.
LATE_WIDTHS = WIDTHS[3:]


@dataclass(frozen=True)
class Shared:
    """What all views share: matches within each set of views, and the poses that were given."""

    matches: ViewMatches
    rays: tuple[Array, Array]
    poses: Array  # (S, 4, 4) cam_from_world as given
    camera: npt.NDArray[np.int64]  # (S,) index of the camera
    of_set: npt.NDArray[np.int64]  # (S,) index of the set of views
    tolerance: float  # rad

    def touching(self, index: int) -> Flags:
        """(N,) whether each match is of a camera."""
        mine = self.camera == index
        return np.asarray(mine[self.matches.first] | mine[self.matches.second])


@dataclass(frozen=True)
class Estimate:
    """Movements of all cameras, and heights of the supports."""

    motions: Array  # (C, 4, 4) cam_from_given, by camera
    heights_m: Array  # (K,) world z of the support, by set of views; NaN = none was found

    def poses(self, shared: Shared) -> Array:
        """(S, 4, 4) where the views are then."""
        poses: Array = self.motions[shared.camera] @ shared.poses
        return poses

    def fits(self, shared: Shared) -> Flags:
        """(N,) whether the rays of each match pass each other."""
        errors = ray_errors(shared.rays, pair_transforms(shared.matches, self.poses(shared)))
        return np.asarray(errors < shared.tolerance)

    def agreement(self, shared: Shared) -> float:
        """How much of what is shared agrees, the better the more: sum of the weights of all misses."""
        return float(_weights(_misses(shared, self), WIDTHS[-1]).sum())

    def after(self, step: Array, free: Sequence[int]) -> Estimate:
        """This after a step of (6 F + K,): twists of the free cameras, and heights."""
        motions = self.motions.copy()
        for index, twist in zip(free, step[: 6 * len(free)].reshape(-1, 6)):
            motions[index] = small_motion(twist) @ motions[index]
        return Estimate(motions, self.heights_m + step[6 * len(free) :])


def what_views_share(sets: Sequence[Sequence[CameraView]], names: Sequence[str], config: ConsistencyConfig) -> Shared:
    """Match the views of each set with each other.

    Args:
        sets: Views with intrinsics and pose; each set shows one still scene.
        names: Of all cameras.
        config: Size of pictures, number of places, and what counts as fitting.

    Returns:
        The matches of all sets.
    """
    begins = np.cumsum([0, *(len(views) for views in sets)])
    parts, poses = [], []
    for begin, views in zip(begins, sets):
        given = np.stack([view.calibration()[1].double().numpy(force=True) for view in views])
        found, more = match_views(views, config), at_once(match_on_ground(views, given, config))
        found = found if more is None else found.joined(more)
        parts.append(replace(found, first=found.first + begin, second=found.second + begin))
        poses.append(given)
    fields = ("first", "second", "first_pixels", "second_pixels", "intrinsics")
    matches = ViewMatches(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))
    camera = np.array([names.index(view.camera) for views in sets for view in views])
    of_set = np.repeat(np.arange(len(sets)), [len(views) for views in sets])
    return Shared(matches, matches.rays(), np.concatenate(poses), camera, of_set, math.radians(config.tolerance_deg))


def moved_by(shared: Shared, motions: Array) -> Estimate:
    """Cameras are moved by (C, 4, 4), and supports are where matches see them then."""
    poses, heights = motions[shared.camera] @ shared.poses, []
    for index in range(int(shared.of_set.max()) + 1):
        mine = shared.matches.of(shared.of_set[shared.matches.first] == index)
        support = find_support(triangulated_places(mine, poses, shared.tolerance))
        heights.append(math.nan if support is None else support.height_m)
    return Estimate(motions, np.array(heights))


def adjusted(shared: Shared, start: Estimate, free: Sequence[int], widths: Sequence[float] = WIDTHS) -> Estimate:
    """Move some cameras so that most matches fit: Gauss-Newton with weights of Geman and McClure that become stricter.

    Args:
        shared: What views share.
        start: Where it begins; cameras that are not free stay there.
        free: Indices of cameras.
        widths: Of the errors that are borne, rad, step by step.

    Returns:
        The movements and the heights.
    """
    found = start
    prior = np.concatenate([np.tile(_prior(), len(free)), np.full(len(start.heights_m), (NOISE / HEIGHT_M) ** 2)])
    for width in (*widths, *[widths[-1]] * SETTLING):
        base, jacobian = linearised(shared, found, free)
        weight = _weights(base, width)
        pull = prior * np.concatenate(
            [*(_twist(found.motions[index]) for index in free), np.nan_to_num(found.heights_m - start.heights_m)]
        )
        normal = (jacobian * weight[:, None]).T @ jacobian + np.diag(prior)
        step = -np.linalg.solve(normal, (jacobian * weight[:, None]).T @ base + pull)
        found = found.after(step * min(1.0, 0.3 / max(float(np.abs(step).max()), 1e-12)), free)
    return found


def linearised(shared: Shared, at: Estimate, free: Sequence[int]) -> tuple[Array, Array]:
    """Give the misses and how they change.

    Args:
        shared: What views share.
        at: Where.
        free: Indices of cameras that may move.

    Returns:
        (3 N,) rad: of epipolar planes, and of places on the support along x and y, 0 where there is none; and (3 N, 6 F + K).
    """
    base = _misses(shared, at)
    size = 6 * len(free) + len(at.heights_m)
    columns = [(_misses(shared, at.after(nudge, free)) - base) / NUDGE for nudge in np.diag(np.full(size, NUDGE))]
    return base, np.stack(columns, axis=1)


def _misses(shared: Shared, at: Estimate) -> Array:
    poses = at.poses(shared)
    epipolar = plane_distances(shared.matches, shared.rays, poses)
    world_from_cam = np.linalg.inv(poses)
    height = at.heights_m[shared.of_set[shared.matches.first]]
    reaches, places = [], []
    for view, ray in zip((shared.matches.first, shared.matches.second), shared.rays):
        way = np.einsum("nij,nj->ni", world_from_cam[view, :3, :3], ray)
        eye = world_from_cam[view, :3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = (height - eye[:, 2]) / way[:, 2]
            places.append((eye + reach[:, None] * way)[:, :2])
        reaches.append(reach)
    on_support = np.isfinite(reaches).all(0) & (np.nan_to_num(np.min(reaches, axis=0), nan=0.0) > NEAR_M)
    apart = np.zeros((len(epipolar), 2))
    apart[on_support] = ((places[0] - places[1]) / np.mean(reaches, axis=0)[:, None])[on_support]
    return np.concatenate([epipolar, apart[:, 0], apart[:, 1]])


def _weights(misses: Array, width: float) -> Array:
    """Of Geman and McClure; those without a place on the support say nothing."""
    return np.asarray(np.where(misses == 0.0, 0.0, np.square(width**2 / (width**2 + np.square(misses)))), np.float64)


def _prior() -> Array:
    """(6,) weights of a movement's own size beside misses squared."""
    return np.square(NOISE / np.array([math.radians(USUAL_DEG)] * 3 + [USUAL_M] * 3))


def _twist(motion: Array) -> Array:
    """(6,) rotation vector (rad) and translation (m) of a (4, 4) motion."""
    return np.concatenate([np.asarray(cv2.Rodrigues(motion[:3, :3])[0], np.float64).ravel(), motion[:3, 3]])
