"""Results of the pipeline on the vertices of a data set's scan, by the two transfers that the benchmarks' papers use.

`posed`: the segments' masks are read off at the vertices with the *true* cameras; predicted geometry takes no part.
`unposed`: the predicted points vote, after one similarity between predicted and true cameras; only measured where the poses
were withheld. The two are different experiments and never stand in one column.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_grid
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import InstanceSet, Panoptic3D, PerceptionResult, Reconstruction, ViewBatch
from pan3d_core.views.scan_truth import MeshTruth
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.metrics.average_precision import SceneOverlaps
from pan3d_eval.protocols.posed import PosedMasks, posed_transfer
from pan3d_eval.protocols.unposed import UnposedMasks, unposed_transfer

INVALID_LABEL = 0  # of segments whose class the data set does not score
MASKS_AT_ONCE = 32  # on depth images of 640 x 480 of a hundred views these take a gigabyte


@dataclass(frozen=True)
class MeshOverlaps:
    """One scene's overlaps on the mesh, for `instance_ap`; None where that experiment cannot be made."""

    posed: SceneOverlaps | None = None  # class-agnostic: every segment counts
    posed_named: SceneOverlaps | None = None  # only segments that are named as a class of the data set
    unposed: SceneOverlaps | None = None
    unposed_named: SceneOverlaps | None = None


def mesh_overlaps(result: PerceptionResult, scene: Scene, *, poses_given: bool) -> MeshOverlaps:
    """Measure the segments of one result against the scan of its scene.

    Args:
        result: Of all views of the scene.
        scene: With truth.
        poses_given: Whether the pipeline was told the poses; where not, the unposed transfer is measured too.

    Returns:
        Nothing where the scene has no scan, or its views no poses.

    Raises:
        ValueError: Depth images of the scan differ in size, or predicted camera centres leave the similarity open.
    """
    truth, cameras, panoptic = scene.truth, scene.cameras(), result.panoptic
    mesh = None if truth is None else truth.mesh
    if truth is None or mesh is None or cameras is None:
        return MeshOverlaps()
    scores = torch.tensor([item.score for item in panoptic.segments])
    labels = segment_labels(panoptic, truth.labels, mesh)
    posed = posed_named = unposed = unposed_named = None
    if any(depth is not None for depth in mesh.sensor_depth):
        masks = masks_on_depth_images(_segment_masks(panoptic), result.views, scene, mesh)
        moved = posed_transfer(masks, cameras, mesh, by_superpoint=mesh.superpoints is not None)
        posed = moved.overlaps(scores, mesh, walk="score")
        posed_named = moved.overlaps(scores, mesh, labels, walk="score")
    if not poses_given and len(cameras) > 2:
        index = {item.instance_id: row for row, item in enumerate(panoptic.segments)}
        numbers = torch.full((max(index, default=0) + 1,), -1)
        numbers[list(index)] = torch.tensor(list(index.values()), dtype=numbers.dtype)
        voted = unposed_masks(result.reconstruction, numbers[panoptic.instance_id.cpu()], len(index), scene)
        unposed = voted.overlaps(scores, mesh, walk="score")
        unposed_named = voted.overlaps(scores, mesh, labels, walk="score")
    return MeshOverlaps(posed, posed_named, unposed, unposed_named)


def unposed_masks(reconstruction: Reconstruction, owner: Tensor, num_owners: int, scene: Scene) -> UnposedMasks:
    """Let the points of a reconstruction vote at the vertices of the scan for their owners: (S, h, w) int64, -1 = none.

    Raises `ValueError` for a scene without scan or poses, and where the predicted camera centres leave the similarity open.
    """
    mesh, cameras = scan_of(scene)
    seen = reconstruction.depth.cpu() > 0
    points, found = reconstruction.world_points.cpu()[seen], reconstruction.cam_from_world.cpu()
    return unposed_transfer(points, owner[seen], num_owners, found, cameras, mesh.vertices)


