"""A Gaussian scene as a page in the browser, by `viser`: turn it, pick objects, hide or take them out, colour it by meaning.

The page is one state on the server, which everybody who opens it shares. Rendering happens in the browser.
"""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pan3d_core.gaussians.editing import without_instances
from pan3d_core.gaussians.picking import pick_along_ray
from pan3d_core.gaussians.ply import write_gaussian_ply
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.language.encoders import Encoder, build_text_encoder
from pan3d_core.language.text_space import TextSpace
from pan3d_core.runtime.minilm_files import TextEncoderUnavailable
from pan3d_tools.viewer.display import Display, class_ids, object_facts, shown_colors, visible_gaussians
from pan3d_tools.viewer.drawing import SceneDrawing
from pan3d_tools.viewer.panel import HIDE, PRESENCE, REMOVE, Panel
from pan3d_tools.viewer.serving import PageAddress, serve, stop_quietly, why_refused

if TYPE_CHECKING:
    import viser

REFUSALS = (ValueError, OSError, ImportError, TextEncoderUnavailable)  # what the page shows instead of losing it


@dataclass(frozen=True)
class PageSettings(PageAddress):
    """Where the page is served, and what reads the class names."""

    encoder_weights: str = ""  # of the scene's text encoder, as `build_text_encoder` takes them


class GaussianViewer:
    """A page with a scene, served until `stop`.

    The methods are what the page's controls call, and change what everybody sees. Raises `ValueError` when the port is taken
    or the host is not one of this machine, `ModuleNotFoundError` where viser is not installed.

    Attributes:
        address: of the page, for a browser.
        display: what is chosen now.
        problem: why the last action was refused; empty after one that was not.
    """

    def __init__(self, scene: GaussianScene, settings: PageSettings | None = None, encoder: Encoder | None = None) -> None:
        """`encoder`: for class names, instead of the one that the scene's text space asks for."""
        self._scene, self._settings, self._encoder = scene, settings or PageSettings(), encoder
        self._lock = threading.RLock()  # the page's events come on threads of a pool
        self._class_ids: Tensor | None = None
        self._note = ""
        self.display, self.problem = Display(), ""
        self._server, self.address = serve(self._settings)
        self._drawing = SceneDrawing(self._server, scene, shown_colors(scene, self.display))
        self._panel = Panel(self._server.gui, scene, self, self.attempt)
        self._server.scene.on_click()(self._on_click)
        self._refresh()

    def stop(self) -> None:
        """Close the page's connections and free the port."""
        stop_quietly(self._server)

    def attempt(self, action: Callable[[], None]) -> None:
        """Do what a person asked for; what it is refused with is shown in the page."""
        with self._lock:
            self.problem = why_refused(action, REFUSALS)
            self._refresh()

    def set_mode(self, mode: str) -> None:
        """Colour by one of `gaussian_display.MODES`; `ValueError` for the semantic one if the scene has no semantics."""
        if mode == "semantics":
            self._text_space()
        self.display = replace(self.display, mode=mode)

    def _text_space(self) -> TextSpace:
        space = self._scene.text_space
        if space is None or self._scene.gaussians.semantic_features is None:
            raise ValueError("This scene has no semantic features to compare with texts.")
        return space

    def set_classes(self, text: str) -> None:
        """Colour by the comma-separated class names of `text`; `ValueError` for none, and what the text encoder raises."""
        self.set_mode("semantics")
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        if not names:
            raise ValueError(f"Classes: expected names with commas between them, got {text!r}")
        if self._encoder is None:
            self._encoder = build_text_encoder(self._text_space().encoder, self._settings.encoder_weights)
        self._class_ids = class_ids(self._scene, self._encoder.encode(names))
        self.display = replace(self.display, classes=names)

    def select(self, instance_id: int) -> None:
        """Mark an object, or none for 0 and for the one that is marked; `ValueError` for an id that the scene lacks."""
        if instance_id:
            object_facts(self._scene, instance_id)
        self._note = ""
        self.display = replace(self.display, selected=0 if instance_id == self.display.selected else instance_id)

    def pick(self, origin: Tensor, direction: Tensor, focal_px: float) -> None:
        """Mark the visible object along a ray of the world; see `pick_along_ray`."""
        seen = visible_gaussians(self._scene, self.display)
        gaussians = replace(self._scene.gaussians, opacities=self._scene.gaussians.opacities * seen)
        found = pick_along_ray(gaussians, self._scene.instance_id, origin, direction, focal_px)
        self.display = replace(self.display, selected=0 if found is None else found.instance_id)
        self._note = "Nothing is there."
        if found is not None:
            place = ", ".join(f"{value:.3f}" for value in found.point.tolist())
            self._note = f"clicked at ({place})" if found.instance_id else f"No object is at ({place})."

    def set_presence(self, instance_id: int, presence: str) -> None:
        """`presence`: "show"; "hide" from view; "remove", a preview of the scene without the object, exported like that."""
        if presence not in PRESENCE:
            raise ValueError(f"presence: expected one of {', '.join(PRESENCE)}, got {presence!r}")
        object_facts(self._scene, instance_id)
        hidden, removed = self.display.hidden - {instance_id}, self.display.removed - {instance_id}
        if presence == HIDE:
            hidden |= {instance_id}
        elif presence == REMOVE:
            removed |= {instance_id}
        self.display = replace(self.display, hidden=hidden, removed=removed)

    def show_all(self) -> None:
        """Put everything back that was hidden or removed."""
        self.display = replace(self.display, hidden=frozenset(), removed=frozenset())

    def show_cameras(self, visible: bool) -> None:
        """Draw the cameras of the views or leave them out."""
        self._drawing.show_cameras(visible)

    def ply_bytes(self) -> bytes:
        """The scene without what was removed as a file for other viewers; see `write_gaussian_ply`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "scene.ply")
            removed = sorted(self.display.removed)
            write_gaussian_ply(path, (without_instances(self._scene, removed) if removed else self._scene).gaussians)
            return path.read_bytes()

    def _on_click(self, event: viser.SceneClickEvent) -> None:
        camera = event.client.camera
        focal_px = camera.image_height / (2 * math.tan(camera.fov / 2))
        origin, direction = (torch.tensor(vector, dtype=torch.float32) for vector in (event.ray_origin, event.ray_direction))
        self.attempt(lambda: self.pick(origin, direction, focal_px))

    def _refresh(self) -> None:
        selected = object_facts(self._scene, self.display.selected) if self.display.selected else None
        self._drawing.update(
            shown_colors(self._scene, self.display, self._class_ids), visible_gaussians(self._scene, self.display)
        )
        absent = selected is None or self.display.selected in self.display.absent
        self._drawing.frame(None if selected is None or absent else selected.box)
        self._panel.update(self.display, selected, self._note, self.problem)
