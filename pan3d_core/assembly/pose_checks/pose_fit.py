"""How well matches fit poses, and which other pose of some views they would fit better."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pan3d_core.assembly.pose_checks.view_matches import Array, Indices, ViewMatches, unit

# Nothing is nearer to a camera than this.
NEAR_M = 0.1
# Widths (rad) of the errors that a fit bears, from what a gross fault makes to what a good calibration leaves.
WIDTHS = (0.08, 0.04, 0.02, 0.01, 0.006, 0.004, 0.003, 0.003)
# A fit stays near the given pose where matches do not say otherwise: weight of one radian and of one metre.
PRIOR = np.array([0.02] * 3 + [0.05] * 3)
STEP = 1e-5
# Fewest matches of a pair that tell of poses, see `free_fits`.
FEWEST_FREE = 15


def pair_transforms(matches: ViewMatches, cam_from_world: Array) -> Array:
    """(..., N, 4, 4) second camera from first camera, of each match, for poses (..., S, 4, 4)."""
    world_from_cam = np.linalg.inv(cam_from_world)
    pairs: Array = cam_from_world[..., :, None, :, :] @ world_from_cam[..., None, :, :, :]
    return pairs[..., matches.second, matches.first, :, :]


def ray_errors(rays: tuple[Array, Array], second_from_first: Array) -> Array:
    """Angle between a ray of the second camera and the nearest image of the first camera's ray.

    That image is an arc, from what is `NEAR_M` away to what is infinitely far; so points behind a camera do not fit, and
    cameras in one place, which have no epipolar geometry, need no case of their own.

    Args:
        rays: Twice (N, 3), unit vectors.
        second_from_first: (N, 4, 4).

    Returns:
        (N,) rad, for small angles.
    """
    far = np.einsum("nij,nj->ni", second_from_first[:, :3, :3], rays[0])
    near = unit(NEAR_M * far + second_from_first[:, :3, 3])
    normal = _cross(far, near)
    length = np.sqrt(np.square(normal).sum(1))
    normal = normal / np.maximum(length, 1e-12)[:, None]
    seen = rays[1]
    inside = (length > 1e-9) & ((_cross(far, seen) * normal).sum(1) >= 0) & ((_cross(seen, near) * normal).sum(1) >= 0)
    ends = np.sqrt(np.minimum(np.square(seen - far).sum(1), np.square(seen - near).sum(1)))
    return np.asarray(np.where(inside, np.abs((seen * normal).sum(1)), ends), np.float64)


def _cross(a: Array, b: Array) -> Array:
    """(..., 3) cross products; numpy's own takes several times as long."""
    (ax, ay, az), (bx, by, bz) = (np.moveaxis(side, -1, 0) for side in (a, b))
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def fit_views(matches: ViewMatches, rays: tuple[Array, Array], cam_from_world: Array, group: Indices) -> Array:
    """Find the one movement, in their cameras' frames, of some views that lets most matches fit.

    Gauss-Newton on the distance to the epipolar plane with weights of Geman and McClure that become stricter, so that
    matches of wrong places lose their say.

    Args:
        matches: Those that touch a view of the group count.
        rays: Of these matches.
        cam_from_world: (S, 4, 4) where the fit begins.
        group: Views that move alike: one camera's.

    Returns:
        (4, 4) to be multiplied from the left on `cam_from_world` of the group.
    """
    moving = np.isin(np.arange(len(cam_from_world)), group)
    touched = moving[matches.first] | moving[matches.second]
    part, own = matches.of(touched), (rays[0][touched], rays[1][touched])
    correction: Array = np.eye(4)
    nudges = [small_motion(twist) for twist in np.diag(np.full(6, STEP))]
    for width in WIDTHS:
        tried = np.stack([correction, *(nudge @ correction for nudge in nudges)])[:, None]
        base, *nudged = plane_distances(part, own, np.where(moving[:, None, None], tried @ cam_from_world, cam_from_world))
        jacobian = (np.stack(nudged, axis=1) - base[:, None]) / STEP
        weight = np.square(width**2 / (width**2 + np.square(base)))
        normal = (jacobian * weight[:, None]).T @ jacobian + np.diag(np.square(PRIOR * max(len(base), 1) ** 0.5))
        step: Array = -np.asarray(np.linalg.solve(normal, (jacobian * weight[:, None]).T @ base), np.float64)
        correction = small_motion(step * min(1.0, 0.3 / max(float(np.abs(step).max()), 1e-12))) @ correction
    return correction


def plane_distances(matches: ViewMatches, rays: tuple[Array, Array], cam_from_world: Array) -> Array:
    """(..., N) signed sine of the angle between the second ray and the epipolar plane of the first, for poses (..., S, 4, 4)."""
    transform = pair_transforms(matches, cam_from_world)
    turned = (transform[..., :3, :3] @ rays[0][:, :, None])[..., 0]
    normal = unit(_cross(turned, transform[..., :3, 3]))
    distances: Array = (rays[1] * normal).sum(-1)
    return distances


def small_motion(twist: Array) -> Array:
    """(6,) rotation vector (rad) and translation (m) -> (4, 4)."""
    transform = np.eye(4)
    transform[:3, :3] = cv2.Rodrigues(np.ascontiguousarray(twist[:3]))[0]
    transform[:3, 3] = twist[3:]
    return transform


def motion_size(transform: Array) -> tuple[float, float]:
    """Degrees and metres of a (4, 4) rigid motion."""
    cosine = float(np.clip((np.trace(transform[:3, :3]) - 1) / 2, -1.0, 1.0))
    return math.degrees(math.acos(cosine)), float(np.sqrt(np.square(transform[:3, 3]).sum()))


def free_fits(
    matches: ViewMatches, rays: tuple[Array, Array], tolerance: float, known: dict[tuple[int, int], int] | None = None
) -> int:
    """Count the matches that some poses of their two views, whichever, fit (RANSAC with five points).

    Args:
        matches: Of any pairs.
        rays: Of these matches.
        tolerance: Largest miss, rad.
        known: What pairs of views counted before; this call's are added to it. Pairs of two cameras are asked for by both.

    Returns:
        Their number; pairs with fewer than `FEWEST_FREE` count as none: chance finds poses for ten.
    """
    known = {} if known is None else known
    total = 0
    pairs = np.stack([matches.first, matches.second], axis=1)
    for first, second in np.unique(pairs, axis=0).tolist():
        if (first, second) not in known:
            rows = (pairs == (first, second)).all(1)
            known[first, second] = _free_fits_of_pair(rays[0][rows], rays[1][rows], tolerance)
        total += known[first, second]
    return total


def _free_fits_of_pair(first: Array, second: Array, tolerance: float) -> int:
    ahead = (first[:, 2] > 0.1) & (second[:, 2] > 0.1)
    if ahead.sum() < FEWEST_FREE:
        return 0
    first, second = (np.ascontiguousarray(side[ahead, :2] / side[ahead, 2:]) for side in (first, second))
    cv2.setRNGSeed(0)
    _, mask = cv2.findEssentialMat(first, second, np.eye(3), method=cv2.RANSAC, prob=0.99, threshold=tolerance / 2, maxIters=300)
    count = 0 if mask is None else int(mask.sum())
    return count if count >= FEWEST_FREE else 0
