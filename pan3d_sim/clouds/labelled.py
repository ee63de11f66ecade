"""Labelled clouds of a cell, as planners are given them: true surfaces, or the depth of cameras that err."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from pan3d_core.assembly.merging import merge_panoptic
from pan3d_core.assembly.ownership import own_pixels
from pan3d_core.config import MergeConfig, PreprocessConfig
from pan3d_core.geometry.boxes import upright_box
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import InstanceSet, Panoptic3D, Reconstruction, Segment
from pan3d_core.views.preprocessing import preprocess
from pan3d_sim.cameras.depth_sensors import DepthSensor
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.clouds.true_surfaces import true_surfaces
from pan3d_sim.objects.kinds import ObjectSpec

LABELS = LabelSpace.things(("object",))
FAR_M = 0.03  # points further from every true surface show no object


@dataclass(frozen=True)
class SceneCloud:
    """A labelled cloud of a cell, and which of its instances shows which object."""

    panoptic: Panoptic3D
    id_of_object: dict[int, int]  # index in `cell.objects` -> instance id; those without one were not seen
    is_metric: bool = True


Look = Callable[[RobotCell], SceneCloud]


def true_cloud(cell: RobotCell) -> SceneCloud:
    """Sample the surfaces of all objects on the table.

    Args:
        cell: Of procedural objects the visible surfaces count, of modelled ones those of the convex pieces, which physics knows.

    Returns:
        The cloud, with outward normals.
    """
    points, normals, ids, segments = [], [], [], []
    for index, (own_points, own_normals) in true_surfaces(cell).items():
        points.append(own_points)
        normals.append(own_normals)
        ids.append(np.full(len(own_points), index + 1))
        segments.append(_segment(torch.from_numpy(own_points).float(), cell.objects[index], index + 1))
    empty = torch.zeros(1, 1, 1, dtype=torch.int64)
    panoptic = Panoptic3D(
        semantic_id=empty - 1,
        instance_id=empty,
        segments=tuple(segments),
        points=torch.from_numpy(np.concatenate(points)).float(),
        point_colors=torch.full((sum(map(len, points)), 3), 0.5),
        point_instance_id=torch.from_numpy(np.concatenate(ids)),
        point_normals=torch.from_numpy(np.concatenate(normals)).float(),
        labels=LABELS,
    )
    return SceneCloud(panoptic, {segment.instance_id - 1: segment.instance_id for segment in segments})


def cloud_from_views(cell: RobotCell, sensor: DepthSensor) -> SceneCloud:
    """Merge what depth cameras measure as the product does, with true labels.

    Args:
        cell: With its cameras.
        sensor: Whose errors the depth has.

    Returns:
        The cloud.
    """
    views = preprocess(
        cell.views(noise=sensor), PreprocessConfig(height=240, width=320, mode="cover"), cell.config.support_height_m
    )
    present = [index for index in range(len(cell.objects)) if (cell.instance_ids == index + 1).any()]
    ids = torch.from_numpy(cell.instance_ids)
    # Scores fall with the row, so that the merge numbers the instances in this order.
    scores = torch.linspace(1.0, 0.9, len(present))
    logits = torch.stack([torch.where(ids == index + 1, 12.0, -12.0) for index in present])
    instances = InstanceSet(logits, None, scores, LABELS)
    if views.depth is None or views.intrinsics is None or views.cam_from_world is None:
        raise ValueError("cell: expected depth, intrinsics and pose of every view, got views without")
    reconstruction = Reconstruction(views.depth, torch.ones_like(views.depth), views.intrinsics, views.cam_from_world, True)
    panoptic = merge_panoptic(reconstruction, own_pixels(instances, views.hw, MergeConfig().mask_threshold), views)
    return SceneCloud(panoptic, ids_of_objects(cell, panoptic))


def ids_of_objects(cell: RobotCell, panoptic: Panoptic3D) -> dict[int, int]:
    """Which instance a person would point at for each object: the one with the most points on its true surface.

    Args:
        cell: Knows the surfaces.
        panoptic: Of the cell, in its frame.

    Returns:
        Index in `cell.objects` -> instance id, for objects that any instance shows.
    """
    surfaces = true_surfaces(cell)
    if not surfaces or len(panoptic.points) == 0:
        return {}
    owner = np.concatenate([np.full(len(points), index) for index, (points, _) in surfaces.items()])
    tree = cKDTree(np.concatenate([points for points, _ in surfaces.values()]))
    ids = panoptic.point_instance_id.numpy()
    # What is too far from everything gets the number of nobody, which is one more than there are points.
    nearest = np.asarray(tree.query(panoptic.points.numpy()[ids > 0], distance_upper_bound=FAR_M)[1])
    shown, ids = np.append(owner, -1)[nearest], ids[ids > 0]
    return {index: int(np.bincount(ids[shown == index]).argmax()) for index in surfaces if (shown == index).any()}


def _segment(points: torch.Tensor, obj: ObjectSpec, instance_id: int) -> Segment:
    color = torch.tensor(obj.rgb, dtype=torch.float32)
    return Segment(instance_id, -1, 0.0, 1.0, len(points), 1, points.mean(0), upright_box(points, 0.0), color)
