"""The controls beside the cloud: what is known of the object, and one button and one key for every decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pan3d_core.pictures.palette import Color, Picture
from pan3d_tools.review.marking import MEANINGS
from pan3d_tools.viewer.serving import paragraph

if TYPE_CHECKING:
    import viser

PROBLEM_RGB: Color = (190, 30, 45)
NOTE_RGB: Color = (215, 140, 20)
DONE_RGB: Color = (40, 140, 70)
NO_PICTURE: Picture = np.full((8, 8, 3), 247, dtype=np.uint8)
NAME_KEYS, MEANING_KEYS = "123456789", "IOW"


@dataclass(frozen=True)
class Shown:
    """What the panel shows."""

    title: str  # progress and place
    share: float  # 0..1 of the objects that are decided
    facts: str
    picture: Picture | None
    names: tuple[str, ...]  # that the keys 1 to 9 give
    partners: tuple[str, ...]  # other objects of the scene, as they are chosen to be merged with
    partner: str
    clicks: int  # on the object
    marked: str  # what was clicked on pictures
    meaning: str  # of the next click on a picture
    notes: tuple[str, ...]
    problem: str
    finished: str  # what was changed; empty = the review goes on


class Handlers(Protocol):
    """What the panel calls; see `page.ReviewPage`."""

    def keep(self) -> None: ...
    def name(self, words: str) -> None: ...
    def name_by_number(self, number: int) -> None: ...
    def reject(self) -> None: ...
    def table(self) -> None: ...
    def go(self, steps: int) -> None: ...
    def go_on(self) -> None: ...
    def undo(self) -> None: ...
    def redo(self) -> None: ...
    def choose_partner(self, label: str) -> None: ...
    def merge(self) -> None: ...
    def split_parts(self) -> None: ...
    def split_views(self, words: str) -> None: ...
    def split_clicks(self) -> None: ...
    def forget_clicks(self) -> None: ...
    def turn_picture(self, steps: int) -> None: ...
    def close_picture(self) -> None: ...
    def mean(self, meaning: str) -> None: ...
    def add(self) -> None: ...
    def outline(self) -> None: ...
    def finish(self) -> None: ...


class ReviewPanel:
    """Widgets of one page, the same for everybody who looks at it.

    Args:
        gui: Where they go, `ViserServer.gui`.
        handlers: Who answers.
        decide: Calls an action that decides about the object that is shown.
        attempt: Calls any other one; both show the message of what is refused.
    """

    def __init__(
        self,
        gui: viser.GuiApi,
        handlers: Handlers,
        decide: Callable[[Callable[[], None]], None],
        attempt: Callable[[Callable[[], None]], None],
    ) -> None:
        self._gui, self._handlers, self._decide, self._attempt = gui, handlers, decide, attempt
        self._shown_partner, self._shown_meaning = "", MEANINGS[0]
        self._title = gui.add_html("")
        self._progress = gui.add_progress_bar(0.0)
        self._problem = gui.add_html("", visible=False)
        self._pictures = gui.add_image(NO_PICTURE, format="jpeg", jpeg_quality=90)
        self._facts = gui.add_html("")
        self._add_decisions()
        self._add_ways()
        self._add_merging()
        self._add_splitting()
        self._add_outlining()
        with gui.add_folder("Finish"):
            self._notes = gui.add_html("")
            self._button("Finish the review", "", handlers.finish, attempt)

    def _button(self, label: str, key: str, action: Callable[[], None], call: Callable[[Callable[[], None]], None]) -> None:
        """A button, and a key that does the same wherever no text is being typed."""
        named = f"{label} ({key})" if key else label
        self._gui.add_button(named).on_click(lambda _: call(action))
        if key:
            self._gui.add_command(label, hotkey=key).on_trigger(lambda _: call(action))

    def _add_decisions(self) -> None:
        self._button("Right as it is", "K", self._handlers.keep, self._decide)
        words = self._gui.add_text("Name", "")
        self._name = words
        self._gui.add_button("Call it so").on_click(lambda _: self._decide(lambda: self._handlers.name(words.value)))
        self._names = self._gui.add_html("")
        for number, key in enumerate(NAME_KEYS):
            command = self._gui.add_command(f"Name {key}", hotkey=key)
            command.on_trigger(lambda _, chosen=number: self._decide(lambda: self._handlers.name_by_number(chosen)))
        self._button("No object", "R", self._handlers.reject, self._decide)
        self._button("This is table", "T", self._handlers.table, self._decide)

    def _add_ways(self) -> None:
        with self._gui.add_folder("Go"):
            self._button("Next", "N", lambda: self._handlers.go(1), self._attempt)
            self._button("Previous", "P", lambda: self._handlers.go(-1), self._attempt)
            self._button("Next undecided", "J", self._handlers.go_on, self._attempt)
            self._button("Undo", "Z", self._handlers.undo, self._attempt)
            self._button("Redo", "Y", self._handlers.redo, self._attempt)

    def _add_merging(self) -> None:
        with self._gui.add_folder("Merge"):
            self._partner = self._gui.add_dropdown("With", ("none",), hint="or click the other one in the scene")
            self._partner.on_update(self._choose_partner)
            self._button("One thing", "M", self._handlers.merge, self._decide)

    def _add_splitting(self) -> None:
        with self._gui.add_folder("Split"):
            self._button("Separate parts", "X", self._handlers.split_parts, self._decide)
            self._clicks = self._gui.add_html("")
            self._button("By clicks", "C", self._handlers.split_clicks, self._decide)
            self._button("Forget clicks", "F", self._handlers.forget_clicks, self._attempt)
            views = self._gui.add_text("Views", "", hint="numbers of views that show another thing: 2, 5")
            self._gui.add_button("Split these views off").on_click(
                lambda _: self._decide(lambda: self._handlers.split_views(views.value))
            )
            self._views = views

    def _add_outlining(self) -> None:
        with self._gui.add_folder("Outline in pictures"):
            self._button("Next picture", "V", lambda: self._handlers.turn_picture(1), self._attempt)
            self._button("Picture before", "G", lambda: self._handlers.turn_picture(-1), self._attempt)
            self._button("Back to the scene", "B", self._handlers.close_picture, self._attempt)
            self._meaning = self._gui.add_dropdown("A click", MEANINGS, hint="with Shift held down it is not the object")
            self._meaning.on_update(self._choose_meaning)
            for meaning, key in zip(MEANINGS, MEANING_KEYS, strict=True):
                command = self._gui.add_command(f"A click {meaning}", hotkey=key)
                command.on_trigger(lambda _, chosen=meaning: self._attempt(lambda: self._handlers.mean(chosen)))
            self._marked = self._gui.add_html("")
            self._button("Add object", "A", self._handlers.add, self._attempt)
            self._button("Mend outline", "U", self._handlers.outline, self._decide)

    def _choose_meaning(self, event: viser.GuiEvent) -> None:
        # What the page itself sets comes here as well.
        if event.target.value != self._shown_meaning:
            self._attempt(lambda: self._handlers.mean(event.target.value))

    def _choose_partner(self, event: viser.GuiEvent) -> None:
        # What the page itself sets comes here as well.
        if event.target.value != self._shown_partner:
            self._attempt(lambda: self._handlers.choose_partner(event.target.value))

    def update(self, shown: Shown, other_object: bool) -> None:
        """Show a state.

        Args:
            shown: What there is to show.
            other_object: Whether it is another object than before: what was typed is of the old one.
        """
        self._title.content = paragraph(shown.title)
        self._progress.value = 100.0 * shown.share
        self._problem.content = paragraph(shown.problem or shown.finished, PROBLEM_RGB if shown.problem else DONE_RGB)
        self._problem.visible = bool(shown.problem or shown.finished)
        self._pictures.image = NO_PICTURE if shown.picture is None else shown.picture
        self._facts.content = paragraph(shown.facts)
        self._names.content = paragraph(" · ".join(f"{key}: {name}" for key, name in zip(NAME_KEYS, shown.names)))
        self._clicks.content = paragraph(_clicks(shown.clicks))
        self._marked.content = paragraph(shown.marked)
        self._shown_meaning = shown.meaning
        if self._meaning.value != shown.meaning:
            self._meaning.value = shown.meaning
        self._notes.content = "".join(paragraph(note, NOTE_RGB) for note in shown.notes)
        self._shown_partner = shown.partner
        if tuple(self._partner.options) != shown.partners:
            self._partner.options = shown.partners
        if self._partner.value != shown.partner:
            self._partner.value = shown.partner
        if other_object:
            self._name.value = self._views.value = ""

    def known_names(self, names: Sequence[str], number: int) -> str:
        """The name of a key; `ValueError` where it has none."""
        if number >= min(len(names), len(NAME_KEYS)):
            raise ValueError(f"name: expected a key from 1 to {min(len(names), len(NAME_KEYS))}, got {number + 1}")
        return names[number]


def _clicks(count: int) -> str:
    if not count:
        return "To cut where things touch, click on each of them in the scene."
    return f"{count} click{'' if count == 1 else 's'} on the object; every pixel goes with the nearest one"
