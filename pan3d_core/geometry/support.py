"""The level surface that objects stand on, as measured points show it, and what stands on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from pan3d_core.geometry.arrays import Bools, Floats

PLANE_TRIALS = 256
PLANE_SAMPLE = 20_000  # points that vote for a plane
FEWEST_POINTS = 100  # on a plane that is believed
NEAR_M = 0.03  # points this close to the support are its own, or of what is too flat to matter
MAX_VIEW_OFFSET_M, MAX_VIEW_TILT = 0.02, 0.05  # largest error of one camera's depth or pose that is taken back; tangent
TRIMMED_AT = 2.5  # standard deviations from which a point is not of the plane


@dataclass(frozen=True)
class SupportPlane:
    """Points p with `normal` @ p = `offset`; heights are measured along the normal, which points up."""

    normal: Floats  # (3,) unit
    offset: float  # metres

    @classmethod
    def level(cls, height_m: float) -> SupportPlane:
        """The plane of all points at a world height."""
        return cls(np.array([0.0, 0.0, 1.0]), float(height_m))

    def height(self, points: Floats) -> Floats:
        """(N, 3) -> (N,) signed distance above the plane, metres."""
        heights: Floats = points @ self.normal - self.offset
        return heights

    def axes(self) -> Floats:
        """(2, 3) orthonormal directions within the plane."""
        first = np.cross(self.normal, [0.0, 1.0, 0.0] if abs(self.normal[1]) < 0.9 else [1.0, 0.0, 0.0])
        first /= np.linalg.norm(first)
        return np.stack([first, np.cross(self.normal, first)])


@dataclass(frozen=True)
class PlaneNoise:
    """How far measured points are scattered about the plane that they lie on: more with the square of the distance."""

    sigma_m: float  # standard deviation of heights at 1 m from the camera

    def at(self, depth: Floats) -> Floats:
        """(N,) z-depth, metres -> (N,) standard deviation of heights, metres."""
        return self.sigma_m * depth**2


def find_support_plane(
    points: Floats, *, seed: int = 0, tolerance_m: float = 0.005, max_tilt_deg: float = 15.0
) -> SupportPlane | None:
    """Find the level plane that most points lie on, by RANSAC (Fischler and Bolles 1981), then least squares.

    Args:
        points: (N, 3) metres, world frame.
        seed: Of the random trials.
        tolerance_m: Distance from the plane within which a point votes for it.
        max_tilt_deg: Between the plane's normal and world z.

    Returns:
        The plane; None when fewer than 5 % of the points lie on it.
    """
    if len(points) < FEWEST_POINTS:
        return None
    rng = np.random.default_rng(seed)
    sample = points[rng.choice(len(points), min(PLANE_SAMPLE, len(points)), replace=False)]
    triples = sample[rng.integers(0, len(sample), (PLANE_TRIALS, 3))]
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    length = np.linalg.norm(normals, axis=1)
    normals = normals / np.maximum(length, 1e-12)[:, None] * np.where(normals[:, 2] < 0, -1.0, 1.0)[:, None]
    level = (length > 1e-8) & (normals[:, 2] > np.cos(np.radians(max_tilt_deg)))
    # A level slice through every point is a trial too: it finds the table even when few triples are level.
    normals = np.concatenate([normals[level], np.tile([0.0, 0.0, 1.0], (PLANE_TRIALS, 1))])
    through = np.concatenate([triples[level, 0], triples[:, 0]])
    offsets = (normals * through).sum(axis=1)
    votes = np.array([(np.abs(sample @ n - o) < tolerance_m).sum() for n, o in zip(normals, offsets)])
    best = int(votes.argmax())
    if votes[best] < 0.05 * len(sample):
        return None
    inliers = sample[np.abs(sample @ normals[best] - offsets[best]) < 2 * tolerance_m]
    center = inliers.mean(axis=0)
    normal = np.linalg.svd(inliers - center, full_matrices=False)[2][2]
    normal *= np.sign(normal[2])
    return SupportPlane(normal, float(normal @ center))


def view_correction(points: Floats, plane: SupportPlane) -> Floats:
    """Find by how much the points of one view lie too high: its own plane against the common one.

    A camera whose depth is off by a few millimetres, or whose pose is off by a degree, shows the table beside itself.

    Args:
        points: (N, 3) metres, of one view.
        plane: The support.

    Returns:
        (N,) metres to take from each height; zeros where the view shows too little of the support, or errs by too much.
    """
    height, flat = plane.height(points), points @ plane.axes().T
    near = np.flatnonzero(np.abs(height) < NEAR_M)
    nothing = np.zeros(len(points))
    if len(near) < FEWEST_POINTS:
        return nothing
    near = near[:: max(1, len(near) // PLANE_SAMPLE)]
    middle = flat[near].mean(axis=0)
    columns = np.column_stack([np.ones(len(near)), flat[near] - middle])
    counts, edges = np.histogram(height[near], bins=int(2 * NEAR_M / 0.002), range=(-NEAR_M, NEAR_M))
    start = float(edges[counts.argmax()] + 0.001)
    found, kept = np.array([start, 0.0, 0.0]), np.abs(height[near] - start) < 0.01
    for _ in range(3):
        if kept.sum() < FEWEST_POINTS:
            return nothing
        found = np.linalg.lstsq(columns[kept], height[near][kept], rcond=None)[0]
        rest = np.abs(height[near] - columns @ found)
        kept = rest < TRIMMED_AT * 1.4826 * max(float(np.median(rest[kept])), 1e-4)
    if abs(found[0]) > MAX_VIEW_OFFSET_M or float(np.hypot(found[1], found[2])) > MAX_VIEW_TILT:
        return nothing
    correction: Floats = np.column_stack([np.ones(len(flat)), flat - middle]) @ found
    return correction


def plane_noise(height: Floats, depth: Floats) -> PlaneNoise:
    """Measure how points on the support are scattered about it.

    Args:
        height: (N,) above the support, metres, of any points.
        depth: (N,) z-depth of each, metres.

    Returns:
        What holds for those near the support; no noise where there are too few.
    """
    near = (np.abs(height) < NEAR_M) & (depth > 0)
    if near.sum() < FEWEST_POINTS:
        return PlaneNoise(0.0)
    relative = np.abs(height[near]) / depth[near] ** 2
    sigma = 1.4826 * float(np.median(relative))
    within = relative < TRIMMED_AT * max(sigma, 1e-6)  # without what stands on the support and is as low
    return PlaneNoise(1.4826 * float(np.median(relative[within])))


def within_outline(points: Floats, plane: SupportPlane, own: Bools, margin_m: float) -> Bools:
    """Tell which points stand over the convex outline of a plane's own points.

    Args:
        points: (N, 3) metres.
        plane: The support.
        own: (N,) those that lie on it.
        margin_m: By how much the outline is grown.

    Returns:
        (N,) bool; all where the plane has too few points of its own for an outline.
    """
    if own.sum() < FEWEST_POINTS:
        return np.ones(len(points), dtype=bool)
    flat = plane.axes() @ points.T  # (2, N): a side of the outline is tried on all points at once, in one sweep of memory
    outline = ConvexHull(flat.T[own][:: max(1, int(own.sum()) // PLANE_SAMPLE)], qhull_options="QJ")
    within = np.ones(len(points), dtype=bool)
    for along_x, along_y, offset in outline.equations:
        within &= along_x * flat[0] + along_y * flat[1] <= margin_m - offset
    return within


def above_support(points: Floats, plane: SupportPlane | None, *, clearance_m: float, ceiling_m: float, margin_m: float) -> Bools:
    """Tell which points stand on a plane.

    Args:
        points: (N, 3) metres.
        plane: The support; None: everything is above it.
        clearance_m: The least height that counts; noise found on the plane raises it.
        ceiling_m: The greatest height that counts.
        margin_m: By how much the outline of the plane's own points is grown; what lies outside of it does not count.

    Returns:
        (N,) bool.
    """
    if plane is None:
        return np.ones(len(points), dtype=bool)
    height = plane.height(points)
    near = np.abs(height) < 0.01
    if near.sum() < FEWEST_POINTS:
        return height > clearance_m
    noise_m = 1.4826 * float(np.median(np.abs(height[near])))
    above = (height > max(clearance_m, 3.0 * noise_m)) & (height < ceiling_m)
    candidates = np.flatnonzero(above)
    rows = np.concatenate([np.flatnonzero(near), candidates])
    own = np.arange(len(rows)) < near.sum()
    above[candidates] = within_outline(points[rows], plane, own, margin_m)[len(rows) - len(candidates) :]
    return above
