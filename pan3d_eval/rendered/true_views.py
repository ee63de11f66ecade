"""What the views of a scene show, at the pixels of an engine, in its classes; and the same views in the engine's world.

On a table what shows no object is told apart by its height, and named by the caller: the support, and what is below it. Where a
data set names walls and floors itself (`RegionTruth`), its names are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.geometry.alignment import fit_cameras
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import Reconstruction, ViewBatch
from pan3d_core.views.sampling import sample_at_network
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.rendered.gaussians import TrueViews

STUFF = ("table", "floor")  # the words for a support and for what is below it, where nobody says others
TABLE_THICKNESS_M = 0.05
MIN_BASELINE = 1e-6  # of context cameras in the engine's unit


@dataclass(frozen=True)
class ClassList:
    """The classes that are told apart among a data set's names."""

    labels: LabelSpace
    other: str = ""  # the class of every other name; empty = what is called otherwise counts as not annotated

    def class_of(self, name: str) -> int:
        """Index into `labels`, -1 = not annotated."""
        known = name if name in self.labels.names else self.other
        return self.labels.names.index(known) if known else -1

    @classmethod
    def of_scene(cls, scene: Scene) -> ClassList:
        """Every name that the data set gives in a scene; things are those of its objects. `ValueError` where it names nothing."""
        truth = scene.known_truth()
        if truth.regions is None:
            raise ValueError(f"scene {scene.name}: expected a data set that names what every pixel shows, got none")
        objects = {item.instance_id for item in truth.objects}
        thing: dict[str, bool] = {}
        for number, name in sorted(truth.regions.names.items()):
            thing[name] = thing.get(name, False) or number in objects
        return cls(LabelSpace(tuple(thing), tuple(thing.values())))


def region_truth(scene: Scene, batch: ViewBatch, classes: ClassList) -> TrueViews:
    """What the views of `batch` show of a data set's regions, at its pixels, all of them novel; ids are the data set's.

    Raises `ValueError` for a scene of which nobody says what all pixels show, or without cameras.
    """
    regions = scene.known_truth().regions
    if regions is None or batch.intrinsics is None or batch.cam_from_world is None:
        raise ValueError(f"scene {scene.name}: expected names of all regions and cameras of every view, got less")
    sampled = zip(regions.ids, batch.network_from_original, strict=True)
    ids = torch.stack([sample_at_network(item, mapping, batch.hw) for item, mapping in sampled]).long()
    of_id = torch.full((max(int(ids.max()), *regions.names, 0) + 1,), -1)
    for number, name in regions.names.items():
        of_id[number] = classes.class_of(name)
    of_id[0] = -1
    return TrueViews(
        cam_from_world=batch.cam_from_world,
        intrinsics=batch.intrinsics,
        images=batch.images,
        semantic_id=of_id[ids],
        instance_id=ids,
        is_novel=torch.ones(len(ids), dtype=torch.bool),
    )


def tabletop_truth(scene: Scene, batch: ViewBatch, surfaces: tuple[str, str] = STUFF) -> tuple[TrueViews, LabelSpace]:
    """What the views of `batch` show, at its pixels, all of them novel; and the classes: those of the scene, then `surfaces`.

    Pixels with depth and without an object are the first of `surfaces` where their point is above `support_height_m -
    TABLE_THICKNESS_M`, the second below; those without depth are void. Objects without class have a number all the same. Numbers
    of stuff follow those of the objects.
    """
    known = scene.known_truth()
    labels = LabelSpace((*known.labels.names, *surfaces), (*known.labels.is_thing, *(False for _ in surfaces)))
    depths = [depth for depth in known.depth if depth is not None]
    maps = [
        [sample_at_network(item, mapping, batch.hw) for item, mapping in zip(per_view, batch.network_from_original, strict=True)]
        for per_view in (known.instance_ids, depths)
    ]
    ids, depth = (torch.stack(values) for values in maps)
    if scene.support_height_m is None or batch.intrinsics is None or batch.cam_from_world is None:
        raise ValueError(f"scene {scene.name}: expected cameras of every view and the height of the support, got less")
    height = unproject_depth(depth, batch.intrinsics, batch.cam_from_world)[..., 2]
    stuff = stuff_regions(ids, depth, height, scene.support_height_m)
    highest = int(ids.max())
    class_of_id = torch.full((highest + 1,), -1)
    for item in known.objects:
        if item.instance_id <= highest:
            class_of_id[item.instance_id] = item.class_id
    truth = TrueViews(
        cam_from_world=batch.cam_from_world,
        intrinsics=batch.intrinsics,
        images=batch.images,
        semantic_id=torch.where(stuff > 0, len(known.labels) + stuff - 1, class_of_id[ids]),
        instance_id=torch.where(stuff > 0, highest + stuff, ids),
        is_novel=torch.ones(len(ids), dtype=torch.bool),
    )
    return truth, labels


def stuff_regions(ids: Tensor, depth: Tensor, height: Tensor, support_height_m: float) -> Tensor:
    """(V, h, w) int64: 1 where true depth shows the support and no object, 2 where it shows what is below, else 0. `height`:
    world z of the pixels' points."""
    free = (ids == 0) & (depth > 0)
    stuff = torch.where(height > support_height_m - TABLE_THICKNESS_M, 1, 2)
    return torch.where(free, stuff, 0)


def in_world_of(reconstruction: Reconstruction, truth: TrueViews, context: Sequence[int]) -> tuple[TrueViews, float]:
    """The same views with cameras in the reconstruction's world, on its device: its own for `context`, the true ones moved by a
    similarity for the others, which become novel. Also the RMS distance of the context cameras after that similarity."""
    device, chosen = reconstruction.cam_from_world.device, list(context)
    true_cameras = truth.cam_from_world.cpu()
    fit = fit_cameras(true_cameras[chosen], reconstruction.cam_from_world.cpu(), MIN_BASELINE)
    cameras = fit.similarity.apply_to_cameras(true_cameras).to(device)
    intrinsics, is_novel = truth.intrinsics.to(device).clone(), torch.ones(len(cameras), dtype=torch.bool, device=device)
    cameras[chosen], intrinsics[chosen] = reconstruction.cam_from_world, reconstruction.intrinsics
    is_novel[chosen] = False
    moved = TrueViews(
        cam_from_world=cameras,
        intrinsics=intrinsics,
        images=truth.images.to(device),
        semantic_id=truth.semantic_id.to(device),
        instance_id=truth.instance_id.to(device),
        is_novel=is_novel,
    )
    return moved, fit.residual_m
