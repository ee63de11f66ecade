"""Simple ways to do the same, to see what the network and its multi-view association are worth.

Callable like every engine (`pan3d_core.engines.Engine`), chosen by name like one, and measured by the same pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from sklearn.cluster import DBSCAN, HDBSCAN
from torch import Tensor

from pan3d_core.config import ModelConfig
from pan3d_core.engines import Engine, EngineFacts
from pan3d_core.engines.depth_clusters import SATURATED_LOGIT, instances_of_pixels, sensor_reconstruction
from pan3d_core.engines.mini import FAST3DIS, PREPROCESS, MiniEngine, build
from pan3d_core.geometry.cameras import normals_from_points
from pan3d_core.geometry.support import SupportPlane, above_support, find_support_plane
from pan3d_core.models.mini.fast3dis import Fast3disMiniOutputs
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch

Cluster = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (N, 3) points and (N, 3) normals -> (N,) cluster, -1 = noise

MIN_POINTS = 40  # pixels over all views
MAX_EXTENT_M = 0.5  # wider clusters are walls
CELL_M = 0.004  # points are thinned to one per cell before they are grouped
DBSCAN_RADIUS_M, DBSCAN_NEIGHBOURS = 0.010, 4
HDBSCAN_CLUSTER_SIZE, HDBSCAN_NEIGHBOURS = 25, 5
NORMAL_WEIGHT_M = 0.012  # turning by 60 degrees counts like moving that far
FEATURE_CLUSTER_SIZE, FEATURE_NEIGHBOURS = 15, 3  # pixels at stride 4


def dbscan_points(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Clusters of points alone (Ester et al. 1996)."""
    return DBSCAN(eps=DBSCAN_RADIUS_M, min_samples=DBSCAN_NEIGHBOURS).fit_predict(points)


