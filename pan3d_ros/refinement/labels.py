"""2D labels of the views that perception has understood, as a refinement takes them. No ROS in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from pan3d_core.config import PreprocessConfig
from pan3d_core.engines import EngineFacts
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.sources import (
    STUFF,
    UNNAMED,
    EngineLabelSettings,
    SceneLabels,
    in_label_space,
    labels_from_engine,
)
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch
from pan3d_ros.refinement.views import UnderstoodView

CERTAIN = 20.0  # logit of a pixel that belongs to a mask; what was published is not weighed again
AS_PUBLISHED = EngineLabelSettings(views_at_once=1, min_pixels=1)


def labels_for_refinement(views: Sequence[UnderstoodView]) -> SceneLabels:
    """The labels of the views, in one label space.

    The names in force may have changed between views, so classes are those of all of them; one that is a thing in any of
    them is a thing, and an object without a name is an `UNNAMED` one. What is no object is table or floor by its height, as
    `labels_from_engine` tells them apart; it is void where there is no depth or the support's height is not known.
    """
    kinds = [pair for view in views for pair in zip(view.labels.names, view.labels.is_thing, strict=True)]
    things = dict.fromkeys([*(name for name, is_thing in kinds if is_thing), UNNAMED])
    stuff = dict.fromkeys(name for name in (*(name for name, _ in kinds), *STUFF) if name not in things)
    labels = LabelSpace((*things, *stuff), (True,) * len(things) + (False,) * len(stuff))
    found = [_labels_of_view(view, tuple(things)) for view in views]
    return SceneLabels(labels, tuple(in_label_space(own, labels).views[0] for own in found))


def _labels_of_view(view: UnderstoodView, things: Sequence[str]) -> SceneLabels:
    return labels_from_engine(_Remembered.of(view, things), [view], view.support_height_m, AS_PUBLISHED)


@dataclass(frozen=True)
class _Remembered:
    """An engine that knows one view and answers what perception has published of it."""

    view: UnderstoodView
    facts: EngineFacts  # the view is at network size already

    @classmethod
    def of(cls, view: UnderstoodView, things: Sequence[str]) -> _Remembered:
        """With `UNNAMED` as one class more where the view's label space lacks it."""
        names = (*view.labels.names, *(() if UNNAMED in view.labels.names else (UNNAMED,)))
        height, width = view.image.shape[-2:]
        labels = LabelSpace(names, tuple(name in things for name in names))
        return cls(view, EngineFacts(PreprocessConfig(height=height, width=width), labels))

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        view = self.view
        depth = view.depth[None]
        made = Reconstruction(depth, torch.ones_like(depth), view.intrinsics[None], view.cam_from_world[None], is_metric=True)
        masks, classes = self._objects()
        columns = one_hot(classes, len(self.facts.labels) + 1).float()
        logits = torch.where(masks, CERTAIN, -CERTAIN)[:, None]
        return made, InstanceSet(logits, columns, torch.ones(len(masks)), self.facts.labels)

    def _objects(self) -> tuple[Tensor, Tensor]:
        """(M, H, W) bool and (M,) the class of most pixels of each."""
        view, unnamed = self.view, self.facts.labels.names.index(UNNAMED)
        ids = torch.tensor([value for value in view.instance_id.unique().tolist() if value > 0], dtype=torch.int64)
        masks = view.instance_id == ids[:, None, None]
        named = torch.where(view.semantic_id >= 0, view.semantic_id, unnamed)
        classes = [int(torch.bincount(named[mask]).argmax()) for mask in masks]
        return masks, torch.tensor(classes, dtype=torch.int64)
