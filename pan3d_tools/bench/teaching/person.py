"""A simulated person who goes through labelled objects and sees what is true, for `pan3d bench teach --labels`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.labelling import LabelledScene
from pan3d_core.labelling.review import Click, Place, Review, Shown
from pan3d_core.labelling.review.cuts import deepest
from pan3d_core.views.scene_folder import SceneTruth, read_scene, write_scene

SCENE = "scene"
LOOK_S, CLICK_S = 6.0, 3.0  # assumed: to look at an object, and for each key or click
PART = 0.1  # share of an object from which on a true one in it is seen as a part
MENDED = 2  # clicks on pictures, at most, by which each outline is mended
_SEEN = 30  # pixels of a true object in a view, from which on a person misses it


@dataclass(frozen=True)
class Clicked:
    """Labels after a person has been through them."""

    found: LabelledScene
    objects: int  # looked at, pieces of split ones too
    clicks: int  # keys, clicks, names typed

    @property
    def seconds(self) -> float:
        """What that takes a person, assumed."""
        return self.objects * LOOK_S + self.clicks * CLICK_S


def clicked(labelled: LabelledScene, truth: SceneTruth) -> Clicked:
    """Let a person who knows the truth go through labels as the page shows them.

    Objects that no proposer saw are added by a click where most is seen of them; outlines are mended by a few clicks where they
    are farthest from the truth.

    Args:
        labelled: Labels of a scene.
        truth: Of the same views.

    Returns:
        The labels after it; what nobody doubts any more is no void.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_scene(Path(folder, SCENE), labelled.scene)
        review = Review(Path(folder))
        try:
            person = _Person(review, truth)
            person.go_through()
            person.add_missing()
            person.mend()
            review.finish()
        finally:
            review.close()
        scene = read_scene(Path(folder, SCENE))
    after = scene.known_truth()
    void = torch.stack(after.instance_ids).unsqueeze(-1).eq(torch.tensor(after.void_ids)).any(-1)
    found = replace(labelled, scene=scene, doubted=(), void_share=float(void.double().mean()))
    return Clicked(found, person.objects, person.clicks)


class _Person:
    def __init__(self, review: Review, truth: SceneTruth) -> None:
        self._review = review
        self._true = tuple(truth.instance_ids)
        self._names = {item.instance_id: truth.labels.name(item.class_id) for item in truth.objects}
        self._cut: set[Place] = set()
        self._is: dict[int, int] = {}  # true object -> the one that was decided to be it
        self.objects = self.clicks = 0

    def go_through(self) -> None:
        waiting = list(self._review.state.objects)
        while waiting:
            place = waiting.pop(0)
            self.objects += 1
            waiting = self._decide(place) + waiting

    def add_missing(self) -> None:
        """Add the true objects that nothing shows."""
        for number in self._names:
            seen = [true == number for true in self._true]
            areas = [int(mask.sum()) for mask in seen]
            if number in self._is or max(areas) < _SEEN:
                continue
            view = areas.index(max(areas))
            row, column, _ = deepest(seen[view].numpy())
            self.objects, self.clicks = self.objects + 1, self.clicks + 4  # the picture, the place, add, the name
            try:
                place = self._review.add(SCENE, Shown((Click(view, row, column),)))
            except ValueError:  # it does not stand out there; this person tries no second time
                continue
            self._review.name(place, self._names[number])
            self._is[number] = place[1]

    def mend(self) -> None:
        """Mend the outlines."""
        for number, object_id in self._is.items():
            for _ in range(MENDED):
                if (click := self._worst(number, object_id)) is None:
                    break
                self.clicks += 3  # the picture, the place, mend
                before = self._quality(number, object_id)
                self._review.outline((SCENE, object_id), Shown((click,)))
                if self._quality(number, object_id) < before:
                    self.clicks += 1
                    self._review.undo()
                    break

    def _worst(self, number: int, object_id: int) -> Click | None:
        """Where an outline is farthest from the truth; None where it is off nowhere."""
        worst, found = 0.0, None
        for view, (mask, true) in enumerate(zip(self._review.pixels(SCENE).inside(object_id), self._true, strict=True)):
            for is_inside, wrong in ((True, (true == number) & ~mask), (False, mask & (true != number))):
                row, column, depth = deepest(wrong.numpy())
                if depth > worst:
                    worst, found = depth, Click(view, row, column, is_inside)
        return found

    def _quality(self, number: int, object_id: int) -> float:
        pairs = list(zip(self._review.pixels(SCENE).inside(object_id), self._true, strict=True))
        both = sum(int((mask & (true == number)).sum()) for mask, true in pairs)
        return both / max(sum(int((mask | (true == number)).sum()) for mask, true in pairs), 1)

    def _decide(self, place: Place) -> list[Place]:
        """Decide about one object; the pieces that wait then."""
        inside = self._review.pixels(place[0]).inside(place[1])
        shown = torch.cat([true[mask] for true, mask in zip(self._true, inside, strict=True)])
        counts = torch.bincount(shown, minlength=1)
        share = counts.double() / max(len(shown), 1)
        parts: list[int] = (share[1:] >= PART).nonzero()[:, 0].add(1).tolist()
        before = set(self._review.state.objects)
        if len(parts) > 1 and place not in self._cut:
            self.clicks += len(parts) + 1
            self._review.split_clicks(place, torch.stack([self._middle(place, number) for number in parts]))
            pieces = [place, *(set(self._review.state.objects) - before)]
            self._cut |= set(pieces)  # what a click cannot tell apart stays together
            return pieces
        self.clicks += 1
        if not parts or float(share[0]) > 0.5:
            self._review.table(place)
            return []
        true = max(parts, key=lambda number: int(counts[number]))
        if true in self._is:
            self._review.merge(place, self._is[true])
        elif self._review.state.objects[place].name == self._names[true]:
            self._review.keep(place)
        else:
            self.clicks += 1
            self._review.name(place, self._names[true])
        self._is.setdefault(true, place[1])
        return []

    def _middle(self, place: Place, number: int) -> Tensor:
        """A place on a true object that an object covers, as a click in the cloud gives it."""
        pixels = self._review.pixels(place[0])
        found = []
        for mask, points, true in zip(pixels.inside(place[1]), pixels.points, self._true, strict=True):
            found.append(points[mask & (true == number) & torch.isfinite(points[..., 0])])
        points = torch.cat(found)
        return points[(points - points.median(0).values).norm(dim=1).argmin()]
