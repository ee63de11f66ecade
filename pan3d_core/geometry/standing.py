"""What stands on the support in measured depth of several calibrated views, whatever sensor measured it.

Sensors err: surfaces are scattered, cameras disagree about the table by millimetres, near surfaces grow over their outlines
and pixels hang in the air between two. So depth is smoothed within surfaces, each view's table is laid onto the common one,
heights count by the noise that the table itself shows, and what another view looks through is no surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.geometry.arrays import Bools, Floats, Ints
from pan3d_core.geometry.cameras import normals_from_points, project, unproject_depth
from pan3d_core.geometry.support import (
    NEAR_M,
    PlaneNoise,
    SupportPlane,
    find_support_plane,
    plane_noise,
    view_correction,
    within_outline,
)
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.geometry.voxels import VoxelGraph, build_voxel_graph

SMOOTHED_PIXELS, SMOOTHED_M = 5, 0.012  # neighbours this near in the picture and in depth are of one surface
SURE_SIGMAS, LIKELY_SIGMAS, LIKELY_M = 3.0, 1.0, 0.001  # from where on a point is above the support for sure, and perhaps
SEEN_THROUGH_M = 0.012  # a view that measures this much farther looks through a point
GRAZING_COSINE = 0.12  # between line of sight and normal
LEAST_SHARE_ON_SUPPORT = 0.02  # of all measured points; a given height with fewer is not that of the support


@dataclass(frozen=True)
class ObjectLimits:
    """Which groups of standing points are objects."""

    min_points: int  # fewer are none
    max_extent_m: float  # wider ones (walls, arms) are none
    max_gap_m: float  # those that begin higher above the support are none on it


@dataclass(frozen=True)
class VoxelSurface:
    """Voxels of points with the look of their surface."""

    graph: VoxelGraph
    colors: Floats  # (V, 3) RGB 0..1
    normals: Floats  # (V, 3) unit


@dataclass(frozen=True)
class StandingPoints:
    """N measured points that do not lie on the support."""

    pixel: Ints  # (N,) into the flattened (S, h, w) pictures
    points: Floats  # (N, 3) metres, world
    normals: Floats  # (N, 3) unit
    facing: Floats  # (N,) cosine between normal and line of sight
    sure: Bools  # (N,) above the support beyond its noise; the others may be the support
    plane: SupportPlane | None
    level_m: float | None  # world z of the support where it was looked for; None = it was given
    seen_through: Ints  # (M,) pixels above the support for sure in their own view, where another view sees nothing

    def steady(self, rows: Ints) -> Bools:
        """Tell which of the points are seen steeply enough; the others lie on depth edges and would bridge objects."""
        return self.facing[rows] > GRAZING_COSINE

    def is_object(self, rows: Ints, limits: ObjectLimits) -> bool:
        """Whether a group of the points is an object on the support."""
        points = self.points[rows]
        if len(points) < limits.min_points or float(np.ptp(points, axis=0).max()) > limits.max_extent_m:
            return False
        return self.plane is None or float(self.plane.height(points).min()) <= limits.max_gap_m

    def surface(self, rows: Ints, images: Tensor, voxel_m: float) -> VoxelSurface:
        """Put points into voxels.

        Args:
            rows: (M,) which of them.
            images: (S, 3, h, w) RGB 0..1, in which they were measured.
            voxel_m: Side of a voxel.

        Returns:
            The voxels with mean colour and normal.
        """
        graph = build_voxel_graph(self.points[rows], voxel_m)
        pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy(force=True)
        normals = graph.mean_of(self.normals[rows])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        return VoxelSurface(graph, graph.mean_of(pixels[self.pixel[rows]]), normals)


def standing_points(
    depth: Tensor,
    intrinsics: Tensor,
    cam_from_world: Tensor,
    support_height_m: float | None,
    *,
    clearance_m: float,
    ceiling_m: float,
    margin_m: float,
    seed: int = 0,
) -> StandingPoints:
    """Find what does not lie on the support.

    Args:
        depth: (S, h, w) z-depth in metres, 0 = none.
        intrinsics: (S, 3, 3) pixels.
        cam_from_world: (S, 4, 4).
        support_height_m: World z of the support; None, or one at which hardly anything was measured: it is looked for.
        clearance_m: The least height that counts; noise of the support raises it.
        ceiling_m: The greatest height that counts.
        margin_m: By how much the support's outline is grown, beyond which nothing counts.
        seed: Of the search for the support.

    Returns:
        The points above the support, and those that may be.
    """
    depth, intrinsics, cam_from_world = (item.float().cpu() for item in (depth, intrinsics, cam_from_world))
    smooth = torch.stack([_smoothed(view) for view in depth])
    point_map = unproject_depth(smooth, intrinsics, cam_from_world)
    centers = invert_rigid(cam_from_world)[:, :3, 3]
    normals = normals_from_points(point_map, centers)
    sight = centers[:, None, None] - point_map
    facing = (normals * sight).sum(-1) * sight.square().sum(-1).clamp_min(1e-24).rsqrt()
    pixel = torch.nonzero(((smooth > 0) & torch.isfinite(smooth)).flatten())[:, 0].numpy()
    points = point_map.reshape(-1, 3).double().numpy()[pixel]
    distance = smooth.flatten().double().numpy()[pixel]
    view = pixel // depth[0].numel()
    plane, level_m = _support(points, support_height_m, seed)
    sure = likely = np.ones(len(points), bool)
    if plane is not None:
        _lay_onto(plane, points, np.searchsorted(view, np.arange(len(depth) + 1)))
        height = plane.height(points)
        noise = plane_noise(height, distance)
        sure, likely = _heights_that_count(height, distance, noise, clearance_m, ceiling_m)
        flat = np.abs(height) < np.maximum(LIKELY_SIGMAS * noise.at(distance), clearance_m)
        either = np.flatnonzero(likely | flat)
        likely[either] &= within_outline(points[either], plane, flat[either], margin_m)
    above = np.flatnonzero(likely)
    through = seen_through(points[above], view[above], depth, intrinsics, cam_from_world)
    kept = above[~through]
    return StandingPoints(
        pixel=pixel[kept],
        points=points[kept],
        normals=normals.reshape(-1, 3)[pixel[kept]].double().numpy(),
        facing=facing.flatten()[pixel[kept]].double().numpy(),
        sure=sure[kept],
        plane=plane,
        level_m=level_m,
        seen_through=pixel[above[through & sure[above]]],
    )


def _lay_onto(plane: SupportPlane, points: Floats, ends: Ints) -> None:
    """Move each view's points, which begin and end at these rows, so that its support is the common one."""
    for mine in (slice(*pair) for pair in pairwise(ends)):
        points[mine] -= view_correction(points[mine], plane)[:, None] * plane.normal


