"""The first queries of a scene: one per object that the 2D masks show, the rest spread over the scene.

The paper starts from more queries than objects and says neither how many nor where; all numbers here are assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.rotations import quat_xyzw_from_matrix
from pan3d_core.refine.model import QueryGaussians
from pan3d_core.refine.views import RefineView


@dataclass(frozen=True)
class QuerySettings:
    """How queries begin; every number is assumed."""

    count: int = 24
    merge_m: float = 0.05  # masks whose middles are nearer than this are one object
    spread: float = 3.0  # standard deviations of a query over those of the object's points: 0.8 of the peak at its border
    min_scale_m: float = 0.02
    min_pixels: int = 12  # of a mask with depth that says where its object is

    def __post_init__(self) -> None:
        if self.count < 1 or not self.merge_m > 0 or not self.spread > 0 or not self.min_scale_m > 0:
            got = f"{self.count}, {self.merge_m}, {self.spread}, {self.min_scale_m}"
            raise ValueError(f"QuerySettings.count, merge_m, spread, min_scale_m: expected positive numbers, got {got}")


@dataclass(frozen=True)
class _Cloud:
    """Moments of the points of one mask."""

    mean: Tensor  # (3,)
    covariance: Tensor  # (3, 3)
    count: int
    view: int = -1  # that it is a mask of


def queries_from_masks(
    views: Sequence[RefineView], depth: Sequence[Tensor | None], means: Tensor, settings: QuerySettings | None = None
) -> QueryGaussians:
    """Make queries of the views' masks, objects of most masks first.

    Masks are put into space by the depth and merged where their middles are near, unless most views tell them apart.

    Args:
        views: With masks in their labels.
        depth: (H, W) z-depth in metres for each view, or None: then its masks are left aside.
        means: (G, 3) of the Gaussians; samples of them that are far from all others fill the queries up to their number.
        settings: None = the defaults.

    Returns:
        `settings.count` queries in the world of the views, fewer where there are not enough Gaussians.
    """
    settings = settings or QuerySettings()
    clouds = [
        replace(cloud, view=index)
        for index, (view, measured) in enumerate(zip(views, depth))
        for cloud in _mask_clouds(view, measured, settings)
    ]
    return _padded(_merged(clouds, settings.merge_m), means, settings)


def queries_from_boxes(boxes: Sequence[OrientedBox], means: Tensor, settings: QuerySettings | None = None) -> QueryGaussians:
    """Make one query per oriented box of a feed-forward result, whose points are taken for evenly spread.

    Args:
        boxes: In the world; of more than `settings.count` the first ones count.
        means: (G, 3) of the Gaussians, for the rest of the queries as in `queries_from_masks`.
        settings: None = the defaults.

    Returns:
        `settings.count` queries in that world, fewer where there are not enough Gaussians.
    """
    clouds = []
    for box in boxes:
        axes = box.world_from_box[:3, :3] * box.size_m / np.sqrt(12)
        clouds.append(_Cloud(box.world_from_box[:3, 3], axes @ axes.T, 1))
    return _padded(clouds, means, settings or QuerySettings())


def _mask_clouds(view: RefineView, depth: Tensor | None, settings: QuerySettings) -> list[_Cloud]:
    if depth is None:
        return []
    points = unproject_depth(depth, view.intrinsics, view.cam_from_world)
    clouds = []
    for mask in view.labels.masks:
        inside = points[(mask > 0.5) & (depth > 0) & torch.isfinite(depth)]
        if len(inside) >= settings.min_pixels:
            middle = inside.median(0).values  # a few pixels beyond the border hit surfaces far behind
            away = (inside - middle).norm(dim=-1)
            inside = inside[away <= 3 * away.median().clamp_min(1e-4)]
            clouds.append(_Cloud(inside.mean(0), torch.cov(inside.T, correction=0), len(inside)))
    return clouds


def _merged(clouds: list[_Cloud], merge_m: float) -> list[_Cloud]:
    """Groups by average linkage of the distances of their middles, those of most masks first."""
    if len(clouds) < 2:
        return clouds
    places = torch.stack([cloud.mean for cloud in clouds]).double().cpu().numpy()
    group = fcluster(linkage(places, "average"), merge_m, "distance")
    members = [np.flatnonzero(group == label) for label in np.unique(group)]
    members = [part for rows in members for part in _told_apart(rows, places, np.array([cloud.view for cloud in clouds]))]
    return [_joined([clouds[index] for index in rows]) for rows in sorted(members, key=lambda rows: (-len(rows), rows[0]))]


def _told_apart(rows: np.ndarray, places: np.ndarray, views: np.ndarray) -> list[np.ndarray]:
    """A group as as many objects as half of its views or more have masks in it: small objects that touch are near, too."""
    objects = int(np.median(np.unique(views[rows], return_counts=True)[1]))
    if objects < 2:
        return [rows]
    part = fcluster(linkage(places[rows], "average"), objects, "maxclust")
    return [rows[part == label] for label in np.unique(part)]


def _joined(clouds: list[_Cloud]) -> _Cloud:
    """Moments of all points together, every mask counting alike: near views have more pixels, not more truth."""
    means = torch.stack([cloud.mean for cloud in clouds])
    mean = means.mean(0)
    within = torch.stack([cloud.covariance for cloud in clouds]).mean(0)
    return _Cloud(mean, within + torch.cov(means.T, correction=0), sum(cloud.count for cloud in clouds))


def _padded(clouds: list[_Cloud], means: Tensor, settings: QuerySettings) -> QueryGaussians:
    clouds = clouds[: settings.count]
    known = torch.stack([cloud.mean for cloud in clouds]).to(means) if clouds else means[:0]
    samples = farthest_points(means, known, settings.count - len(clouds))
    scales, quats = [], []
    for cloud in clouds:
        variances, axes = torch.linalg.eigh(cloud.covariance.double().cpu())
        axes = axes * torch.linalg.det(axes).sign()  # a rotation, no mirror image
        scales.append((settings.spread * variances.clamp_min(0).sqrt()).clamp_min(settings.min_scale_m))
        quats.append(quat_xyzw_from_matrix(axes).roll(1, dims=-1))
    for _ in samples:
        scales.append(torch.full((3,), settings.spread * settings.min_scale_m, dtype=torch.float64))
        quats.append(torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    return QueryGaussians(torch.cat([known, samples]), torch.stack(scales).to(means), torch.stack(quats).to(means))


def farthest_points(points: Tensor, known: Tensor, count: int) -> Tensor:
    """At most `count` of (P, 3) points, each the farthest from all before it and from `known` (K, 3); (count, 3)."""
    if count <= 0 or len(points) == 0:
        return points[:0]
    distance = torch.cdist(points, known).amin(1) if len(known) else points.new_full((len(points),), torch.inf)
    chosen = []
    for _ in range(min(count, len(points))):
        row = int(distance.argmax())
        chosen.append(row)
        distance = torch.minimum(distance, (points - points[row]).norm(dim=-1))
    return points[chosen]
