"""What a planner is given of a cell: true surfaces, depth of cameras that err, or what an engine makes of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import ConvexHull, cKDTree

from pan3d_core.assembly.merging import merge_panoptic
from pan3d_core.assembly.ownership import own_pixels
from pan3d_core.config import MergeConfig, ModelConfig, PipelineConfig, PreprocessConfig, WorkspaceConfig
from pan3d_core.engines import build_engine
from pan3d_core.geometry.boxes import upright_box
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import InstanceSet, Panoptic3D, Reconstruction, Segment
from pan3d_core.views.preprocessing import preprocess
from pan3d_sim.cameras.depth_sensors import DepthSensor
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.objects.kinds import ObjectSpec
from pan3d_sim.objects.meshes import matrix_from_quat

LABELS = LabelSpace.things(("object",))
SURFACE_SPACING_M = 0.003
BURIED_M = 0.0025  # collision shapes follow the visible surface to about this
FAR_M = 0.03  # points further from every true surface show no object


@dataclass(frozen=True)
class SceneCloud:
    """A labelled cloud of a cell, and which of its instances shows which object."""

    panoptic: Panoptic3D
    id_of_object: dict[int, int]  # index in `cell.objects` -> instance id; those without one were not seen
    is_metric: bool = True


Look = Callable[[RobotCell], SceneCloud]


def true_cloud(cell: RobotCell) -> SceneCloud:
    """Points and outward normals sampled on the surfaces of all objects on the table: the visible ones of procedural objects,
    those of the convex pieces of modelled objects, which are what physics knows of them."""
    points, normals, ids, segments = [], [], [], []
    for index, (own_points, own_normals) in _true_surfaces(cell).items():
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
    """The product's cloud from the depth that sensors measure, and true labels."""
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


def look_by_engine(model: ModelConfig, sensor: DepthSensor | None) -> Look:
    """Build a pipeline that looks at cells.

    Args:
        model: Its engine.
        sensor: Of depth cameras; None = colour alone.

    Returns:
        Cell -> what the pipeline makes of one view set, without anything remembered.
    """
    pipelines: dict[float, PerceptionPipeline] = {}
    engine = build_engine(model)

    def look(cell: RobotCell) -> SceneCloud:
        height = cell.config.support_height_m
        if height not in pipelines:
            config = PipelineConfig(model=model, workspace=WorkspaceConfig(support_height_m=height))
            pipelines[height] = PerceptionPipeline(engine, config)
        result = pipelines[height].fresh().process(cell.views(depth=sensor is not None, noise=sensor))
        return SceneCloud(result.panoptic, ids_of_objects(cell, result.panoptic), result.is_metric)

    return look


def ids_of_objects(cell: RobotCell, panoptic: Panoptic3D) -> dict[int, int]:
    """Which instance a person would point at for each object: the one with the most points on its true surface.

    Args:
        cell: Knows the surfaces.
        panoptic: Of the cell, in its frame.

    Returns:
        Index in `cell.objects` -> instance id, for objects that any instance shows.
    """
    surfaces = _true_surfaces(cell)
    if not surfaces or len(panoptic.points) == 0:
        return {}
    owner = np.concatenate([np.full(len(points), index) for index, (points, _) in surfaces.items()])
    tree = cKDTree(np.concatenate([points for points, _ in surfaces.values()]))
    ids = panoptic.point_instance_id.numpy()
    # What is too far from everything gets the number of nobody, which is one more than there are points.
    nearest = np.asarray(tree.query(panoptic.points.numpy()[ids > 0], distance_upper_bound=FAR_M)[1])
    shown, ids = np.append(owner, -1)[nearest], ids[ids > 0]
    return {index: int(np.bincount(ids[shown == index]).argmax()) for index in surfaces if (shown == index).any()}


def _true_surfaces(cell: RobotCell) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Points and outward normals (N, 3) in the world of every object on the table."""
    rng, found = np.random.default_rng(cell.seed), {}
    for index, obj in enumerate(cell.objects):
        if index not in cell.removed:
            pose = cell.world_from_object(index)
            points, normals = _sample_surface(obj, rng)
            found[index] = points @ pose[:3, :3].T + pose[:3, 3], normals @ pose[:3, :3].T
    return found


def _segment(points: torch.Tensor, obj: ObjectSpec, instance_id: int) -> Segment:
    color = torch.tensor(obj.rgb, dtype=torch.float32)
    return Segment(instance_id, -1, 0.0, 1.0, len(points), 1, points.mean(0), upright_box(points, 0.0), color)


def _sample_surface(obj: ObjectSpec, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points, about one per `SURFACE_SPACING_M` squared, and unit normals, in the object's frame."""
    triangles = _piece_triangles(obj) if obj.pieces else _mesh_triangles(obj)
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area = 0.5 * np.linalg.norm(cross, axis=1)
    count = int(area.sum() / SURFACE_SPACING_M**2)
    chosen = rng.choice(len(triangles), count, p=area / area.sum())
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u)[:, None], np.where(u + v > 1, 1 - v, v)[:, None]
    corner = triangles[chosen]
    points = corner[:, 0] + u * (corner[:, 1] - corner[:, 0]) + v * (corner[:, 2] - corner[:, 0])
    outside = _depth_inside(points, obj) <= BURIED_M
    return points[outside], (cross[chosen] / (2 * area[chosen])[:, None])[outside]


def _mesh_triangles(obj: ObjectSpec) -> np.ndarray:
    """(T, 3, 3) corners of the visible triangles, counter-clockwise from outside."""
    return np.concatenate([part.mesh.vertices[part.mesh.faces] for part in obj.parts])


def _piece_triangles(obj: ObjectSpec) -> np.ndarray:
    """(T, 3, 3) corners of the faces of convex pieces, counter-clockwise from outside."""
    found = []
    for corners in obj.pieces:
        hull = ConvexHull(corners)
        triangles = corners[hull.simplices]
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        inward = np.einsum("ij,ij->i", normals, hull.equations[:, :3]) < 0
        found.append(np.where(inward[:, None, None], triangles[:, ::-1], triangles))
    return np.concatenate(found)


def _depth_inside(points: np.ndarray, obj: ObjectSpec) -> np.ndarray:
    """(N,) metres that points lie inside the solid, negative outside: one part may stand in another (pages in covers, a handle
    in a wall)."""
    deepest = np.full(len(points), -np.inf)
    for shape in obj.collision:
        local = np.abs((points - shape.position) @ matrix_from_quat(np.asarray(shape.quat_wxyz)))
        if shape.shape == "box":
            depth = (np.asarray(shape.size) - local).min(1)
        elif shape.shape == "cylinder":
            depth = np.minimum(shape.size[0] - np.hypot(local[:, 0], local[:, 1]), shape.size[1] - local[:, 2])
        else:
            half_length = shape.size[1] if shape.shape == "capsule" else 0.0
            axial = np.maximum(local[:, 2] - half_length, 0.0)
            depth = shape.size[0] - np.linalg.norm(np.stack([local[:, 0], local[:, 1], axial], axis=1), axis=1)
        deepest = np.maximum(deepest, depth)
    for corners in obj.pieces:
        faces = ConvexHull(corners).equations
        deepest = np.maximum(deepest, -(points @ faces[:, :3].T + faces[:, 3]).max(1))
    return deepest
