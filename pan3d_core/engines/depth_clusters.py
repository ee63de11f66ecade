"""An engine without a network: what stands on the support surface, cut out of sensor depth.

The views' depth is fused in the world frame, the support plane removed, and what remains above it is grouped by
connectivity on a voxel grid; groups that merely touch are cut where colour and surface both break. It needs calibrated
cameras with depth, knows no names and gives none (`class_logits` is None): the baseline to stand beside every network.
"""

from __future__ import annotations

import logging
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from scipy.spatial import ConvexHull
from torch import Tensor

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.geometry.cameras import normals_from_points
from pan3d_core.geometry.voxels import build_voxel_graph, components, split_touching
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

logger = logging.getLogger("pan3d.engines.depth_clusters")

SATURATED_LOGIT = 20.0  # a mask of this engine is certain: sigmoid(20) is 1 in float32
PLANE_TRIALS = 256
PLANE_SAMPLE = 20_000  # points that vote for a plane
GRAZING_COSINE = 0.12  # pixels seen flatter than this lie on depth edges and would bridge objects


@dataclass(frozen=True)
class SupportPlane:
    """Points p with `normal` @ p = `offset`; heights are measured along the normal, which points up."""

    normal: np.ndarray  # (3,) unit
    offset: float  # metres

    def height(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N,) signed distance above the plane, metres."""
        heights: np.ndarray = points @ self.normal - self.offset
        return heights


def build(config: ModelConfig) -> DepthClusters:
    """Build the engine; it has no weights and no settings of its own."""
    return DepthClusters()


@dataclass(frozen=True)
class DepthClusters:
    """Callable engine. Lengths in metres.

    `voxel_m` is also the gap that separates two objects (between one and two voxels). `clearance_m` is the least height
    above the plane that counts as object; noise found on the plane itself raises it. Groups wider than `max_extent_m`
    (walls, arms) or with fewer than `min_points` pixels are dropped, as are groups that start more than `max_gap_m`
    above the plane.
    """

    preprocess: PreprocessConfig = PreprocessConfig(height=240, width=320)
    _: KW_ONLY
    voxel_m: float = 0.006
    clearance_m: float = 0.003
    min_points: int = 60
    max_extent_m: float = 0.5
    max_gap_m: float = 0.25
    color_step: float = 0.3
    seed: int = 0

    @property
    def facts(self) -> EngineFacts:
        """It needs depth, and has no network."""
        return EngineFacts(self.preprocess, needs_depth=True)

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        """Views with depth, intrinsics and poses -> sensor geometry (metric) and unnamed instances, highest score first.

        Raises `ValueError` naming what is missing.
        """
        reconstruction = sensor_reconstruction(views)
        valid = (reconstruction.depth > 0) & torch.isfinite(reconstruction.depth)
        point_map = reconstruction.world_points
        points = point_map[valid].double().numpy(force=True)
        plane = self._support_plane(points, views.support_height_m)
        ids = np.zeros(len(points), dtype=np.int64)
        above = above_support(
            points, plane, clearance_m=self.clearance_m, ceiling_m=self.max_extent_m + self.max_gap_m, margin_m=self.voxel_m
        )
        ids[above] = self._cluster(points[above], self._surface(point_map, reconstruction, views.images, valid)[above], plane)
        pixel_ids = torch.zeros(valid.shape, dtype=torch.int64)
        pixel_ids[valid.cpu()] = torch.from_numpy(ids)
        return reconstruction, instances_of_pixels(pixel_ids.to(views.images.device), self.min_points)

    def _support_plane(self, points: np.ndarray, support_height_m: float | None) -> SupportPlane | None:
        if support_height_m is not None:
            return SupportPlane(np.array([0.0, 0.0, 1.0]), float(support_height_m))
        plane = find_support_plane(points, seed=self.seed)
        if plane is None:
            logger.warning("no level support plane found in %d points: everything measured is grouped", len(points))
        return plane

    def _surface(self, point_map: Tensor, reconstruction: Reconstruction, images: Tensor, valid: Tensor) -> np.ndarray:
        """(N, 7) per valid pixel: normal, RGB, cosine between normal and line of sight."""
        centers = reconstruction.world_from_cam[:, :3, 3]
        normals = normals_from_points(point_map, centers)
        sight = torch.nn.functional.normalize(centers[:, None, None] - point_map, dim=-1)
        cosine = (normals * sight).sum(-1, keepdim=True)
        colors = images.permute(0, 2, 3, 1)
        return torch.cat([normals, colors, cosine], dim=-1)[valid].double().numpy(force=True)

    def _cluster(self, points: np.ndarray, surface: np.ndarray, plane: SupportPlane | None) -> np.ndarray:
        """(N, 3) points and (N, 7) surface -> (N,) group number, 0 = none."""
        steady = surface[:, 6] > GRAZING_COSINE
        if steady.sum() < self.min_points:
            return np.zeros(len(points), dtype=np.int64)
        graph = build_voxel_graph(points[steady], self.voxel_m)
        normals = graph.mean_of(surface[steady, :3])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        colors = graph.mean_of(surface[steady, 3:6])
        group = components(len(graph.counts), graph.edges)
        if self.color_step > 0:
            group = split_touching(graph, colors, normals, color_step=self.color_step, min_voxels=12)
        group_of_point = np.full(len(points), -1, dtype=np.int64)
        group_of_point[steady] = group[graph.voxel_of_point]
        ids = np.zeros(len(points), dtype=np.int64)
        for index in range(int(group.max()) + 1):
            members = group_of_point == index
            if self._is_object(points[members], plane):
                ids[members] = ids.max() + 1
        return ids

    def _is_object(self, points: np.ndarray, plane: SupportPlane | None) -> bool:
        if len(points) < self.min_points or float(np.ptp(points, axis=0).max()) > self.max_extent_m:
            return False
        return plane is None or float(plane.height(points).min()) <= self.max_gap_m


def instances_of_pixels(pixel_ids: Tensor, min_points: int) -> InstanceSet:
    """Turn ids of pixels into instances without names.

    Args:
        pixel_ids: (S, h, w) int64, the same object having the same id in all views, 0 = none.
        min_points: Pixels that count as half of a well measured object.

    Returns:
        Saturated masks, the largest first; a score says only how much of an object was measured.
    """
    counts = torch.bincount(pixel_ids.flatten())
    ids = torch.argsort(counts[1:], descending=True, stable=True) + 1
    masks = pixel_ids[None] == ids[:, None, None, None]
    sizes = counts[ids].float()
    logits = torch.where(masks, SATURATED_LOGIT, -SATURATED_LOGIT)
    return InstanceSet(
        mask_logits=logits, class_logits=None, scores=sizes / (sizes + 4 * min_points), labels=LabelSpace.things(())
    )


def find_support_plane(
    points: np.ndarray, *, seed: int = 0, tolerance_m: float = 0.005, max_tilt_deg: float = 15.0
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
    if len(points) < 100:
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


def above_support(
    points: np.ndarray, plane: SupportPlane | None, *, clearance_m: float, ceiling_m: float, margin_m: float
) -> np.ndarray:
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
    if near.sum() < 100:
        return height > clearance_m
    noise_m = 1.4826 * float(np.median(np.abs(height[near])))
    above = (height > max(clearance_m, 3.0 * noise_m)) & (height < ceiling_m)
    flat = points @ _plane_axes(plane.normal).T
    outline = ConvexHull(flat[near][:: max(1, int(near.sum()) // PLANE_SAMPLE)], qhull_options="QJ")
    candidates = np.flatnonzero(above)
    inside = (flat[candidates] @ outline.equations[:, :2].T + outline.equations[:, 2] <= margin_m).all(axis=1)
    above[candidates[~inside]] = False
    return above


def _plane_axes(normal: np.ndarray) -> np.ndarray:
    """(2, 3) orthonormal directions within the plane."""
    first = np.cross(normal, [0.0, 1.0, 0.0] if abs(normal[1]) < 0.9 else [1.0, 0.0, 0.0])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first)])


def sensor_reconstruction(views: ViewBatch) -> Reconstruction:
    """Make a metric reconstruction of the measured depth and the given cameras; `ValueError` names what is missing."""
    depth = _of_every_view("depth", views.depth)
    intrinsics = _of_every_view("intrinsics", views.intrinsics)
    cam_from_world = _of_every_view("cam_from_world", views.cam_from_world)
    measured = depth > 0
    if not bool(measured.any()):
        raise ValueError("ViewBatch.depth: expected some measured pixels, got none above 0")
    return Reconstruction(depth, measured.to(depth.dtype), intrinsics, cam_from_world, is_metric=True)


def _of_every_view(name: str, value: Tensor | None) -> Tensor:
    if value is None:
        raise ValueError(f"ViewBatch.{name}: expected {name} of every view (this engine works on sensor depth), got None")
    return value
