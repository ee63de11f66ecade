"""The controls beside a Gaussian scene in the browser: they report what a person does and show what the viewer says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from pan3d_core.gaussians.pictures import NONE_OF_THESE, class_names
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.pictures.palette import UNASSIGNED, Color, class_colors, instance_color
from pan3d_tools.viewer.display import MODES, Display, ObjectFacts
from pan3d_tools.viewer.serving import paragraph

if TYPE_CHECKING:
    import viser

SHOW, HIDE, REMOVE = PRESENCE = ("show", "hide", "remove")
EXPORT = "Export PLY"
PROBLEM_RGB: Color = (190, 30, 45)


class Handlers(Protocol):
    """What the panel calls; see `page.GaussianViewer`."""

    def set_mode(self, mode: str) -> None: ...
    def set_classes(self, text: str) -> None: ...
    def select(self, instance_id: int) -> None: ...
    def set_presence(self, instance_id: int, presence: str) -> None: ...
    def show_all(self) -> None: ...
    def show_cameras(self, visible: bool) -> None: ...
    def ply_bytes(self) -> bytes: ...


class Panel:
    """Widgets of one page, the same for everybody who looks at it.

    Args:
        gui: where the widgets go, `ViserServer.gui`.
        scene: what is shown.
        handlers: who answers; every call goes through `attempt`.
        attempt: calls an action and shows the message of what it refuses.
    """

    def __init__(
        self, gui: viser.GuiApi, scene: GaussianScene, handlers: Handlers, attempt: Callable[[Callable[[], None]], None]
    ) -> None:
        self._scene, self._handlers, self._attempt = scene, handlers, attempt
        self._display = Display()
        gui.add_html(paragraph(summary(scene)))
        self._problem = gui.add_html("", visible=False)
        self._mode = gui.add_dropdown("Colours", MODES)
        self._mode.on_update(self._choose_mode)
        self._add_classes(gui)
        self._add_selection(gui)
        self._add_objects(gui)
        if len(scene.cam_from_world):
            cameras = gui.add_checkbox("Cameras", True)
            cameras.on_update(lambda event: attempt(lambda: handlers.show_cameras(event.target.value)))
        gui.add_button(EXPORT, hint="the scene without what was removed").on_click(self._export)

    def _choose_mode(self, event: viser.GuiEvent) -> None:
        # Setting the widget back after a refusal comes here as well, and is no choice of a person.
        if event.target.value != self._display.mode:
            self._attempt(lambda: self._handlers.set_mode(event.target.value))

    def _add_classes(self, gui: viser.GuiApi) -> None:
        self._classes_folder = gui.add_folder("Semantics", visible=False)
        with self._classes_folder:
            words = gui.add_text("Classes", ", ".join(class_names(self._scene)), hint="names with commas")
            apply = gui.add_button("Colour by these classes")
            apply.on_click(lambda _: self._attempt(lambda: self._handlers.set_classes(words.value)))
            self._legend = gui.add_html("")

    def _add_selection(self, gui: viser.GuiApi) -> None:
        with gui.add_folder("Selected"):
            self._facts = gui.add_html("")
            self._presence = gui.add_button_group("In the scene", PRESENCE, visible=False)
            self._presence.on_click(
                lambda event: self._attempt(lambda: self._handlers.set_presence(self._display.selected, event.target.value))
            )

    def _add_objects(self, gui: viser.GuiApi) -> None:
        self._objects: dict[int, viser.GuiButtonHandle] = {}
        with gui.add_folder("Objects"):
            if not self._scene.ids():
                gui.add_html(paragraph("No Gaussian of this scene belongs to an object."))
                return
            for instance_id in self._scene.ids():
                button = gui.add_button(self._scene.names[instance_id], color=instance_color(instance_id))
                button.on_click(lambda _, chosen=instance_id: self._attempt(lambda: self._handlers.select(chosen)))
                self._objects[instance_id] = button
            gui.add_button("Show all").on_click(lambda _: self._attempt(self._handlers.show_all))

    def _export(self, event: viser.GuiEvent) -> None:
        def send() -> None:
            content = self._handlers.ply_bytes()
            if event.client is not None:
                event.client.send_file_download("scene.ply", content)

        self._attempt(send)

    def update(self, display: Display, selected: ObjectFacts | None, note: str, problem: str) -> None:
        """Show a state; `note` belongs to the selection, `problem` is what the last action was refused with."""
        self._display = display
        self._problem.content = paragraph(problem, PROBLEM_RGB)
        self._problem.visible = bool(problem)
        if self._mode.value != display.mode:
            self._mode.value = display.mode
        self._classes_folder.visible = display.mode == "semantics"
        self._legend.content = _legend(display.classes)
        self._facts.content = _selection(selected, note, self._scene)
        self._presence.visible = selected is not None
        for instance_id, button in self._objects.items():
            state = " (removed)" if instance_id in display.removed else " (hidden)" if instance_id in display.hidden else ""
            mark = "▸ " if instance_id == display.selected else ""
            button.label = f"{mark}{instance_id} {self._scene.names[instance_id]}{state}"


def summary(scene: GaussianScene) -> str:
    """One line about a scene."""
    unit = f"metres in {scene.world_frame_id}" if scene.is_metric else "no metres: an unknown unit"
    return f"{len(scene.gaussians):,} Gaussians, {len(scene.ids())} objects, {len(scene.cam_from_world)} views; {unit}"


def _selection(selected: ObjectFacts | None, note: str, scene: GaussianScene) -> str:
    if selected is None:
        return paragraph(note or "Click an object in the scene or in the list.")
    factor, unit = (100.0, "cm") if scene.is_metric else (1.0, "units")
    size = " × ".join(f"{factor * side:.3g}" for side in selected.box.size_m.tolist())
    lines = [
        f"{selected.name} (id {selected.instance_id})",
        f"size {size} {unit}",
        f"{selected.num_gaussians:,} Gaussians",
        *([note] if note else []),
    ]
    return "".join(paragraph(line, instance_color(selected.instance_id) if k == 0 else None) for k, line in enumerate(lines))


def _legend(classes: Sequence[str]) -> str:
    if not classes:
        return paragraph("Name classes to colour the scene by meaning.")
    colors = {**dict(zip(classes, class_colors(classes))), NONE_OF_THESE: UNASSIGNED}
    return "".join(paragraph(name, color) for name, color in colors.items())
