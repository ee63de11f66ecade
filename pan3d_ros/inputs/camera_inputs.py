"""The topics of one camera: subscriptions, and what can be said about them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pan3d_ros.inputs.camera_frames import CameraFrame, CameraTopics, FramePairing
from pan3d_ros.inputs.elsewhere import hint
from pan3d_ros.inputs.serialized import Serialized
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.parameters.node_config import CameraConfig, InputConfig
from pan3d_ros.platform.distributions import SubscriptionEventCallbacks
from pan3d_ros.platform.rclpy_private import qos_overrides, take_waiting
from pan3d_ros.platform.stand_ins import ApproximateTimeSynchronizer

PARTS = ("pose", "info", "depth", "image")  # of a camera, in the order in which they are taken
UNPAIRED_S = 2.0  # images that come for so long without becoming frames are an error


class CameraInput:
    """Subscribes to one camera and hands over complete frames.

    All callbacks belong to `callback_group`, which must be mutually exclusive. `now_s` below is
    `time.monotonic()`. Whatever comes makes it take all that waits, of other cameras too where `drain_all` is set.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        input_config: InputConfig,
        camera_config: CameraConfig,
        on_frame: Callable[[CameraFrame], None],
        on_pose: Callable[[str, PoseStamped], None] | None,
        callback_group: CallbackGroup,
    ) -> None:
        self.name = name
        self.drain_all = self._drain_own
        self._handlers: dict[str, Callable[[Any], None]] = {}
        self._taking = threading.RLock()
        self._faults: dict[str, str] = {}  # topic -> why its newest pose or a publisher was refused
        self.topics = CameraTopics.of(name, camera_config, input_config.image_transport)
        self.heard = self.topics.resolved(node.resolve_topic_name)  # as others see them, to tell a person
        packed = input_config.image_transport == "compressed" or self.topics.image.endswith("/compressed")
        self._image_type = CompressedImage if packed else Image
        self._depth_type = CompressedImage if self.topics.depth.endswith("compressedDepth") else Image
        self._node, self._group = node, callback_group
        self._input = input_config
        self._on_pose = on_pose
        self._pairing = FramePairing(
            name, input_config, camera_config, partial(self._pass_on, on_frame), ApproximateTimeSynchronizer
        )
        self.counts = self._pairing.counts  # image, info, depth, frame, bad_pose
        self._arrived_s: float | None = None  # the newest image
        self._stamp_ns = 0  # of it
        self._gaps_s: deque[float] = deque(maxlen=30)  # between stamps of images
        self._started_s = self._began_s = self._framed_s = time.monotonic()
        self._subscriptions: dict[str, Any] = {}
        self._chosen: dict[str, tuple[bool, bool]] = {}  # reliable, latched
        self.refresh_qos()

    @property
    def problem(self) -> str:
        """Why poses or publishers are refused at present; "" where all is well."""
        return "; ".join(self._faults.values())

    @property
    def waits_for_info(self) -> bool:
        """Whether frames need a camera_info message."""
        return self._pairing.waits_for_info

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def forget(self) -> None:
        """Time started over: an image of before that waits for its camera_info is dropped. Called from other threads."""
        self._pairing.forget()

    def rate_hz(self, now_s: float) -> float:
        """Images per second as the stamps of those say that came one after the other, 0 when they stopped."""
        gaps = sorted(self._gaps_s)
        if not gaps or self.silence_s(now_s) > 2.0:
            return 0.0
        return 1.0 / max(gaps[len(gaps) // 4], 1e-6)  # most gaps are of images that nobody took between

    def silence_s(self, now_s: float) -> float:
        """Seconds without an image."""
        return now_s - (self._started_s if self._arrived_s is None else self._arrived_s)

    @property
    def info_problem(self) -> str:
        """Why the camera_info that has come cannot serve; "" where it does, or none has come."""
        return self._pairing.info_problem

    def lacks_info(self, now_s: float) -> bool:
        """Images have come for some time, but no camera_info."""
        waited = now_s - self._started_s > self._input.info_timeout_s
        return self.waits_for_info and bool(self.counts["image"]) and not self.counts["info"] and waited

    def lacks_depth(self, now_s: float) -> bool:
        """Images have come for some time, but no depth."""
        waited = now_s - self._started_s > self._input.info_timeout_s
        return self._input.use_depth and bool(self.counts["image"]) and not self.counts["depth"] and waited

    def unpaired_s(self, now_s: float) -> float:
        """Seconds for which images have come that did not become frames; 0 while they do, and without images."""
        if self._arrived_s is None or now_s - self._arrived_s > UNPAIRED_S:
            return 0.0
        return now_s - max(self._framed_s, self._began_s)

    def refresh_qos(self) -> None:
        """(Re)subscribe wherever the reliability does not fit the publishers that are there now."""
        wanted: dict[str, tuple[type, str, Callable[[Any], None]]] = {
            "image": (self._image_type, self.topics.image, self._take_image)
        }
        if self.waits_for_info:
            wanted["info"] = (CameraInfo, self.topics.info, self._take_info)
        if self._input.use_depth:
            wanted["depth"] = (self._depth_type, self.topics.depth, self._take_depth)
        if self._on_pose is not None:
            wanted["pose"] = (PoseStamped, self.topics.pose, partial(self._take_pose, self._on_pose))
        for key, (kind, topic, callback) in wanted.items():
            qos = self._choose_reliable(topic), key == "info" and self._is_latched(topic)
            if key in self._subscriptions and qos == self._chosen[key]:
                continue
            if key in self._subscriptions:
                self._node.destroy_subscription(self._subscriptions.pop(key))
            self._subscriptions[key] = self._subscribe(key, kind, topic, callback, *qos)
            self._chosen[key] = qos

    def publishers(self) -> int:
        """Number of publishers on the image topic."""
        return len(self._node.get_publishers_info_by_topic(self._subscriptions["image"].topic_name))

    def elsewhere(self, part: str) -> str:
        """Say where a topic that nobody publishes may be instead; empty where that is not known.

        Args:
            part: "image", "info" or "depth".

        Returns:
            Words to go on with, see `hint`.
        """
        node, wanted = self._node, getattr(self.heard, part)
        if node.count_publishers(wanted):
            return ""
        kinds = {"image": self._image_type, "info": CameraInfo, "depth": self._depth_type}
        kind = f"sensor_msgs/msg/{kinds[part].__name__}"
        own = f"{node.get_fully_qualified_name()}/"  # what the node itself publishes
        typed = [topic for topic, types in node.get_topic_names_and_types() if kind in types and not topic.startswith(own)]
        others = [topic for topic in typed if node.count_publishers(topic)]
        heard = {subscription.topic_name for subscription in node.subscriptions}  # by other cameras of the node
        return hint(getattr(self.topics, part), others, kind, f"camera.{self.name}.{part}_topic", heard)

    def _choose_reliable(self, topic: str) -> bool:
        if self._input.qos != "auto":
            return self._input.qos == "reliable"
        offers = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))
        return bool(offers) and all(o.qos_profile.reliability == ReliabilityPolicy.RELIABLE for o in offers)

    def _is_latched(self, topic: str) -> bool:
        """Whether every publisher keeps its last message for those who come later. It is heard only by who asks for it."""
        offers = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))
        return bool(offers) and all(o.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for o in offers)

    def _subscribe(self, key: str, kind: type, topic: str, callback: Callable[[Any], None], reliable: bool, latched: bool) -> Any:
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        # What waits while nobody takes it; poses come faster than images and are wanted at their stamps.
        depth = {PoseStamped: 100, CameraInfo: 4}.get(kind, 2)
        pixels = kind in (Image, CompressedImage)
        profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)

        def incompatible(event: Any) -> None:
            fault = f"{topic}: a publisher's QoS does not fit ({event.last_policy_kind}); see parameter input.qos"
            self._faults[topic] = fault
            self._node.get_logger().error(f"{self.name}: {fault}", throttle_duration_sec=30.0)

        def handle(message: Any) -> None:
            self._faults.pop(topic, None)  # whatever was wrong, now it comes
            callback(Serialized(kind, message) if pixels else message)

        def take(message: Any) -> None:
            with self._taking:
                handle(message)
            self.drain_all()

        self._handlers[key] = handle
        events = SubscriptionEventCallbacks(incompatible_qos=incompatible)
        overrides = qos_overrides(self._node, topic, "subscription")
        return self._node.create_subscription(
            kind, topic, take, profile, callback_group=self._group, event_callbacks=events, raw=pixels,
            qos_overriding_options=overrides,
        )  # fmt: skip

    def drain(self, part: str) -> None:
        """Take all that waits in the middleware. `part`: one of `PARTS`; others than poses in the callback group only."""
        with self._taking:
            if (subscription := self._subscriptions.get(part)) is not None:
                for message in take_waiting(subscription):
                    self._handlers[part](message)

    def _drain_own(self) -> None:
        for part in PARTS:
            self.drain(part)

    def _pass_on(self, on_frame: Callable[[CameraFrame], None], frame: CameraFrame) -> None:
        self._framed_s = time.monotonic()
        on_frame(frame)

    def _take_image(self, message: Serialized) -> None:
        now_s = time.monotonic()
        if self.silence_s(now_s) > UNPAIRED_S:
            self._began_s = now_s  # images begin again; what they lack is to be judged from here
        stamp_ns = stamp_to_ns(message.header.stamp)
        if self._arrived_s is not None and stamp_ns > self._stamp_ns:
            self._gaps_s.append((stamp_ns - self._stamp_ns) * 1e-9)
        self._arrived_s, self._stamp_ns = now_s, stamp_ns
        self._pairing.take("image", message)

    def _take_info(self, message: CameraInfo) -> None:
        self._pairing.take("info", message)

    def _take_depth(self, message: Serialized) -> None:
        self._pairing.take("depth", message)

    def _take_pose(self, on_pose: Callable[[str, PoseStamped], None], message: PoseStamped) -> None:
        try:
            on_pose(self.name, message)
        except ValueError as error:
            self.counts["bad_pose"] += 1
            self._faults[self.topics.pose] = str(error)
            self._node.get_logger().error(str(error), throttle_duration_sec=10.0)
