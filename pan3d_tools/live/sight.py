"""What a node shows of itself: the newest messages of its topics, subscribed to only while somebody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from pan3d_interfaces.msg import InstanceArray, PipelineStats
from sensor_msgs.msg import Image, PointCloud2

from pan3d_core.pictures.overlays import enlarge, overlay
from pan3d_core.pictures.palette import Picture
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.images import image_array, image_to_rgb
from pan3d_ros.outputs.publishers import profile
from pan3d_tools.live.connection import NodeConnection

PICTURE_WIDTH = 480  # at least, so that names in it can be read
KEPT = 4  # pictures of a camera whose ids may still come


@dataclass(frozen=True)
class Look:
    """What has been seen of a node up to one moment."""

    instances: InstanceArray | None = None
    cloud: PointCloud2 | None = None
    stats: PipelineStats | None = None
    pictures: Mapping[str, tuple[Image, Image]] = field(default_factory=dict)  # camera -> colours and ids of one moment
    health: Mapping[str, DiagnosticStatus] = field(default_factory=dict)  # what it is about -> the newest line
    arrived_s: float | None = None  # time.monotonic() of the newest result

    def names(self) -> dict[int, str]:
        """Id -> id and name of every object, as they are written into pictures."""
        found = () if self.instances is None else self.instances.instances
        return {item.id: f"{item.id} {item.class_name or 'unnamed'}" for item in found}

    def picture(self, camera: str, marked: frozenset[int] = frozenset()) -> Picture:
        """Draw the objects into what a camera saw.

        Args:
            camera: One of `pictures`.
            marked: Ids that stand out; where there are some, the others are drawn faintly and without names.

        Returns:
            (H, W, 3) uint8 RGB, at least `PICTURE_WIDTH` wide.
        """
        colors, ids = self.pictures[camera]
        width = max(PICTURE_WIDTH, colors.width)
        canvas = enlarge(image_to_rgb(colors), width)
        on_canvas = enlarge(image_array(ids), width, smooth=False)
        names = self.names()
        if not marked:
            return overlay(canvas, on_canvas, names)
        faint = overlay(canvas, on_canvas, {}, strength=0.1)
        chosen = np.where(np.isin(on_canvas, list(marked)), on_canvas, 0)
        return overlay(faint, chosen, {key: name for key, name in names.items() if key in marked}, strength=0.6)


class Sight:
    """Looks at a node between `begin` and `end`, and subscribes to nothing otherwise.

    Args:
        connection: To the node.
        changed: Called in the thread of ROS whenever something new has come.
    """

    def __init__(self, connection: NodeConnection, changed: Callable[[], None] = lambda: None) -> None:
        self._connection, self._changed = connection, changed
        self._lock = threading.Lock()
        self._look = Look()
        self._waiting: dict[str, dict[int, dict[str, Image]]] = {}  # camera -> stamp -> one of two that belong together
        self._subscriptions: dict[str, Any] = {}

    @property
    def look(self) -> Look:
        """What has been seen so far."""
        return self._look

    def begin(self) -> None:
        """Subscribe; what was seen before is forgotten."""
        self._connection.in_ros(self._begin)

    def end(self) -> None:
        """Unsubscribe."""
        self._connection.in_ros(self._end)

    def _begin(self) -> None:
        self._end()
        self._look, self._waiting = Look(), {}
        self._hear(DiagnosticArray, "/diagnostics", self._take_health, 10)
        self._hear(InstanceArray, f"{self._connection.node_name}/instances", self._take_instances, 5)
        self._hear(PipelineStats, f"{self._connection.node_name}/stats", lambda message: self._put(stats=message), 5)
        self._hear(PointCloud2, f"{self._connection.node_name}/points", lambda message: self._put(cloud=message), 1)

    def _end(self) -> None:
        for subscription in self._subscriptions.values():
            self._connection.node.destroy_subscription(subscription)
        self._subscriptions = {}

    def _hear(self, kind: Any, topic: str, take: Callable[[Any], None], depth: int) -> None:
        # Best effort fits publishers of either reliability.
        subscription = self._connection.node.create_subscription(kind, topic, take, profile(depth, reliable=False))
        self._subscriptions[topic] = subscription

    def _put(self, **fields: Any) -> None:
        with self._lock:
            self._look = replace(self._look, **fields)
        self._changed()

    def _take_instances(self, message: InstanceArray) -> None:
        for camera in message.cameras:
            place = f"{self._connection.node_name}/{camera}"
            if f"{place}/image" not in self._subscriptions:
                self._waiting[camera] = {}
                for kind in ("image", "instance_image"):
                    self._hear(Image, f"{place}/{kind}", partial(self._take_image, camera, kind), KEPT)
        self._put(instances=message, arrived_s=time.monotonic())

    def _take_image(self, camera: str, kind: str, message: Image) -> None:
        kept, stamp_ns = self._waiting[camera], stamp_to_ns(message.header.stamp)
        pair = kept.setdefault(stamp_ns, {})
        pair[kind] = message
        if len(pair) == 2:
            del kept[stamp_ns]
            self._put(pictures={**self._look.pictures, camera: (pair["image"], pair["instance_image"])})
        while len(kept) > KEPT:
            kept.pop(next(iter(kept)))

    def _take_health(self, message: DiagnosticArray) -> None:
        about = f"{self._connection.node_name}: "
        own = {line.name.removeprefix(about): line for line in message.status if line.name.startswith(about)}
        if own:
            self._put(health={**self._look.health, **own})
