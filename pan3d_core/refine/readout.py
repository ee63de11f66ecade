"""What a refined map says: panoptic pictures of any camera, and a scene of Gaussians with objects to render, edit and view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.refine.model import CHUNK, Block, PanopticMap
from pan3d_core.refine.rendering import SURFACE_OPACITY, RenderChoices, render_view
from pan3d_core.refine.views import RefineView
from pan3d_core.rendering.project import Camera
from pan3d_core.structures import Gaussians

MIN_PROBABILITY = 0.5  # assumed: what belongs to its best query no more surely than this belongs to none


@dataclass(frozen=True)
class PanopticView:
    """One picture; ids are those of the map and hold in all views."""

    semantic_id: Tensor  # (H, W) int64 class in the map's labels, -1 = nothing was rendered
    instance_id: Tensor  # (H, W) int64, 0 = stuff or nothing
    color: Tensor  # (3, H, W) 0..1


@torch.no_grad()
def panoptic_view(model: PanopticMap, camera: Camera, choices: RenderChoices | None = None) -> PanopticView:
    """Class and object of every pixel by Bayes' rule, as PanopticRecon++ joins them: P(class, query) is proportional to
    S(class) I(query) P(class | query) for things, and to S(class) times the probability of no query for stuff. A pixel of an
    object then has the object's class: what is one thing is not two."""
    shown = render_view(model, camera, choices)
    shares, probs = shown.image.semantic_shares, shown.image.instance_probs
    of_query = model.class_logits(shown.queries).softmax(-1)[:, :-1]  # what is missing to 1 is no object
    things = torch.tensor(model.labels.is_thing, device=shares.device)
    free = (1 - probs * of_query.sum(-1)[:, None, None]).clamp_min(0).prod(0)  # that no query has the pixel
    stuff_rows, thing_rows = (~things).nonzero()[:, 0], things.nonzero()[:, 0]
    best = torch.full(camera.image_hw, -1.0, device=shares.device)
    semantic = torch.zeros(camera.image_hw, dtype=torch.int64, device=shares.device)
    instance = torch.zeros_like(semantic)
    if len(stuff_rows):
        best, row = (shares[stuff_rows] * free).max(0)
        semantic = stuff_rows[row]
    for rank, row in enumerate(thing_rows.tolist()):
        if len(shown.queries) == 0:
            break
        score, query = (shares[row] * probs * of_query[:, rank, None, None]).max(0)
        wins = score > best
        best = torch.where(wins, score, best)
        semantic = torch.where(wins, thing_rows[of_query.argmax(-1)[query]], semantic)
        instance = torch.where(wins, shown.queries[query] + 1, instance)
    if not len(stuff_rows):
        instance = torch.where(best > 0, instance, 0)
    seen = (shown.image.alpha >= SURFACE_OPACITY) & (best >= 0)
    return PanopticView(torch.where(seen, semantic, -1), torch.where(seen, instance, 0), shown.image.color.clamp(0, 1))


@torch.no_grad()
def query_classes(model: PanopticMap) -> Tensor:
    """(Q,) int64 most probable class of every query in the map's labels; -1 = no object, or pruned."""
    rows = torch.tensor([row for row, thing in enumerate(model.labels.is_thing) if thing] + [-1], device=model.means.device)
    best = model.class_logits(torch.arange(model.num_queries, device=model.means.device)).argmax(-1)
    return torch.where(model.alive, rows[best], -1)


@torch.no_grad()
def gaussian_ids(model: PanopticMap) -> Tensor:
    """(N,) int64 object of every Gaussian: its best query that is one, 1 + its row, where that is surer than a half; else 0."""
    queries = (query_classes(model) >= 0).nonzero()[:, 0]
    ids = torch.zeros(len(model.means), dtype=torch.int64, device=model.means.device)
    if len(queries) == 0:
        return ids
    for rows in torch.arange(len(ids), device=ids.device).split(CHUNK):
        best, column = model.attention(Block(rows, queries)).max(-1)
        ids[rows] = torch.where(best > MIN_PROBABILITY, queries[column] + 1, 0)
    return ids


@torch.no_grad()
def refined_scene(
    model: PanopticMap, views: Sequence[RefineView], *, is_metric: bool = True, world_frame_id: str = "world"
) -> GaussianScene:
    """The map as a scene to store, render, edit and view, on the CPU; objects are named by the classes of their queries."""
    ids, classes = gaussian_ids(model).cpu(), query_classes(model).tolist()
    made = model.gaussians()
    gaussians = Gaussians(*(getattr(made, name).cpu() for name in ("means", "scales", "quats_wxyz", "opacities", "colors")))
    names = {value: model.labels.name(classes[value - 1]) for value in ids.unique().tolist() if value > 0}
    return GaussianScene(
        gaussians=gaussians,
        instance_id=ids,
        names=names,
        cam_from_world=torch.stack([view.cam_from_world.cpu() for view in views]),
        intrinsics=torch.stack([view.intrinsics.cpu() for view in views]),
        image_hw=views[0].image_hw,
        is_metric=is_metric,
        world_frame_id=world_frame_id,
    )
