"""Held-out figures of EPS3D at both sizes, cheap enough to run during training: rendered semantics, instances and colour.

Beside `pan3d_eval/rendered/gaussians.py`, which judges Gaussians that are stored, by its program: this judges a network in
training, from batches of shards, by the rendering that its losses use (cameras in the network's frame, semantics read by its own
decoder). The metrics are the same functions; panoptic quality is left out, and colour is one PSNR per scene and kind of view.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pan3d_core.models.eps3d.heads import TextDecoder
from pan3d_core.models.eps3d.network import PanopticRendering
from pan3d_core.models.eps3d.readout import read_by_cells
from pan3d_core.models.mini.eps3d import Eps3dMini
from pan3d_core.pictures.overlays import montage, to_picture
from pan3d_core.pictures.palette import instance_palette
from pan3d_eval.metrics.cross_view import CrossViewInstances, cross_view_instances, mean_cross_view
from pan3d_eval.metrics.semantics import pooled_semantic_scores, semantic_confusion
from training.data.arrays import SceneBatch, ShardSet
from training.data.augment import first_views, plain_inputs
from training.data.targets.teachers import CellTeacher, cell_classes, stuff_ids
from training.data.targets.text import TextTargets
from training.losses.eps3d_mini import rendered_views, target_cameras
from training.run.devices import to_device

CONTEXT_VIEWS = 3  # of the four of a scene; the last one is novel


@dataclass(frozen=True)
class Eps3dFigures:
    """Of the kinds, table and floor; instances of objects, table and floor over the views together (Unified-Lift)."""

    scenes: int
    objects: int  # true regions, table and floor among them, in the views that the network saw
    semantic_miou: float  # rendered into the views that the network saw, pooled
    semantic_accuracy: float
    instance_miou: float
    instance_f: float
    psnr_db: float
    novel_semantic_miou: float  # into the view that it did not see; NaN without poses
    novel_semantic_accuracy: float
    novel_instance_miou: float
    novel_instance_f: float
    novel_psnr_db: float
    gaussians: float  # mean number


@dataclass(frozen=True)
class ViewFigures:
    """Of one kind of view, pooled over scenes."""

    semantic_miou: float
    semantic_accuracy: float
    instance_miou: float
    instance_f: float
    psnr_db: float


class ViewSums:
    """Running sums over scenes for one kind of view."""

    def __init__(self) -> None:
        self.confusions: list[np.ndarray] = []
        self.instances: list[CrossViewInstances] = []
        self.psnr: list[float] = []

    def add(self, colors: Tensor, ids: Tensor, truth: tuple[Tensor, Tensor, Tensor], logits: Tensor) -> None:
        """Rendered colours (V, 3, H, W), read instances (V, H, W), true images, classes and ids, logits (V, T, H, W) of texts."""
        images, classes, true_ids = truth
        self.confusions += [semantic_confusion(p, t, logits.shape[1]) for p, t in zip(logits.argmax(1), classes)]
        self.instances.append(cross_view_instances(ids, true_ids))
        self.psnr.append(-10 * math.log10(float((colors.clamp(0, 1) - images).square().mean())))

    def figures(self) -> ViewFigures:
        """NaN where nothing was seen."""
        if not self.confusions:
            return ViewFigures(math.nan, math.nan, math.nan, math.nan, math.nan)
        scores, found = pooled_semantic_scores(self.confusions), mean_cross_view(self.instances)
        return ViewFigures(scores.miou, scores.accuracy, found.miou, found.f_score, float(np.mean(self.psnr)))


def class_texts(text: TextTargets, stuff: Tensor) -> Tensor:
    """(kinds + 2, text_dim): the mean of each kind's names, and the words for stuff."""
    named = text.is_name()
    means = [text.embeddings[named & (text.kind == k)].mean(0) for k in range(len(text.kinds))]
    return torch.nn.functional.normalize(torch.cat([torch.stack(means), stuff]), dim=-1)


@dataclass(frozen=True)
class ShownScene:
    """One held-out scene as the model renders it: the context first, then, with poses, the novel view."""

    batch: SceneBatch
    views: PanopticRendering
    num_gaussians: int
    context: int = CONTEXT_VIEWS  # how many of the views the model saw


