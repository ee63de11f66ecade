"""Objects as single proposers see them, and the labels that a map of the scene is refined from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.engines import Engine
from pan3d_core.labelling.places import places_of_depth, shown_places
from pan3d_core.labelling.teachers import LoadedTeacher
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.sources import (
    STUFF,
    UNNAMED,
    VOID,
    EngineLabelSettings,
    SceneLabels,
    labels_from_engine,
    maps_of_labels,
)
from pan3d_core.refine.losses import ViewLabels
from pan3d_core.structures import CameraView, unit_range

# What a map is asked: where an object is, and where none; what objects are called is decided from all views afterwards.
CLASSES = LabelSpace((UNNAMED, *STUFF), (True, *(False for _ in STUFF)))
OBJECT = 0
_COVERED = 0.5  # share of a mask that others have already, from which on it is no object of its own
MIN_PIXELS = 20  # of a mask in one view


@dataclass(frozen=True)
class Proposal:
    """What one proposer says of V views."""

    name: str  # of the proposer, for people
    ids: Tensor  # (V, H, W) int64, 0 = no object; ids are those of a view
    classes: tuple[dict[int, str], ...]  # per view: id -> what the proposer calls it; nothing for one that names nothing
    stuff: Tensor  # (V, H, W) int64 class of `CLASSES` where it is no object, -1 = it does not say
    by_others: bool = False  # what it says of a view comes from other views alone, so that it is a witness beside this one


def proposal_of(name: str, labels: SceneLabels) -> Proposal:
    """Make a proposal of 2D labels.

    Args:
        name: Of who labelled.
        labels: Of V views of one size.

    Returns:
        Its objects, with the names of their classes, and its table and floor.
    """
    ids, stuff, classes = [], [], []
    place = torch.tensor([CLASSES.names.index(item) if item in STUFF else VOID for item in labels.labels.names] + [VOID])
    for view in labels.views:
        semantics, owner = maps_of_labels(view)
        ids.append(owner)
        stuff.append(torch.where(owner > 0, VOID, place[semantics]))
        named = {row: labels.labels.name(value) for row, value in enumerate(view.class_id.tolist(), start=1)}
        classes.append({row: text for row, text in named.items() if text and text != UNNAMED})
    return Proposal(name, torch.stack(ids), tuple(classes), torch.stack(stuff))


def engine_proposal(
    name: str, engine: Engine, views: Sequence[CameraView], support_height_m: float, views_at_once: int
) -> Proposal:
    """Let an engine propose objects.

    Args:
        name: Of the engine.
        engine: One that finds objects.
        views: V of one size.
        support_height_m: World z of the surface that objects stand on, metres.
        views_at_once: How many it sees together.

    Returns:
        What it finds.
    """
    settings = EngineLabelSettings(views_at_once=views_at_once, min_pixels=MIN_PIXELS)
    return proposal_of(name, labels_from_engine(engine, views, support_height_m, settings))


def depth_proposal(name: str, engine: Engine, views: Sequence[CameraView], support_height_m: float) -> Proposal:
    """Let the depth of every other view propose what a view shows.

    Args:
        name: Of the engine.
        engine: `depth_clusters`.
        views: V of one size; at least one has depth.
        support_height_m: World z of the surface that objects stand on, metres.

    Returns:
        In the views of one half what depth of the other half shows; nothing where that has none.
    """
    measured = [row for row, view in enumerate(views) if view.depth is not None]
    halves = measured[::2], measured[1::2]
    ids = torch.zeros((len(views), *views[0].hw), dtype=torch.int64)
    for own, others in (halves, halves[::-1]):
        rows = [row for row in range(len(views)) if row in own or row not in measured]
        if others:
            places = places_of_depth(engine, [views[row] for row in others], support_height_m)
            ids[rows] = shown_places(places, [views[row] for row in rows]).ids
    return Proposal(name, ids, tuple({} for _ in views), torch.full_like(ids, VOID), by_others=True)


def teacher_proposal(teacher: LoadedTeacher, views: Sequence[CameraView]) -> Proposal:
    """Let a 2D model of others propose objects.

    Args:
        teacher: One whose masks are of whole objects.
        views: V of one size.

    Returns:
        What it finds, in every view by itself.

    Raises:
        ValueError: Its masks may be of anything; or its answer is wrong.
    """
    if not teacher.finds_objects:
        raise ValueError(f"teacher: expected one whose masks are of whole objects, got {teacher.name}")
    made = [teacher(unit_range(view.image).cpu(), f"view {index} ({view.camera})") for index, view in enumerate(views)]
    return proposal_of(teacher.name, SceneLabels(teacher.labels, tuple(made)))


def joined(views: Sequence[CameraView], proposals: Sequence[Proposal]) -> SceneLabels:
    """Join proposals to labels of the views: an object that any of them sees is one, an earlier one says where it ends.

    Args:
        views: V.
        proposals: At least one, the one with the better outlines first.

    Returns:
        Labels in `CLASSES`; where nobody says anything they are void.
    """
    made = []
    for index, view in enumerate(views):
        owner, stuff = torch.zeros(view.hw, dtype=torch.int64), torch.full(view.hw, VOID)
        for proposal in proposals:
            stuff = torch.where(stuff >= 0, stuff, proposal.stuff[index])
            ids = proposal.ids[index]
            for value in ids.unique().tolist():
                mask = ids == value
                free = mask & (owner == 0)
                if value and free.sum() >= MIN_PIXELS and free.sum() > _COVERED * mask.sum():
                    owner = torch.where(free, int(owner.max()) + 1, owner)
        rows = torch.arange(1, int(owner.max()) + 1)
        claimed = torch.stack([proposal.ids[index] > 0 for proposal in proposals]).any(0)
        # What somebody takes for a piece of an object is not taught as table, whoever owns it.
        semantics = torch.where(owner > 0, OBJECT, torch.where(claimed, VOID, stuff))
        masks = owner[None] == rows[:, None, None]
        made.append(ViewLabels(unit_range(view.image), semantics, masks, torch.full((len(rows),), OBJECT)))
    return SceneLabels(CLASSES, tuple(made))
