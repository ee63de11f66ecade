"""A running node as a page in the browser, by `viser`: cameras with objects, cloud, times, health, and a prompt box.

The page is one state, which everybody who opens it shares. While nobody has it open it subscribes to nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from diagnostic_msgs.msg import DiagnosticStatus
from pan3d_interfaces.msg import Instance, InstanceArray
from pan3d_interfaces.srv import SegmentObject
from sensor_msgs.msg import PointCloud2

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.pictures.overlays import box_lines
from pan3d_core.pictures.palette import instance_color, instance_palette
from pan3d_ros.messages.clouds import cloud_from_message, unpack_rgb
from pan3d_ros.messages.poses import matrix_from_pose, pose_numbers
from pan3d_tools.live.connection import NodeConnection, NodeUnavailable, refusal
from pan3d_tools.live.panel import COLOURS, NodePanel, state_of
from pan3d_tools.live.sight import Sight
from pan3d_tools.viewer.serving import PageAddress, serve, stop_quietly

if TYPE_CHECKING:
    import viser

PAINT_S = 0.3  # at least, between two pictures of the page
CHECK_S = 1.0  # between two looks at whether the node is there
ANSWER_S = 20.0  # that the node may take to answer a prompt
POINT_M = 0.003
TINT = np.array([255.0, 217.0, 26.0])  # of points that stand out
TINT_SHARE = 0.55
DEFAULT_EYE, DEFAULT_TARGET = (1.2, -1.2, 1.0), (0.0, 0.0, 0.1)  # metres in the node's frame, of who opens the page


@dataclass(frozen=True)
class NodePageSettings(PageAddress):
    """Where the page is served, and whose it is."""

    port: int = 8081  # beside the viewer's
    node: str = "/pan3d"  # fully qualified


class NodePage:
    """The page of a node, served until `stop`; the node need not be there yet.

    Raises `ValueError` when the port is taken, the host is not one of this machine or the node's name is none,
    `ModuleNotFoundError` where viser is not installed.

    Attributes:
        address: of the page, for a browser.
        marked: ids of the last answer, which stand out.
    """

    def __init__(self, settings: NodePageSettings | None = None) -> None:
        self._settings = settings or NodePageSettings()
        self._connection = NodeConnection(self._settings.node, "pan3d_web")
        try:
            self._server, self.address = serve(self._settings)
        except (ValueError, ModuleNotFoundError):
            self._connection.close()
            raise
        self.marked: frozenset[int] = frozenset()
        self._colours = COLOURS[0]
        self._visitors: set[int] = set()
        self._lock = threading.Lock()  # of visitors: their coming and going is told on threads of a pool
        self._asking = threading.Lock()
        self._news, self._closing = threading.Event(), threading.Event()
        self._sight = Sight(self._connection, self._news.set)
        self._shown_cloud: tuple[PointCloud2 | None, str, frozenset[int]] = (None, "", frozenset())
        self._shown_boxes: tuple[InstanceArray | None, frozenset[int]] = (None, frozenset())
        self._drawn: dict[str, viser.SceneNodeHandle] = {}
        self._panel = NodePanel(self._server.gui, self.ask, self.forget, self.choose)
        camera = self._server.initial_camera
        camera.position, camera.look_at = DEFAULT_EYE, DEFAULT_TARGET
        self._server.on_client_connect(lambda client: self._visit(client.client_id, True))
        self._server.on_client_disconnect(lambda client: self._visit(client.client_id, False))
        self._painter = threading.Thread(target=self._paint_on, name="pan3d web", daemon=True)
        self._painter.start()

    def stop(self) -> None:
        """Close the page's connections, free the port, leave the graph."""
        self._closing.set()
        self._news.set()
        self._painter.join(10 * CHECK_S)
        stop_quietly(self._server)
        self._connection.close()

    def ask(self, prompt: str) -> None:
        """Ask the node for what a prompt means and let the answer stand out; a refusal is shown in its own words."""
        if not self._asking.acquire(blocking=False):
            return  # one question at a time; the page says which
        try:
            self._panel.tell_answer([f"asking for {prompt!r} ..."], DiagnosticStatus.STALE)
            request = SegmentObject.Request(prompt=prompt, timeout=ANSWER_S)
            answer = self._connection.ask(SegmentObject, "segment_object", request, ANSWER_S)
        except NodeUnavailable as error:
            self.marked = frozenset()
            self._panel.tell_answer([str(error)], DiagnosticStatus.ERROR)
        else:
            self.marked = frozenset(item.id for item in answer.instances.instances)
            self._panel.tell_answer(*answer_lines(prompt, answer))
        finally:
            self._asking.release()
            self._news.set()

    def forget(self) -> None:
        """Let nothing stand out."""
        self.marked = frozenset()
        self._panel.tell_answer([], DiagnosticStatus.OK)
        self._news.set()

    def choose(self, colours: str) -> None:
        """Colour the cloud by one of `COLOURS`; `ValueError` for another word."""
        if colours not in COLOURS:
            raise ValueError(f"colours: expected one of {', '.join(COLOURS)}, got {colours!r}")
        self._colours = colours
        self._news.set()

    def _visit(self, client_id: int, here: bool) -> None:
        with self._lock:
            before = bool(self._visitors)
            (self._visitors.add if here else self._visitors.discard)(client_id)
            now = bool(self._visitors)
            if now != before and not self._closing.is_set():
                (self._sight.begin if now else self._sight.end)()
        self._news.set()

    def _paint_on(self) -> None:
        while not self._closing.is_set():
            self._news.wait(CHECK_S)
            self._news.clear()
            if self._visitors and not self._closing.is_set():
                self._paint()
                self._closing.wait(PAINT_S)

    def _paint(self) -> None:
        look, marked = self._sight.look, self.marked
        absence = "" if self._connection.is_there() else self._connection.absence()
        with self._server.atomic():
            self._panel.tell_state(*state_of(look, absence))
            try:
                self._panel.show(look, marked)
                if look.instances is not None:
                    self._draw_boxes(look.instances, marked)
                if look.cloud is not None:
                    self._draw_cloud(look.cloud, marked)
            except ValueError as error:  # a message that is not of this version's node
                self._panel.tell_state(str(error), DiagnosticStatus.ERROR)

    def _draw_cloud(self, message: PointCloud2, marked: frozenset[int]) -> None:
        shown, *how = self._shown_cloud
        if message is shown and how == [self._colours, marked]:
            return
        self._shown_cloud = (message, self._colours, marked)
        points, colors = cloud_arrays(message, self._colours, marked)
        self._server.scene.add_point_cloud("/points", points, colors, point_size=POINT_M, point_shape="circle")

    def _draw_boxes(self, instances: InstanceArray, marked: frozenset[int]) -> None:
        """Boxes and names of all objects, or of those alone that stand out."""
        if (instances, marked) == self._shown_boxes:
            return
        self._shown_boxes = instances, marked
        wanted = {item.id: item for item in instances.instances if not marked or item.id in marked}
        for name in [name for name in self._drawn if int(name.split("/")[2]) not in wanted]:
            self._drawn.pop(name).remove()
        for key, item in wanted.items():
            lines = box_lines(box_of(item), instance_color(key))
            edges = np.stack([line for line, _ in lines])
            text = f"{key} {item.class_name or 'unnamed'}"
            self._drawn[f"/objects/{key}/box"] = self._server.scene.add_line_segments(
                f"/objects/{key}/box", edges, instance_color(key), thickness=4.0 if marked else 2.0, thickness_units="screen"
            )
            self._drawn[f"/objects/{key}/name"] = self._server.scene.add_label(
                f"/objects/{key}/name", text, position=edges.reshape(-1, 3).max(0), anchor="bottom-center"
            )