@torch.no_grad()
def show_scene(model: Eps3dMini, shards: ShardSet, index: int, *, posed: bool) -> ShownScene:
    """Scene `index` from its first `CONTEXT_VIEWS` views."""
    batch = shards.batch(np.array([index]), [np.arange(shards.num_views)])
    inputs = first_views(plain_inputs(batch, posed=posed), CONTEXT_VIEWS)
    outputs = model(to_device(inputs, next(model.parameters()).device))
    moved = to_device(batch, outputs.cam_from_scene.device)
    cameras = target_cameras(outputs, moved, 0, posed=posed)
    views = rendered_views(outputs, moved, 0, (cameras, range(len(cameras))))
    return ShownScene(batch, views, len(outputs.gaussians[0]))


@torch.no_grad()
def rendered_figures(
    show: Callable[[int], ShownScene], decoder: TextDecoder, count: int, text: TextTargets, teacher: CellTeacher
) -> Eps3dFigures:
    """Figures over the scenes 0 to `count` - 1 as `show` gives them, rendered semantics being read by `decoder`."""
    texts = class_texts(text, teacher.stuff_embeddings).to(decoder.expand.weight.device)
    context, novel, gaussians = ViewSums(), ViewSums(), []
    for index in range(count):
        shown = show(index)
        batch, views = shown.batch, shown.views
        gaussians.append(shown.num_gaussians)
        logits = decoder.logits(views.semantics, texts).cpu()
        classes, stuff = cell_classes(batch, len(text.kinds))[0], stuff_ids(batch)[0]
        things = torch.where(batch.void[0], 0, batch.ids[0])
        true_ids = torch.where(stuff > 0, batch.kinds.shape[1] + stuff, things)
        read = read_by_cells(views.instances, torch.Generator().manual_seed(index)).instance_id.cpu()
        for sums, chosen in ((context, slice(0, shown.context)), (novel, slice(shown.context, len(read)))):
            if len(read[chosen]):
                truth = (batch.images[0][: len(read)][chosen], classes[: len(read)][chosen], true_ids[: len(read)][chosen])
                sums.add(views.colors[chosen].cpu(), read[chosen], truth, logits[chosen])
    objects = sum(scene.num_true for scene in context.instances)
    seen, unseen = context.figures(), novel.figures()
    return Eps3dFigures(
        len(gaussians), objects,
        semantic_miou=seen.semantic_miou, semantic_accuracy=seen.semantic_accuracy, instance_miou=seen.instance_miou,
        instance_f=seen.instance_f, psnr_db=seen.psnr_db,
        novel_semantic_miou=unseen.semantic_miou, novel_semantic_accuracy=unseen.semantic_accuracy,
        novel_instance_miou=unseen.instance_miou, novel_instance_f=unseen.instance_f, novel_psnr_db=unseen.psnr_db,
        gaussians=float(np.mean(gaussians or [0])),
    )  # fmt: skip


def evaluate_eps3d(
    model: Eps3dMini, shards: ShardSet, text: TextTargets, teacher: CellTeacher, *, scenes: int, posed: bool
) -> Eps3dFigures:
    """Measure `pan3d-mini-eps3d` on held-out scenes; it is left in evaluation mode.

    Args:
        model: The network.
        shards: Held-out scenes.
        text: Embedded descriptions of the kinds.
        teacher: Classes and texts of the cell's truth.
        scenes: How many of the first scenes.
        posed: Whether the cameras are given.

    Returns:
        Figures of the views that the network saw and of those that it did not.
    """
    model.eval()
    show = partial(show_scene, model, shards, posed=posed)
    return rendered_figures(show, model.text_decoder, min(scenes, len(shards)), text, teacher)


def scene_picture(shown: ShownScene, decoder: TextDecoder, texts: Tensor) -> np.ndarray:
    """Rows: images, rendered colour, read instances, classes; one column per view, novel ones last."""
    views, images = shown.views, shown.batch.images[0]
    read = read_by_cells(views.instances, torch.Generator().manual_seed(0)).instance_id.cpu()
    classes = decoder.logits(views.semantics, texts.to(views.semantics.device)).argmax(1).cpu()
    rows = [to_picture(image) for image in (*images, *views.colors.cpu().clamp(0, 1))]
    for ids in (read, classes + 1):
        palette = instance_palette(int(ids.max()))
        rows += list(palette[ids.numpy()])
    return montage(rows, columns=len(images), gap=2)
