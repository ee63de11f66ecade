"""The topics of the robot itself: its description and the positions of its joints."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from torch import Tensor

from pan3d_core.body import RobotBody, RobotDescription, held_object, parse_urdf
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_ros.inputs.joint_history import JointHistory
from pan3d_ros.inputs.robot_places import RobotPlaces
from pan3d_ros.inputs.transforms import TransformsSource, TransformUnavailable
from pan3d_ros.parameters.node_config import NodeConfig, RobotConfig
from pan3d_ros.platform.rclpy_private import take_waiting

Floats = npt.NDArray[np.float64]

log = logging.getLogger("pan3d.ros.robot")
WAITING = 500  # joint states that wait in the middleware while nobody takes them


class RobotInput:
    """Gives the pipeline the robot's body, and says where it was. `links_at` and `drain` may be called from any thread.

    Args:
        node: For topics.
        config: The node's settings.
        pipeline: Whose `body` it is; where a file was read it is there already.
        transforms: TF; None = there is none.
        group: Callback group of the inputs.
    """

    def __init__(
        self,
        node: Node,
        config: NodeConfig,
        pipeline: PerceptionPipeline,
        transforms: TransformsSource | None,
        group: CallbackGroup,
    ) -> None:
        self.problem = ""  # with the description or the newest joint states
        self.missed = ""  # why the robot was not known at the newest image
        self.heard = node.resolve_topic_name(config.robot.joint_states_topic)
        self.text = _text(config.robot.urdf) if config.robot.urdf else ""  # of the description; empty = none has come
        self._node, self._config, self._pipeline, self._transforms = node, config, pipeline, transforms
        self._history = JointHistory(int(config.robot.max_gap_s * 1e9))
        self._places: RobotPlaces | None = None
        self._taking = threading.Lock()
        self._started_s = time.monotonic()
        self._arrived_s: float | None = None
        self._links: Tensor | None = None  # where they were last
        self._held = (0, "")
        if pipeline.body is not None:
            self._use(pipeline.body)
        many = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=WAITING, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._joints = node.create_subscription(
            JointState, config.robot.joint_states_topic, self._take_first, many, callback_group=group
        )
        self._subscriptions = [self._joints]
        if config.robot.description_topic:
            latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE)
            topic = config.robot.description_topic
            self._subscriptions.append(node.create_subscription(String, topic, self._describe, latched, callback_group=group))

    @classmethod
    def of(
        cls,
        node: Node,
        config: NodeConfig,
        pipeline: PerceptionPipeline,
        transforms: TransformsSource | None,
        group: CallbackGroup,
    ) -> RobotInput | None:
        """Listen to the robot, where there is one; arguments as of the class.

        Args:
            node: As above.
            config: As above.
            pipeline: As above.
            transforms: As above.
            group: As above.

        Returns:
            None where neither `robot.urdf` nor `robot.description_topic` is given.
        """
        given = config.robot.urdf or config.robot.description_topic
        return cls(node, config, pipeline, transforms, group) if given else None

    @property
    def silence_s(self) -> float:
        """Seconds without joint states."""
        return time.monotonic() - (self._started_s if self._arrived_s is None else self._arrived_s)

    @property
    def count(self) -> int:
        """Joint states that were taken."""
        return self._history.count

    @property
    def config(self) -> RobotConfig:
        """Of the robot."""
        return self._config.robot

    @property
    def described(self) -> bool:
        """Whether it is known what the robot is made of."""
        return self._places is not None

    @property
    def description(self) -> RobotDescription | None:
        """What the robot is made of; None = nobody has told yet."""
        return None if self._places is None else self._places.robot

    def root(self) -> Floats | None:
        """(4, 4) world_from_root, metres, as it was at the newest view; None = it is not known yet."""
        links, places = self._links, self._places
        return None if links is None or places is None else links[places.robot.index(places.robot.root)].double().numpy()

    def newest_positions(self) -> dict[str, float]:
        """The last position of each joint that was told of, radians or metres."""
        return self._history.newest()

    def links_at(self, stamp_ns: int) -> Tensor:
        """Answer as `RobotSource.links_at`."""
        self.drain()
        try:
            if self._places is None:
                topic = self._node.resolve_topic_name(self.config.description_topic)
                raise TransformUnavailable(f"robot: {self.problem or f'no description has come on {topic}'}")
            links = self._places.links_at(stamp_ns)
        except TransformUnavailable as error:
            self.missed = self.problem or str(error)
            raise
        self.missed, self._links = "", links
        return links

    def drain(self) -> None:
        """Take all joint states that wait in the middleware."""
        with self._taking:
            for message in take_waiting(self._joints):
                self._take(message)

    def clear(self) -> None:
        """Forget all positions, because the clock jumped."""
        self._history.clear()

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def apply(self, config: NodeConfig) -> None:
        """Take over live parameters, of which what the robot holds is one."""
        self._config = config
        self.hold(config.robot.held_id, config.robot.held_link)

    def hold(self, instance_id: int, link: str) -> None:
        """Have an object move with a link from now on.

        Args:
            instance_id: Of the object; 0 = nothing is held any more.
            link: That holds it.
        """
        if (instance_id, link) == self._held:
            return
        memory, body = self._pipeline.memory, self._pipeline.body
        before = self._held[0]
        if before:
            memory.release(before)
        self._held = (instance_id, link)
        if body is None:
            return
        body.hold(())
        if not instance_id:
            self.problem = ""
            return
        try:
            if self._links is None:
                raise ValueError("robot.held_id: expected a robot whose joints are known, got none yet")
            place = self._links[body.robot.index(link)]
            memory.hold(instance_id)
            item = next(item for item in memory.world.objects if item.instance_id == instance_id)
            box = item.segment.box
            bottom_m = float(box.world_from_box[2, 3] - box.size_m[2] / 2)
            body.hold([held_object(instance_id, item.surface.points, bottom_m, link, place)])
            self.problem = ""
        except (KeyError, ValueError) as error:
            self._held = (0, "")
            self.problem = f"robot.held_id {instance_id}, robot.held_link {link!r}: {error.args[0]}"
            log.error(self.problem)

    def _use(self, body: RobotBody) -> None:
        self._pipeline.body = body
        self._places = RobotPlaces(body.robot, self._history, self._config.reference_frame, self._transforms)

    def _describe(self, message: String) -> None:
        try:
            self._use(RobotBody(parse_urdf(message.data, self.config.mesh_folders, self.config.description_topic)))
            self.problem, self.text = "", message.data
        except ValueError as error:
            self.problem = str(error)
            log.error("the robot's description is refused: %s", error)

    def _take_first(self, message: Any) -> None:
        with self._taking:
            self._take(message)
        self.drain()

    def _take(self, message: Any) -> None:
        self._arrived_s = time.monotonic()
        try:
            self._history.add(message)
        except ValueError as error:
            self.problem = f"{self.heard}: {error}"
            return
        if self.problem.startswith(self.heard):
            self.problem = ""


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")