def hdbscan_surface(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Clusters of points and normals (Campello et al. 2013)."""
    if len(points) < 2 * HDBSCAN_CLUSTER_SIZE:
        return np.zeros(len(points), dtype=np.int64)
    features = np.concatenate([points, NORMAL_WEIGHT_M * normals], axis=1)
    search = HDBSCAN(min_cluster_size=HDBSCAN_CLUSTER_SIZE, min_samples=HDBSCAN_NEIGHBOURS, allow_single_cluster=True, copy=True)
    return search.fit_predict(features)


class ClusteredDepth:
    """Depth of all views as one cloud; what stands on the support, grouped by a clustering algorithm. Names nothing.

    `geometry` gives the depth: the sensors' (`sensor_reconstruction`) or a network's.
    """

    def __init__(self, geometry: Callable[[ViewBatch], Reconstruction], cluster: Cluster, facts: EngineFacts) -> None:
        self.facts = facts
        self._geometry, self._cluster = geometry, cluster

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        reconstruction = self._geometry(views)
        point_map = reconstruction.world_points
        normal_map = normals_from_points(point_map, reconstruction.world_from_cam[:, :3, 3])
        valid = (reconstruction.depth > 0) & torch.isfinite(reconstruction.depth)
        points, normals = (item[valid].double().numpy(force=True) for item in (point_map, normal_map))
        height = views.support_height_m
        plane = find_support_plane(points) if height is None else SupportPlane.level(height)
        above = above_support(points, plane, clearance_m=CELL_M, ceiling_m=MAX_EXTENT_M, margin_m=CELL_M)
        ids = np.zeros(len(points), dtype=np.int64)
        ids[above] = self._groups(points[above], normals[above])
        pixel_ids = torch.zeros(valid.shape, dtype=torch.int64)
        pixel_ids[valid.cpu()] = torch.from_numpy(ids)
        return reconstruction, instances_of_pixels(pixel_ids.to(views.images.device), MIN_POINTS)

    def _groups(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """(N, 3) each -> (N,) 1, 2, ... for what can be an object, 0 for the rest."""
        if len(points) == 0:
            return np.zeros(0, dtype=np.int64)
        _, first, cell = np.unique(np.floor(points / CELL_M).astype(np.int64), axis=0, return_index=True, return_inverse=True)
        cluster = self._cluster(points[first], normals[first])[cell.reshape(-1)]
        ids = np.zeros(len(points), dtype=np.int64)
        for index in range(int(cluster.max(initial=-1)) + 1):
            members = cluster == index
            if members.sum() >= MIN_POINTS and np.ptp(points[members], axis=0).max() <= MAX_EXTENT_M:
                ids[members] = ids.max() + 1
        return ids


class ClusteredFeatures:
    """What clustering makes of the features that masks are read from: HDBSCAN on the unit features of all pixels of all views, as
    IGGT does. The largest cluster is taken for what is no object. Names nothing."""

    def __init__(self, engine: MiniEngine) -> None:
        self.facts = EngineFacts(engine.facts.preprocess, device=engine.facts.device)
        self._engine = engine

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        outputs, reconstruction, _ = self._engine.outputs(views)
        if not isinstance(outputs, Fast3disMiniOutputs):
            raise ValueError(f"engine: expected {FAST3DIS}, whose masks are read from features, got another")
        features = torch.nn.functional.normalize(outputs.mask_features[0], dim=1).permute(0, 2, 3, 1)
        cluster = cluster_features(features.flatten(0, 2).numpy(force=True)).reshape(features.shape[:3])
        return reconstruction, instances_of_pixels(torch.from_numpy(cluster), MIN_POINTS // 16)


def cluster_features(features: np.ndarray) -> np.ndarray:
    """(N, C) unit features -> (N,) 1, 2, ... for clusters but the largest, 0 for that and for noise."""
    search = HDBSCAN(min_cluster_size=FEATURE_CLUSTER_SIZE, min_samples=FEATURE_NEIGHBOURS, copy=True)
    cluster = search.fit_predict(features)
    if cluster.max() < 0:
        return np.zeros(len(features), dtype=np.int64)
    rest = np.bincount(cluster[cluster >= 0]).argmax()
    return np.where((cluster < 0) | (cluster == rest), 0, cluster + 1).astype(np.int64)


class ViewsAlone:
    """The network on each view by itself: every mask of every view is an instance of its own."""

    def __init__(self, engine: Engine) -> None:
        self.facts = engine.facts
        self._engine = engine

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        results = [self._engine(views.select([index])) for index in range(views.num_views)]
        reconstructions, instances = zip(*results)
        geometry = {
            name: torch.cat([getattr(item, name) for item in reconstructions])
            for name in ("depth", "depth_conf", "intrinsics", "cam_from_world")
        }
        masks = [
            _in_view(item.mask_logits[:, 0], index, views.num_views) for index, item in enumerate(instances)
        ]  # (Q, S, hm, wm), outside of every other view
        joined = replace(
            instances[0],
            mask_logits=torch.cat(masks),
            class_logits=_joined(instances, "class_logits"),
            scores=torch.cat([item.scores for item in instances]),
            text_embeddings=_joined(instances, "text_embeddings"),
        )
        return replace(reconstructions[0], is_metric=all(item.is_metric for item in reconstructions), **geometry), joined


def _in_view(mask_logits: Tensor, index: int, num_views: int) -> Tensor:
    """(Q, hm, wm) -> (Q, S, hm, wm), certainly outside in all other views."""
    everywhere = mask_logits.new_full((len(mask_logits), num_views, *mask_logits.shape[1:]), -SATURATED_LOGIT)
    everywhere[:, index] = mask_logits
    return everywhere


def _joined(instances: tuple[InstanceSet, ...], name: str) -> Tensor | None:
    parts = [getattr(item, name) for item in instances]
    return None if any(part is None for part in parts) else torch.cat(parts)


def _true_depth_dbscan(config: ModelConfig) -> Engine:
    return ClusteredDepth(sensor_reconstruction, dbscan_points, EngineFacts(PREPROCESS, needs_depth=True))


def _network_depth_hdbscan(config: ModelConfig) -> Engine:
    network = build(config)
    facts = EngineFacts(network.facts.preprocess)
    return ClusteredDepth(lambda views: network(views)[0], hdbscan_surface, facts)


def _features_hdbscan(config: ModelConfig) -> Engine:
    return ClusteredFeatures(build(replace(config, name=FAST3DIS)))


def _views_alone(config: ModelConfig) -> Engine:
    return ViewsAlone(build(config))


# As `ENGINES`; `config.weights` is the checkpoint of the network, where there is one.
BASELINES: dict[str, Callable[[ModelConfig], Engine]] = {
    "true_depth_dbscan": _true_depth_dbscan,
    "network_depth_hdbscan": _network_depth_hdbscan,
    "features_hdbscan": _features_hdbscan,
    "views_alone": _views_alone,
}