def seen_through(points: Floats, view: Ints, depth: Tensor, intrinsics: Tensor, cam_from_world: Tensor) -> Bools:
    """Find points that hang in the air: another view measures something farther in all pixels around their place.

    Args:
        points: (N, 3) metres, world.
        view: (N,) that each was measured in.
        depth: (S, h, w) metres, 0 = none.
        intrinsics: (S, 3, 3) pixels.
        cam_from_world: (S, 4, 4).

    Returns:
        (N,) bool.
    """
    through = np.zeros(len(points), bool)
    height, width = depth.shape[1:]
    world = torch.from_numpy(points).float()
    for index in range(len(depth)):
        # The nearest around each pixel; no measurement counts as a surface, since nothing was seen through there.
        nearest = -F.max_pool2d(-depth[index][None, None], 3, stride=1, padding=1)[0, 0]
        seen = world @ cam_from_world[index, :3, :3].T + cam_from_world[index, :3, 3]
        pixels, z = project(seen, intrinsics[index])
        column, row = (pixels + 0.5).floor().long().unbind(-1)
        inside = (z > 0) & (column >= 0) & (row >= 0) & (column < width) & (row < height)
        behind = nearest[row.clamp(0, height - 1), column.clamp(0, width - 1)]
        through |= (inside & (behind > z + SEEN_THROUGH_M * (1.0 + z))).numpy() & (view != index)
    return through


def _smoothed(depth: Tensor) -> Tensor:
    """(h, w) with less noise; what was not measured stays so, and edges stay where they are."""
    array = np.ascontiguousarray(torch.where(torch.isfinite(depth), depth, 0.0).numpy())
    smooth = torch.from_numpy(cv2.bilateralFilter(array, SMOOTHED_PIXELS, SMOOTHED_M, SMOOTHED_PIXELS / 2.0))
    return torch.where(depth > 0, smooth, 0.0)


def _support(points: Floats, support_height_m: float | None, seed: int) -> tuple[SupportPlane | None, float | None]:
    """The support's plane, and its height in the middle of it where it was not given."""
    if support_height_m is not None:
        given = SupportPlane.level(support_height_m)
        if (np.abs(given.height(points)) < NEAR_M).sum() >= LEAST_SHARE_ON_SUPPORT * len(points):
            return given, None
    found = find_support_plane(points, seed=seed)
    if found is None:
        return None if support_height_m is None else SupportPlane.level(support_height_m), None
    own = np.abs(found.height(points)) < NEAR_M
    return found, float(np.median(points[own, 2]))


def _heights_that_count(
    height: Floats, distance: Floats, noise: PlaneNoise, clearance_m: float, ceiling_m: float
) -> tuple[Bools, Bools]:
    """(N,) bool twice: above the support for sure, and perhaps."""
    sigma = noise.at(distance)
    below = height < ceiling_m
    least = np.maximum(clearance_m, SURE_SIGMAS * sigma)
    return below & (height > least), below & (height > np.minimum(least, np.maximum(LIKELY_M, LIKELY_SIGMAS * sigma)))