def query_overlaps(instances: InstanceSet, views: ViewBatch, scene: Scene) -> SceneOverlaps:
    """Measure as SegVGGT scores itself: an engine's own query masks, which may overlap, posed transfer, class-agnostic.

    Args:
        instances: Q masks in the S views.
        views: As the engine saw them.
        scene: Where they are from, with a scan.

    Returns:
        For `instance_ap`.

    Raises:
        ValueError: The scene has no scan, no poses or no sensor depth.
    """
    mesh, _ = scan_of(scene)
    return posed_query_masks(instances, views, scene).overlaps(instances.scores.cpu(), mesh, walk="score")


def scan_of(scene: Scene) -> tuple[MeshTruth, Tensor]:
    """The scan of a scene and its (S, 4, 4) true cameras. `ValueError` where there is no scan or no pose."""
    mesh, cameras = None if scene.truth is None else scene.truth.mesh, scene.cameras()
    if mesh is None or cameras is None:
        raise ValueError(f"scene {scene.name}: expected a scan and poses to measure against, got none")
    return mesh, cameras


def posed_query_masks(instances: InstanceSet, views: ViewBatch, scene: Scene) -> PosedMasks:
    """Carry an engine's own masks to the vertices of the scan by the posed transfer, a few at a time; what its logits call inside
    is inside. Superpoints vote where there are such.

    Raises `ValueError` as `query_overlaps`.
    """
    mesh, cameras = scan_of(scene)
    inside = instances.mask_logits.cpu() > 0
    parts = [
        posed_transfer(masks_on_depth_images(rows, views, scene, mesh), cameras, mesh, by_superpoint=mesh.superpoints is not None)
        for rows in (inside.split(MASKS_AT_ONCE) if len(inside) else [inside])
    ]
    return replace(parts[0], masks=torch.cat([part.masks for part in parts]))


def masks_on_depth_images(masks: Tensor, views: ViewBatch, scene: Scene, mesh: MeshTruth) -> Tensor:
    """(Q, S, h, w) masks or probabilities over the network's images -> (Q, S, Hd, Wd) over those of the sensor's depth.

    Image and depth image are taken to show the same part of the world, as the published protocol does. What the network did
    not see (its images may be cut) is in no mask. All depth images must have one size.
    """
    sizes = {tuple(depth.shape) for depth in mesh.sensor_depth if depth is not None}
    if len(sizes) != 1:
        raise ValueError(f"mesh.sensor_depth: expected images of one size, got {sorted(sizes) or 'none'}")
    ((height, width),) = sizes
    moved = masks.new_zeros((*masks.shape[:2], height, width))
    for index, (view, mapping) in enumerate(zip(scene.views, views.network_from_original)):
        full = torch.tensor([view.image.shape[2] / width, view.image.shape[1] / height], dtype=torch.float64)
        original = (pixel_grid(height, width, dtype=torch.float64).reshape(-1, 2) + 0.5) * full - 0.5
        mapping = mapping.double().cpu()
        network = original @ mapping[:2, :2].T + mapping[:2, 2]
        to_mask = torch.tensor([masks.shape[3] / views.hw[1], masks.shape[2] / views.hw[0]], dtype=torch.float64)
        place = torch.floor((network + 0.5) * to_mask + 1e-9).long()
        inside = (place >= 0).all(1) & (place[:, 0] < masks.shape[3]) & (place[:, 1] < masks.shape[2])
        x, y = place[:, 0].clamp(0, masks.shape[3] - 1), place[:, 1].clamp(0, masks.shape[2] - 1)
        moved[:, index] = (masks[:, index, y, x] * inside).reshape(-1, height, width)
    return moved


def segment_labels(panoptic: Panoptic3D, labels: LabelSpace, mesh: MeshTruth) -> Tensor:
    """(P,) the data set's label number of each segment's class name, `INVALID_LABEL` for names that it does not score."""
    names = {labels.names[index]: number for number, index in mesh.class_of_label.items()}
    found = [names.get(panoptic.labels.name(item.class_id), INVALID_LABEL) for item in panoptic.segments]
    return torch.tensor(found, dtype=torch.int64)


def _segment_masks(panoptic: Panoptic3D) -> Tensor:
    """(P, S, h, w) bool."""
    ids = panoptic.instance_id.cpu()
    wanted = torch.tensor([item.instance_id for item in panoptic.segments], dtype=ids.dtype)
    return ids[None] == wanted[:, None, None, None]
