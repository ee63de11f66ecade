"""A small table with objects, seen exactly, as a scene to refine; and ways to spoil its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from raycast_scene import TABLE_SCENE, Ball, Block, camera_ring, cast
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_depth
from pan3d_core.refine.first_map.queries import QuerySettings, queries_from_masks
from pan3d_core.refine.losses import ViewLabels
from pan3d_core.refine.model import PanopticMap
from pan3d_core.refine.optimise import StepReport
from pan3d_core.refine.views import RefineView

LABELS = LabelSpace(("ball", "box", "table"), (True, True, False))
STEP = 2  # every second pixel of the ray-cast images: 56 x 72


def table_views(
    count: int = 6, objects: tuple[Ball | Block, ...] = TABLE_SCENE
) -> tuple[list[RefineView], tuple[Tensor, Tensor]]:
    """Views whose labels are true, and the truth: (semantic_id, instance_id), each (V, 56, 72), ids holding over all views."""
    scene = cast(objects, camera_ring(count, arc_deg=300.0), focal=210.0)
    kinds = torch.tensor([2, *(0 if isinstance(item, Ball) else 1 for item in objects)])
    ids = scene.ids[:, ::STEP, ::STEP].contiguous()
    smaller = torch.diag(torch.tensor([1 / STEP, 1 / STEP, 1.0]))  # the first pixel stays the first
    views = []
    for index, view in enumerate(scene.views):
        depth = scene.depth[index, ::STEP, ::STEP].contiguous()
        ids[index][depth > 2] = 0
        image = view.image[:, ::STEP, ::STEP].contiguous()
        labels = labels_of(image, kinds[ids[index]], ids[index])
        views.append(RefineView(labels, smaller @ view.intrinsics, view.cam_from_world, torch.where(depth < 2, depth, 0.0)))
    return views, (kinds[ids], ids)


def labels_of(image: Tensor, semantics: Tensor, ids: Tensor) -> ViewLabels:
    """Labels that say what maps of classes and ids say."""
    present = [value for value in ids.unique().tolist() if value > 0]
    masks = torch.stack([ids == value for value in present]).float() if present else torch.zeros(0, *ids.shape)
    class_id = torch.tensor([int(semantics[ids == value].mode().values) for value in present], dtype=torch.int64)
    return ViewLabels(image, semantics, masks, class_id)


def spoiled(views: list[RefineView], seed: int = 0, wrong: float = 0.2, dropped: float = 0.2) -> list[RefineView]:
    """Labels as a poor 2D model gives them: some objects of some views of another class, some not found and called table."""
    generator = torch.Generator().manual_seed(seed)
    out = []
    for view in views:
        labels = view.labels
        semantics, class_id, kept = labels.semantics.clone(), labels.class_id.clone(), []
        for row, mask in enumerate(labels.masks):
            chance, order = float(torch.rand((), generator=generator)), mask > 0.5
            if chance < dropped:
                semantics[order] = 2
                continue
            if chance < dropped + wrong:
                class_id[row] = 1 - class_id[row]
                semantics[order] = class_id[row]
            kept.append(row)
        changed = replace(labels, semantics=semantics, masks=labels.masks[kept], class_id=class_id[kept])
        out.append(replace(view, labels=changed))
    return out


def table_map(views: list[RefineView], voxel_m: float = 0.012, queries: int = 8) -> PanopticMap:
    """A map of the views' depth with one query per object that their masks show, and some more."""
    gaussians = gaussians_from_depth(views, SurfaceSettings(voxel_m=voxel_m))
    seeds = queries_from_masks(views, [view.depth for view in views], gaussians.means, QuerySettings(count=queries))
    return PanopticMap(gaussians, seeds, LABELS)


class Interrupted(Exception):
    """What ends a run in the middle, as a lost process would."""


def interrupt_at(step: int) -> Callable[[StepReport], None]:
    """A report's receiver that ends the run once `step` is done."""

    def receive(report: StepReport) -> None:
        if report.step == step:
            raise Interrupted

    return receive
