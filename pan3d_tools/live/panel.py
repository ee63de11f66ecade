"""The controls beside the cloud in the page of a node, and the lines that tell how it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus

from pan3d_core.pictures.palette import Color, instance_color
from pan3d_tools.live.sight import Look
from pan3d_tools.viewer.serving import paragraph

if TYPE_CHECKING:
    import viser

COLOURS = ("colour", "instances")
SILENT_S = 5.0  # after so long without a result the page says since when
LEVELS: dict[bytes, tuple[str, Color]] = {
    DiagnosticStatus.OK: ("ok", (40, 140, 70)),
    DiagnosticStatus.WARN: ("warning", (215, 140, 20)),
    DiagnosticStatus.ERROR: ("error", (190, 30, 45)),
    DiagnosticStatus.STALE: ("stale", (120, 120, 120)),
}


class NodePanel:
    """Widgets of one page, the same for everybody who looks at it.

    Args:
        gui: Where they go, `ViserServer.gui`.
        ask: Called with the words of the prompt box.
        forget: Called when the answer shall not stand out any more.
        choose: Called with one of `COLOURS`.
    """

    def __init__(
        self, gui: viser.GuiApi, ask: Callable[[str], None], forget: Callable[[], None], choose: Callable[[str], None]
    ) -> None:
        self._gui = gui
        # What is pressed stands above what changes its height.
        words = gui.add_text("Prompt", "", hint="such as: the red mug on the left")
        gui.add_button("Ask").on_click(lambda _: ask(words.value))
        gui.add_button("Forget the answer").on_click(lambda _: forget())
        colours = gui.add_dropdown("Colours", COLOURS)
        colours.on_update(lambda event: choose(event.target.value))
        self._answer = gui.add_html("")
        self._state = gui.add_html("")
        self._folders = {name: gui.add_folder(name) for name in ("Cameras", "Objects", "Times", "Diagnostics")}
        self._texts: dict[str, viser.GuiHtmlHandle] = {}
        for name in ("Objects", "Times", "Diagnostics"):
            with self._folders[name]:
                self._texts[name] = gui.add_html("")
        self._pictures: dict[str, viser.GuiImageHandle] = {}

    def tell_state(self, text: str, level: bytes) -> None:
        """Say in the first line how it stands. `level`: of DiagnosticStatus."""
        self._state.content = paragraph(text, LEVELS[level][1])

    def tell_answer(self, lines: list[str], level: bytes) -> None:
        """Show what came of the prompt. `level`: of DiagnosticStatus."""
        self._answer.content = "".join(paragraph(line, LEVELS[level][1] if k == 0 else None) for k, line in enumerate(lines))

    def show(self, look: Look, marked: frozenset[int]) -> None:
        """Show what has been seen. `marked`: ids that stand out."""
        for camera in look.pictures:
            picture = look.picture(camera, marked)
            if camera in self._pictures:
                self._pictures[camera].image = picture
            else:
                with self._folders["Cameras"]:
                    self._pictures[camera] = self._gui.add_image(picture, label=camera, format="jpeg")
        for camera in set(self._pictures) - set(look.pictures):
            self._pictures.pop(camera).remove()
        self._texts["Objects"].content = "".join(
            paragraph(f"▸ {name}" if key in marked else name, instance_color(key)) for key, name in look.names().items()
        )
        self._texts["Times"].content = "".join(paragraph(line) for line in time_lines(look))
        self._texts["Diagnostics"].content = "".join(
            paragraph(f"{name}: {line.message}", LEVELS.get(line.level, LEVELS[DiagnosticStatus.STALE])[1])
            for name, line in sorted(look.health.items())
        )


def state_of(look: Look, absence: str) -> tuple[str, bytes]:
    """Say in one line how a node does.

    Args:
        look: What has been seen of it.
        absence: Why nothing can be seen; empty where the node is there.

    Returns:
        The line, and its level of DiagnosticStatus.
    """
    if absence:
        return absence, DiagnosticStatus.ERROR
    silent_s = None if look.arrived_s is None else time.monotonic() - look.arrived_s
    bad = [line for line in look.health.values() if line.level != DiagnosticStatus.OK]
    worst = max(bad, key=lambda line: line.level, default=None)
    why = "" if worst is None else f": {worst.message}"
    if silent_s is None:
        return f"The node is there and has sent no result yet{why}", DiagnosticStatus.WARN
    if silent_s > SILENT_S:
        return f"No result for {silent_s:.0f} s{why}", DiagnosticStatus.WARN
    count = 0 if look.instances is None else len(look.instances.instances)
    unit = "metres" if look.instances is not None and look.instances.metric else "no metres: for viewing only"
    return f"{count} objects; {unit}{why}", DiagnosticStatus.OK if worst is None else worst.level


def time_lines(look: Look) -> list[str]:
    """Say how long a result takes, by the node's own figures; nothing where none have come."""
    stats = look.stats
    if stats is None:
        return []
    lines = [
        f"{1000 * stats.latency_seconds:.0f} ms from the newest picture to its result "
        f"(median {1000 * stats.latency_p50_seconds:.0f}, 99 %: {1000 * stats.latency_p99_seconds:.0f})",
        f"{1000 * stats.process_seconds:.0f} ms of work by {stats.model} on {stats.device}",
    ]
    stages = sorted(zip(stats.stage_seconds, stats.stages), reverse=True)[:4]
    lines.append(", ".join(f"{name} {1000 * seconds:.0f} ms" for seconds, name in stages))
    return lines + [f"without {name}: {why}" for name, why in zip(stats.cameras_left_out, stats.left_out_reasons)]
