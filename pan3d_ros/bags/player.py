"""`pan3d replay BAG`: the recorded messages again, over DDS and in time, where `ros2 bag` is not installed.

Messages go out as they were recorded, byte for byte, with the quality of service that was recorded. /clock follows the
bag's times of receipt (a recorded /clock is left out), so nodes run with `use_sim_time: true`. Where tf2 is not installed
nobody can send or read /tf: then the pose of every camera at the stamp of each of its images goes to `<camera>/pose`.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_ros.bags.reading.camera_topics import TRUTH, camera_name
from pan3d_ros.bags.reading.reader import CLOCK, COMPRESSED, IMAGE, TRANSFORMS, BagError, BagMessage, BagReader
from pan3d_ros.bags.reading.transforms import BagTransforms, transform_topics
from pan3d_ros.inputs.transforms import TransformUnavailable
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.parts import header, pose_message, stamp_from_ns
from pan3d_ros.platform.log_folder import ensure_log_folder

log = logging.getLogger("pan3d.ros.bags")
CLOCK_PERIOD_S = 0.01
SETTLE_S = 0.5  # between the first and the last connection of a listener
UNKNOWN_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


@dataclass(frozen=True)
class PlayOptions:
    """What is played, and how fast."""

    rate: float = 1.0  # seconds of the bag per second
    loop: bool = False
    topics: tuple[str, ...] = ()  # empty = all but /clock
    start_s: float = 0.0  # after the bag's start
    duration_s: float | None = None  # of the bag's time; None = to the end
    wait_s: float = 5.0  # wait at most so long for somebody to listen to every image topic that is played
    poses: bool | None = None  # publish <camera>/pose; None = where tf2_msgs is not installed
    reference_frame: str = "base_link"  # of these poses

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"rate: expected more than 0, got {self.rate}")


@dataclass
class Played:
    """What was sent."""

    counts: dict[str, int] = field(default_factory=dict)  # topic -> messages
    left_out: dict[str, str] = field(default_factory=dict)  # topic -> why
    latest_s: float = 0.0  # largest delay of a message behind its time
    rounds: int = 0

    def add(self, topic: str) -> None:
        self.counts[topic] = self.counts.get(topic, 0) + 1


class BagPlayer:
    """Publishes one bag with a node of its own."""

    def __init__(self, bag: BagReader, node: Node, options: PlayOptions) -> None:
        self.played = Played()
        self._bag, self._node, self._options = bag, node, options
        self._clock = node.create_publisher(Clock, "/clock", QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT))
        self._publishers: dict[str, Any] = {}
        for name in options.topics or tuple(bag.topics):
            if name not in bag.topics:
                raise BagError(f"{name}: expected one of the topics {', '.join(bag.topics)}")
            if bag.topics[name].type == CLOCK or name == "/clock":
                self.played.left_out[name] = "the clock follows the bag instead"
            else:
                self._open(name)
        self._poses = self._pose_publishers()
        frame = options.reference_frame
        self._transforms = BagTransforms.read(bag, frame) if self._poses else BagTransforms(frame)

    def play(self, keep_on: Callable[[], bool] = lambda: True) -> Played:
        """Send everything; returns early when `keep_on()` turns false."""
        self._wait_for_listeners(keep_on)
        while True:
            self._play_once(keep_on)
            self.played.rounds += 1
            if not self._options.loop or not keep_on():
                return self.played

    def _open(self, topic: str) -> None:
        kind = self._bag.topics[topic].type
        try:
            message_type = message_class(kind)
        except (ImportError, AttributeError, ValueError) as error:
            self.played.left_out[topic] = f"the message type {kind} is not installed ({error})"
            return
        recorded = self._bag.topics[topic].qos
        latched = kind == TRANSFORMS and topic.endswith("tf_static")
        self._publishers[topic] = self._node.create_publisher(message_type, topic, recorded_qos(recorded, latched=latched))

    def _pose_publishers(self) -> dict[str, tuple[str, Any]]:
        """Image topic -> topic and publisher of its camera's pose."""
        tf_topics = transform_topics(self._bag)
        wanted = self._options.poses
        if wanted is None:
            wanted = bool(tf_topics) and all(topic in self.played.left_out for topic in tf_topics)
        if not wanted:
            return {}
        found: dict[str, tuple[str, Any]] = {}
        for topic in self._image_topics():
            pose_topic = f"/{camera_name(topic)}/pose"
            if pose_topic not in self._publishers and pose_topic not in dict(found.values()):
                found[topic] = pose_topic, self._node.create_publisher(PoseStamped, pose_topic, UNKNOWN_QOS)
        return found

    def _image_topics(self) -> list[str]:
        """Those of colour images, as far as names tell."""
        images = [name for name in self._publishers if self._bag.topics[name].type in (IMAGE, COMPRESSED)]
        return [name for name in images if "depth" not in name and not name.startswith(TRUTH)]

    def _wait_for_listeners(self, keep_on: Callable[[], bool]) -> None:
        """Until somebody listens to every image topic and, a moment later, all known listeners are connected."""
        images = [self._publishers[name] for name in self._image_topics()]
        everything = {**self._publishers, **dict(self._poses.values())}

        def connected() -> bool:
            found = {name: publisher.get_subscription_count() for name, publisher in everything.items()}
            return all(count >= self._node.count_subscribers(name) for name, count in found.items())

        if self._wait(lambda: all(item.get_subscription_count() for item in images), self._options.wait_s, keep_on):
            self._wait(lambda: False, SETTLE_S, keep_on)
            self._wait(connected, SETTLE_S, keep_on)

    def _wait(self, condition: Callable[[], bool], limit_s: float, keep_on: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() >= deadline or not keep_on():
                return False
            self._tell_time(self._bag.start_ns + int(self._options.start_s * 1e9))
            time.sleep(0.05)
        return True

    def _play_once(self, keep_on: Callable[[], bool]) -> None:
        options, first_ns = self._options, self._bag.start_ns + int(self._options.start_s * 1e9)
        begin_s = time.monotonic()
        for message in self._messages():
            due_s = begin_s + (message.received_ns - first_ns) * 1e-9 / options.rate
            while (left_s := due_s - time.monotonic()) > 0:
                if not keep_on():
                    return
                self._tell_time(message.received_ns - int(left_s * options.rate * 1e9))
                time.sleep(min(left_s, CLOCK_PERIOD_S))
            self.played.latest_s = max(self.played.latest_s, time.monotonic() - due_s)
            self._tell_time(message.received_ns)
            self._send(message)

    def _messages(self) -> Iterator[BagMessage]:
        """What was latched before the part that is played, then the part."""
        options = self._options
        if options.start_s > 0:
            latched = [name for name in self._publishers if name.endswith("tf_static")]
            yield from (message for message in self._bag.raw(latched, 0.0, options.start_s))
        yield from self._bag.raw(list(self._publishers), options.start_s, options.duration_s)

    def _send(self, message: BagMessage) -> None:
        if message.topic in self._poses:
            self._send_pose(message)
        self._publishers[message.topic].publish(bytes(message.content))
        self.played.add(message.topic)

    def _send_pose(self, message: BagMessage) -> None:
        """The camera's pose at the stamp of the image, before the image."""
        image = self._bag.decode(message.topic, message.content)
        topic, publisher = self._poses[message.topic]
        stamp_ns = stamp_to_ns(image.header.stamp)
        try:
            cam_from_world = self._transforms.lookup(camera_name(message.topic), image.header.frame_id, stamp_ns)
        except TransformUnavailable as error:
            self.played.left_out[topic] = str(error)
            return
        pose = pose_message(invert_rigid(cam_from_world))
        publisher.publish(PoseStamped(header=header(self._options.reference_frame, stamp_ns), pose=pose))
        self.played.add(topic)

    def _tell_time(self, now_ns: int) -> None:
        self._clock.publish(Clock(clock=stamp_from_ns(now_ns)))


def message_class(kind: str) -> type:
    """The class of "package/msg/Name"; `ImportError` or `AttributeError` where it is not installed."""
    package, _, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def recorded_qos(recorded: Sequence[Any], *, latched: bool = False) -> QoSProfile:
    """Find what publishers offered when the bag was recorded, as far as a player can offer it too.

    Reliable unless every publisher was best effort; transient local when `latched` or when every publisher was. Deadlines
    and lifespans are left out: a slower or stopped replay would break them.

    Args:
        recorded: Offers of the topic's publishers as the bag has them; may be empty.
        latched: Whether late subscribers need the last message, whatever was recorded.

    Returns:
        The profile to publish with.
    """
    if not recorded and not latched:
        return UNKNOWN_QOS
    best_effort = bool(recorded) and all(item.reliability.name == "BEST_EFFORT" for item in recorded)
    local = latched or all(item.durability.name == "TRANSIENT_LOCAL" for item in recorded)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max((item.depth for item in recorded), default=1) or 10,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort and not latched else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if local else DurabilityPolicy.VOLATILE,
    )


def play(path: Path | str, options: PlayOptions, keep_on: Callable[[], bool] = lambda: True) -> Played:
    """Play a bag with a node of its own; for programs without rclpy running.

    Args:
        path: A folder, or an .mcap or .db3 file.
        options: What is played, and how fast.
        keep_on: Is asked again and again; playing ends at False.

    Returns:
        What was published, and what was left out.

    Raises:
        BagError: The bag cannot be read or lacks what the options name.
    """
    ensure_log_folder()
    rclpy.init()
    try:
        node = Node("pan3d_bag_player")
        with BagReader(path) as bag:
            return BagPlayer(bag, node, options).play(lambda: keep_on() and node.context.ok())
    finally:
        rclpy.try_shutdown()
