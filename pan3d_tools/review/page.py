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

from pan3d_core.geometry.rotations import quat_xyzw_from_matrix
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.labelling.review import Place, Review, Reviewed, ReviewedObject, ScenePixels
from pan3d_core.views.scene_folder import Scene
from pan3d_tools.review.marking import MARK, Marking
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
        marking: the picture that is shown to be clicked on, and the marks.
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
        self.marking = Marking()
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
        """Take the last decision back, and show its object, or one beside it where it was added."""
        action = self._review.undo()
        place = action.scene, action.object_id
        self.current = place if place in self._review.state.objects else self._review.state.of_scene(action.scene)[-1].place

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
        """Take the clicks on the object, and all marks on pictures, away."""
        self._clicks = []
        self.marking.forget()

    def turn_picture(self, steps: int) -> None:
        """Show the picture so many further, to be clicked on."""
        scene = self._review.scene(self.current[0])
        self.marking.turn(scene.views, self._review.pixels(scene.name), self.current[1], steps)
        if self.marking.board is not None:
            self._stand(*self.marking.board.stand)

    def close_picture(self) -> None:
        """Show the scene again."""
        self.marking.close()
        self._stand_at(invert_rigid(self._review.scene(self.current[0]).views[0].calibration()[1]))

    def mean(self, meaning: str) -> None:
        """Say what the next clicks on a picture mean."""
        self.marking.meaning = meaning

    def add(self) -> None:
        """Add the object that was marked, and show it, to be named."""
        self.current = self._review.add(self.current[0], self.marking.shown)

    def outline(self) -> None:
        """Give the object the outline that was marked."""
        self._review.outline(self.current, self.marking.shown)
        self.marking.forget()

    def finish(self) -> None:
        """Bring all decisions into the scene folders and end the review."""
        self.done = self._review.finish()

    def pick(self, origin: Tensor, direction: Tensor, *, is_outside: bool = False) -> None:
        """Mark what a ray of the world meets: a pixel of the picture that is shown, or else a place of the object; on another
        object it chooses what to merge with."""
        if self.marking.board is not None:
            self.marking.click(origin, direction, is_outside=is_outside)
            return
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
        self.attempt(lambda: self.pick(origin, direction, is_outside=event.modifier == "shift"))

    def _refresh(self) -> None:
        state, item = self._review.state, self.item
        scene, pixels = self._review.scene(item.scene), self._review.pixels(item.scene)
        other_object, other_scene = self.current != self._painted, self._painted is None or self._painted[0] != item.scene
        others = nearest_first(item, state, pixels)
        if other_object:
            self._clicks, self._partner = [], others[0].object_id if others else 0
            self.marking.forget()
        if other_scene:
            self.marking.close()
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
            marked=self.marking.told(),
            meaning=self.marking.meaning,
            notes=(*state.notes, *state.same_names()),
            problem=self.problem,
            finished="" if self.done is None else told_done(self.done),
        )
        with self._server.atomic():
            self._panel.update(shown, other_object)
            self._cloud = cloud_of(scene, pixels)
            self._draw(item.object_id)
            self._draw_board(scene, pixels)
        if other_scene:
            self._stand_at(invert_rigid(scene.views[0].calibration()[1]))
        if other_object:
            self._painted, self._came_s = self.current, time.monotonic()

    def _draw(self, object_id: int) -> None:
        points, colors = self._cloud.points.numpy(), shown_colors(self._cloud, object_id)
        # A picture hangs before the scene, and is seen alone.
        is_shown, marks = self.marking.board is None, self.marking.marks()
        scene = self._server.scene
        scene.add_point_cloud("/points", points, colors, point_size=POINT_M, point_shape="circle", visible=is_shown)
        radius = CLICK_M
        if self.marking.board is not None:
            radius = MARK * self.marking.board.size_m[0]
        else:
            marks = [(point, CLICK_RGB) for point in self._clicks]
        for mark in self._marks:
            mark.remove()
        self._marks = [
            scene.add_icosphere(f"/clicks/{number}", radius, color, position=point.numpy())
            for number, (point, color) in enumerate(marks)
        ]

    def _draw_board(self, scene: Scene, pixels: ScenePixels) -> None:
        board = self.marking.board
        if board is None:
            return
        picture = self.marking.picture(scene.views[board.view], pixels, self.current[1])
        height, width = board.hw
        position = board.place(height / 2 - 0.5, width / 2 - 0.5)
        wxyz = quat_xyzw_from_matrix(board.world_from_cam[:3, :3]).roll(1)
        self._marks.append(
            self._server.scene.add_image(
                "/picture", picture, *board.size_m, jpeg_quality=90, format="jpeg", wxyz=wxyz.numpy(), position=position.numpy()
            )
        )

    def _stand_at(self, world_from_cam: Tensor) -> None:
        """Let everybody who looks, or will look, stand where the scene's first camera stood."""
        eye, forward = world_from_cam[:3, 3].float(), world_from_cam[:3, 2].float()
        middle = self._cloud.points.median(0).values if len(self._cloud.points) else eye + forward
        self._stand(eye, eye + forward * ((middle - eye) @ forward).clamp_min(0.1), torch.tensor([0.0, 0.0, 1.0]))

    def _stand(self, eye: Tensor, target: Tensor, up: Tensor) -> None:
        """Let everybody who looks, or will look, stand at a place."""
        place, aim = eye.numpy(), target.numpy()
        first = self._server.initial_camera
        first.up, first.position, first.look_at = up.numpy(), place, aim
        for client in self._server.get_clients().values():
            client.camera.up_direction, client.camera.position, client.camera.look_at = up.numpy(), place, aim


def told_done(done: Reviewed) -> str:
    """Say what a review has changed."""
    return f"finished: {done.decided} of {done.objects} objects were decided about; {len(done.scenes)} scenes are written"
