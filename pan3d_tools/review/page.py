"""The objects of a labelled data set as a page in the browser, by `viser`: one after the other, each with its best views.

The page is one state, which everybody who opens it shares; every decision is in the journal before it is shown.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.labelling.review import Place, Review, Reviewed, ReviewedObject
from pan3d_tools.review.panel import ReviewPanel, Shown
from pan3d_tools.review.shown import Cloud, cloud_of, facts_of, met_by_ray, nearest_first, pictures_of, shown_colors
from pan3d_tools.viewer.serving import PageAddress, serve, stop_quietly, why_refused

if TYPE_CHECKING:
    import viser

POINT_M, CLICK_M = 0.003, 0.006
CLICK_RGB = (255, 217, 26)
QUICK_S = 0.3  # a decision that comes sooner after another object is meant for the one before, or a key that is held down
NOBODY = "none"
_REFUSALS = (ValueError, OSError)  # what the page shows instead of losing it


@dataclass(frozen=True)
class ReviewPageSettings(PageAddress):
    """Where the page is served."""

    port: int = 8082  # beside the node's


class ReviewPage:
    """The page of a review, served until `stop`, which closes the review, too.

    The methods are what the page's controls call, and change what everybody sees. Raises `ValueError` when the port is taken
    or the host is not one of this machine, `ModuleNotFoundError` where viser is not installed; the review is closed then.

    Attributes:
        address: of the page, for a browser.
        current: the object that is shown.
        problem: why the last action was refused; empty after one that was not.
        done: what was changed in the end; None until then.
    """

    def __init__(self, review: Review, settings: ReviewPageSettings | None = None) -> None:
        self._review, self._lock = review, threading.RLock()  # the page's events come on threads of a pool
        try:
            self._server, self.address = serve(settings or ReviewPageSettings())
        except (ValueError, ModuleNotFoundError):
            review.close()
            raise
        # A column of pictures needs room; the other two are as `serve` sets them.
        self._server.gui.configure_theme(control_width="large", show_share_button=False, show_logo=False)
        self.current: Place = next(iter(review.state.objects))
        self.problem = "the last decision was left in half by an interruption; decide again" if review.mended else ""
        self.done: Reviewed | None = None
        self._clicks: list[Tensor] = []
        self._partner = 0
        self._painted: Place | None = None
        self._came_s = 0.0
        self._cloud = Cloud(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
        self._marks: list[viser.SceneNodeHandle] = []
        self._panel = ReviewPanel(self._server.gui, self, self.decide, self.attempt)
        self._server.scene.on_click()(self._on_click)
        if self.item.decision:
            self.go_on()
        self._refresh()

    @property
    def item(self) -> ReviewedObject:
        """The object that is shown."""
        return self._review.state.objects[self.current]

    def stop(self) -> None:
        """Close the page's connections, free the port, let others review."""
        stop_quietly(self._server)
        self._review.close()

    def attempt(self, action: Callable[[], None]) -> None:
        """Do what a person asked for; what it is refused with is shown in the page."""
        with self._lock:
            self.problem = why_refused(action, _REFUSALS)
            self._refresh()

    def decide(self, action: Callable[[], None]) -> None:
        """Do what a person decides about the object that is shown, unless it has only just come."""

        def seen() -> None:
            if time.monotonic() - self._came_s < QUICK_S:
                raise ValueError(f"not done, since {self.current[0]}/{self.current[1]} had only just come: look, and press again")
            action()

        self.attempt(seen)

    def keep(self) -> None:
        """Say that object and name are right."""
        self._review.keep(self.current)
        self.go_on()

    def name(self, words: str) -> None:
        """Say what it is called; `ValueError` for what is no name."""
        self._review.name(self.current, words)
        self.go_on()

    def name_by_number(self, number: int) -> None:
        """Call it by one of the names that are there; `number` from 0 on."""
        self.name(self._panel.known_names(self._review.state.names(), number))

    def reject(self) -> None:
        """Say that it is no object."""
        self._review.reject(self.current)
        self.go_on()

    def table(self) -> None:
        """Say that it is table or floor."""
        self._review.table(self.current)
        self.go_on()

    def go(self, steps: int) -> None:
        """Show the object so many places further, round and round."""
        places = list(self._review.state.objects)
        self.current = places[(places.index(self.current) + steps) % len(places)]

    def go_on(self) -> None:
        """Show the next object that nobody has decided about; the same one where there is none."""
        places = list(self._review.state.objects)
        start = places.index(self.current)
        order = places[start + 1 :] + places[: start + 1]
        self.current = next((place for place in order if not self._review.state.objects[place].decision), self.current)

    def undo(self) -> None:
        """Take the last decision back, and show its object."""
        action = self._review.undo()
        self.current = action.scene, action.object_id

    def redo(self) -> None:
        """Decide again what was taken back, and show its object or what it is part of."""
        action = self._review.redo()
        self.current = action.scene, action.into or action.object_id

    def choose_partner(self, label: str) -> None:
        """Choose what to merge with, by a label of the panel."""
        self._partner = 0 if label == NOBODY else int(label.split()[0])

    def merge(self) -> None:
        """Make one object of this one and the chosen one, which keeps its id."""
        if not self._partner:
            raise ValueError("merge: expected another object of the scene, got none")
        self._review.merge(self.current, self._partner)
        self.current = self.current[0], self._partner

    def split_parts(self) -> None:
        """Make objects of parts that do not touch."""
        self._review.split_parts(self.current)

    def split_views(self, words: str) -> None:
        """Make an object of what some views show; `ValueError` for what are no numbers of views."""
        numbers = re.findall(r"\d+", words)
        if not numbers or re.sub(r"[\d\s,;]", "", words):
            raise ValueError(f"views: expected numbers such as 2, 5, got {words!r}")
        self._review.split_views(self.current, [int(number) for number in numbers])

    def split_clicks(self) -> None:
        """Cut the object between the places that were clicked."""
        if len(self._clicks) < 2:
            raise ValueError(f"split: expected a click on each of at least two parts, got {len(self._clicks)}")
        self._review.split_clicks(self.current, torch.stack(self._clicks))

    def forget_clicks(self) -> None:
        """Take the clicks on the object away."""
        self._clicks = []

    def finish(self) -> None:
        """Bring all decisions into the scene folders and end the review."""
        self.done = self._review.finish()

    def pick(self, origin: Tensor, direction: Tensor) -> None:
        """Mark a place of the object that a ray of the world meets, or choose another object to merge with."""
        found = met_by_ray(self._cloud, origin, direction)
        if found is None:
            raise ValueError("Nothing is there.")
        object_id, point = found
        if object_id == self.current[1]:
            self._clicks.append(point)
        elif (self.current[0], object_id) in self._review.state.objects:
            self._partner = object_id
        else:
            raise ValueError("No object is there.")

    def _on_click(self, event: viser.SceneClickEvent) -> None:
        origin, direction = (torch.tensor(vector, dtype=torch.float32) for vector in (event.ray_origin, event.ray_direction))
        self.attempt(lambda: self.pick(origin, direction))

    def _refresh(self) -> None:
        state, item = self._review.state, self.item
        scene, pixels = self._review.scene(item.scene), self._review.pixels(item.scene)
        other_object, other_scene = self.current != self._painted, self._painted is None or self._painted[0] != item.scene
        others = nearest_first(item, state, pixels)
        if other_object:
            self._clicks, self._partner = [], others[0].object_id if others else 0
        labels = {other.object_id: f"{other.object_id} {other.name or 'thing'}" for other in others}
        places = list(state.objects)
        shown = Shown(
            title=f"{state.decided} of {len(places)} decided; this is object {places.index(item.place) + 1}",
            share=state.decided / len(places),
            facts=facts_of(item, pixels),
            picture=pictures_of(scene, pixels, item.object_id),
            names=state.names(),
            partners=tuple(labels.values()) or (NOBODY,),
            partner=labels.get(self._partner, NOBODY if not labels else next(iter(labels.values()))),
            clicks=len(self._clicks),
            notes=(*state.notes, *state.same_names()),
            problem=self.problem,
            finished="" if self.done is None else told_done(self.done),
        )
        with self._server.atomic():
            self._panel.update(shown, other_object)
            self._cloud = cloud_of(scene, pixels)
            self._draw(item.object_id)
        if other_scene:
            self._stand_at(invert_rigid(scene.views[0].calibration()[1]))
        if other_object:
            self._painted, self._came_s = self.current, time.monotonic()

    def _draw(self, object_id: int) -> None:
        points, colors = self._cloud.points.numpy(), shown_colors(self._cloud, object_id)
        self._server.scene.add_point_cloud("/points", points, colors, point_size=POINT_M, point_shape="circle")
        for mark in self._marks:
            mark.remove()
        self._marks = [
            self._server.scene.add_icosphere(f"/clicks/{number}", CLICK_M, CLICK_RGB, position=point.numpy())
            for number, point in enumerate(self._clicks)
        ]

    def _stand_at(self, world_from_cam: Tensor) -> None:
        """Let everybody who looks, or will look, stand where the scene's first camera stood."""
        eye, forward = world_from_cam[:3, 3].float(), world_from_cam[:3, 2].float()
        middle = self._cloud.points.median(0).values if len(self._cloud.points) else eye + forward
        target = (eye + forward * ((middle - eye) @ forward).clamp_min(0.1)).numpy()
        cameras = [self._server.initial_camera, *(client.camera for client in self._server.get_clients().values())]
        for camera in cameras:
            camera.position, camera.look_at = eye.numpy(), target


def told_done(done: Reviewed) -> str:
    """Say what a review has changed."""
    return f"finished: {done.decided} of {done.objects} objects were decided about; {len(done.scenes)} scenes are written"
