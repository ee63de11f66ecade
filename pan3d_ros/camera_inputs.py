"""The topics of one camera: subscriptions, pairing of image, camera_info and depth, and what can be said about them."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.cameras import info_from_file
from pan3d_ros.node_config import CameraConfig, InputConfig
from pan3d_ros.ros_stand_ins import ApproximateTimeSynchronizer, SimpleFilter

_JUMP_BACK_NS = 500_000_000


@dataclass(frozen=True)
class CameraFrame:
    """Messages of one camera that belong together."""

    camera: str
    image: Image | CompressedImage
    info: CameraInfo | None
    depth: Image | CompressedImage | None
    config: CameraConfig

    @property
    def stamp_ns(self) -> int:
        return stamp_to_ns(self.image.header.stamp)

    @property
    def frame_id(self) -> str:
        """Optical frame of the image."""
        return self.config.frame_id or self.image.header.frame_id


@dataclass(frozen=True)
class CameraTopics:
    """Resolved names and types of what one camera publishes."""

    image: str
    info: str
    depth: str
    pose: str
    image_type: type

    @classmethod
    def of(cls, name: str, config: CameraConfig, transport: str) -> CameraTopics:
        suffix, kind = ("/compressed", CompressedImage) if transport == "compressed" else ("", Image)
        return cls(
            image=config.image_topic or f"{name}/image_raw{suffix}",
            info=config.info_topic or f"{name}/camera_info",
            depth=config.depth_topic or f"{name}/depth",
            pose=config.pose_topic or f"{name}/pose",
            image_type=kind,
        )


class CameraInput:
    """Subscribes to one camera and hands over complete frames.

    All callbacks belong to `callback_group`, which must be mutually exclusive. `now_s` below is
    `time.monotonic()`.
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
        self.counts: Counter[str] = Counter()  # image, info, depth, frame, bad_pose
        self.problem = ""  # last reason why a pose or a subscription was refused
        self.topics = CameraTopics.of(name, camera_config, input_config.image_transport)
        self._node, self._group = node, callback_group
        self._input, self._config = input_config, camera_config
        self._on_frame, self._on_pose = on_frame, on_pose
        self._fixed_info = info_from_file(camera_config.calibration_file) if camera_config.calibration_file else None
        self._arrivals: deque[float] = deque(maxlen=30)
        self._last_stamp_ns = 0
        self._started_s = time.monotonic()
        self._subscriptions: dict[str, Any] = {}
        self._reliable: dict[str, bool] = {}
        self._make_pairing()
        self.refresh_qos()

    @property
    def waits_for_info(self) -> bool:
        """Whether frames need a camera_info message."""
        return self._input.use_camera_info and self._fixed_info is None

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def rate_hz(self, now_s: float) -> float:
        """Images per second over the last 30, 0 when they stopped."""
        arrivals = list(self._arrivals)
        if len(arrivals) < 2 or now_s - arrivals[-1] > 2.0:
            return 0.0
        return (len(arrivals) - 1) / max(arrivals[-1] - arrivals[0], 1e-6)

    def silence_s(self, now_s: float) -> float:
        """Seconds without an image."""
        return now_s - (self._arrivals[-1] if self._arrivals else self._started_s)

    def lacks_info(self, now_s: float) -> bool:
        """Images have come for some time, but no camera_info."""
        waited = now_s - self._started_s > self._input.info_timeout_s
        return self.waits_for_info and bool(self.counts["image"]) and not self.counts["info"] and waited

    def lacks_depth(self, now_s: float) -> bool:
        """Images have come for some time, but no depth."""
        waited = now_s - self._started_s > self._input.info_timeout_s
        return self._input.use_depth and bool(self.counts["image"]) and not self.counts["depth"] and waited

    def refresh_qos(self) -> None:
        """(Re)subscribe wherever the reliability does not fit the publishers that are there now."""
        wanted: dict[str, tuple[type, str, Callable[[Any], None]]] = {
            "image": (self.topics.image_type, self.topics.image, self._take_image)
        }
        if self.waits_for_info:
            wanted["info"] = (CameraInfo, self.topics.info, self._take_info)
        if self._input.use_depth:
            kind = CompressedImage if self.topics.depth.endswith("compressedDepth") else Image
            wanted["depth"] = (kind, self.topics.depth, self._take_depth)
        if self._on_pose is not None:
            wanted["pose"] = (PoseStamped, self.topics.pose, self._take_pose)
        for key, (kind, topic, callback) in wanted.items():
            reliable = self._choose_reliable(topic)
            if key in self._subscriptions and reliable == self._reliable[key]:
                continue
            if key in self._subscriptions:
                self._node.destroy_subscription(self._subscriptions.pop(key))
            self._subscriptions[key] = self._subscribe(kind, topic, callback, reliable)
            self._reliable[key] = reliable

    def publishers(self) -> int:
        """Number of publishers on the image topic."""
        return len(self._node.get_publishers_info_by_topic(self._subscriptions["image"].topic_name))

    def _choose_reliable(self, topic: str) -> bool:
        if self._input.qos != "auto":
            return self._input.qos == "reliable"
        offers = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))
        return bool(offers) and all(o.qos_profile.reliability == ReliabilityPolicy.RELIABLE for o in offers)

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None], reliable: bool) -> Any:
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        depth = self._input.pair_queue if kind in (CameraInfo, PoseStamped) else 2
        profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability)

        def incompatible(event: Any) -> None:
            self.problem = f"{topic}: a publisher's QoS does not fit ({event.last_policy_kind}); see parameter input.qos"
            self._node.get_logger().error(f"{self.name}: {self.problem}", throttle_duration_sec=30.0)

        events = SubscriptionEventCallbacks(incompatible_qos=incompatible)
        return self._node.create_subscription(kind, topic, callback, profile, callback_group=self._group, event_callbacks=events)

    def _make_pairing(self) -> None:
        """Fresh queues; old ones would hold messages from after a jump of the clock for ever."""
        self._sources = {"image": SimpleFilter()}
        if self.waits_for_info:
            self._sources["info"] = SimpleFilter()
        if self._input.use_depth:
            self._sources["depth"] = SimpleFilter()
        if len(self._sources) == 1:
            self._sources["image"].registerCallback(self._pair)
        else:
            sources = list(self._sources.values())
            self._pairing = ApproximateTimeSynchronizer(sources, self._input.pair_queue, self._input.pair_slop_s)
            self._pairing.registerCallback(self._pair)

    def _pair(self, *messages: Any) -> None:
        by_kind = dict(zip(self._sources, messages))
        self.counts["frame"] += 1
        info = by_kind.get("info", self._fixed_info)
        self._on_frame(CameraFrame(self.name, by_kind["image"], info, by_kind.get("depth"), self._config))

    def _take_image(self, message: Image | CompressedImage) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        if self._last_stamp_ns - stamp_ns > _JUMP_BACK_NS:
            self._make_pairing()
        self._last_stamp_ns = stamp_ns
        self.counts["image"] += 1
        self._arrivals.append(time.monotonic())
        self._sources["image"].signalMessage(message)

    def _take_info(self, message: CameraInfo) -> None:
        self.counts["info"] += 1
        self._sources["info"].signalMessage(message)

    def _take_depth(self, message: Image | CompressedImage) -> None:
        self.counts["depth"] += 1
        self._sources["depth"].signalMessage(message)

    def _take_pose(self, message: PoseStamped) -> None:
        try:
            self._on_pose(self.name, message)
        except ValueError as error:
            self.counts["bad_pose"] += 1
            self.problem = str(error)
            self._node.get_logger().error(self.problem, throttle_duration_sec=10.0)