def box_of(item: Instance) -> OrientedBox:
    """Box of an instance, in the unit of its message; `ValueError` for a pose that is none."""
    size = torch.tensor([item.size.x, item.size.y, item.size.z])
    return OrientedBox(matrix_from_pose(f"instance {item.id}", *pose_numbers(item.pose)), size)


def cloud_arrays(message: PointCloud2, colours: str, marked: frozenset[int]) -> tuple[np.ndarray, np.ndarray]:
    """Give the points of a cloud with the colours in which they are shown.

    Args:
        message: Of the node.
        colours: "colour", that of the cameras, or "instances".
        marked: Ids of instances that stand out.

    Returns:
        (N, 3) float32 and (N, 3) uint8 RGB.
    """
    records = cloud_from_message(message)
    instance = records["instance"]
    if colours == "instances":
        known, rows = np.unique(instance, return_inverse=True)
        palette = np.array([instance_color(int(key)) if key else instance_palette(0)[0] for key in known]).reshape(-1, 3)
        colors = palette[rows].astype(np.uint8)
    else:
        colors = unpack_rgb(records["rgb"])
    if marked:
        chosen = np.isin(instance, list(marked))
        colors[chosen] = (1 - TINT_SHARE) * colors[chosen] + TINT_SHARE * TINT
    return np.stack([records["x"], records["y"], records["z"]], axis=-1), colors


def answer_lines(prompt: str, answer: SegmentObject.Response) -> tuple[list[str], bytes]:
    """Say what an answer says.

    Args:
        prompt: That was asked.
        answer: Of the node.

    Returns:
        Lines, and the level of DiagnosticStatus that goes with them.
    """
    if refused := refusal(answer):
        return [f"{prompt}: {refused}"], DiagnosticStatus.WARN
    found = [
        f"{item.id} {item.class_name or 'unnamed'}: {100 * probability:.0f} %"
        for item, probability in zip(answer.instances.instances, answer.match_probabilities)
    ]
    return [f"{prompt}: {answer.explanation}", *found], DiagnosticStatus.OK
