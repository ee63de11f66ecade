"""What the cameras of the simulated cell publish: fixed ones, and on request the moving one on the wrist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pan3d_ros.cell.arm_streams import ArmStreams
from pan3d_ros.cell.messages import RenderedCamera, transform_message
from pan3d_ros.platform.stand_ins import tf2_msgs
from pan3d_sim.cameras.depth_sensors import depth_sensor
from pan3d_sim.cameras.rig import RigCamera, wrist_camera
from pan3d_sim.cameras.wrist_path import WristPath
from pan3d_sim.cell.frame_tree import WRIST, FrameLink, arm_links, mountings, tool_link
from pan3d_sim.cell.robot_cell import RobotCell


@dataclass(frozen=True)
class StreamOptions:
    """What is published beside colour, calibration and pose."""

    depth: bool = False
    sensor: str = "structured_light"  # whose errors depth has, see `depth_sensor`; "exact" = none
    wrist: bool = False  # a moving camera too
    compressed: bool = False  # JPEG beside the raw images
    transforms: bool = False  # /tf and /tf_static too
    commanded: bool = False  # the arm follows trajectories, instead of its path


@dataclass(frozen=True)
class _Publishers:
    """Of one camera; None = not published."""

    image: Any
    jpeg: Any | None
    info: Any
    pose: Any
    depth: Any | None


class _TransformPublishers:
    """/tf and /tf_static."""

    def __init__(self, node: Node) -> None:
        if tf2_msgs is None:
            raise ValueError(
                "publish_tf: expected tf2_msgs to be installed (it comes with ROS 2, not from PyPI); use the pose topics"
            )
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._kind = tf2_msgs.TFMessage
        self._moving = node.create_publisher(self._kind, "/tf", 100)
        self._static = node.create_publisher(self._kind, "/tf_static", latched)

    def send(self, links: Sequence[FrameLink], stamp_ns: int) -> None:
        """Links that hold at a time."""
        self._moving.publish(self._kind(transforms=[transform_message(link, stamp_ns) for link in links]))

    def send_static(self, links: Sequence[FrameLink]) -> None:
        """Links that never change."""
        self._static.publish(self._kind(transforms=[transform_message(link, 0) for link in links]))


class CellStreams:
    """Publishers of one cell's cameras. To be used in the thread that made the cell.

    Raises:
        ValueError: Transforms are wanted where tf2_msgs is not installed.
    """

    def __init__(self, node: Node, cell: RobotCell, options: StreamOptions) -> None:
        self._options, self._start_ns = options, 0
        # One set of large images waits at most: a late subscriber gets the newest, and nothing piles up.
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        names = [camera.name for camera in cell.cameras] + ([WRIST] if options.wrist else [])
        self._publishers = {name: self._publishers_of(node, name, qos) for name in names}
        self._tf = _TransformPublishers(node) if options.transforms else None
        self._arm = ArmStreams(node, cell, cell.arm, options.commanded) if cell.arm is not None else None
        self._begin(cell)

    def use(self, cell: RobotCell) -> None:
        """Go on with another scene of as many cameras."""
        if self._arm is not None:
            self._arm.use(cell)
        self._begin(cell)

    def _begin(self, cell: RobotCell) -> None:
        self._cell = cell
        self._rendered: list[RenderedCamera] = []
        self._sensor = depth_sensor(self._options.sensor)
        self._noise_rng = np.random.default_rng([cell.seed, 0])
        self._path = WristPath.of_seed(cell.seed, cell.config.support_height_m)
        if self._tf is not None:
            self._tf.send_static(mountings(cell.cameras, wrist=self._options.wrist))

    def forget(self) -> None:
        """Something moved: what was rendered is no longer true."""
        self._rendered = []

    def seen(self) -> list[RenderedCamera]:
        """What the fixed cameras see, rendered when something moved since the last time."""
        if not self._rendered:
            self._rendered = [self._render(camera) for camera in self._cell.cameras]
        return self._rendered

    def publish(self, stamp_ns: int) -> None:
        """One set of all cameras at a time; the wrist is where its path has it then."""
        self._start_ns = self._start_ns or stamp_ns
        if self._arm is not None:
            self._move_arm(self._arm, stamp_ns)
        for view in self.seen():
            self._publish_view(view, stamp_ns, pose_stamp_ns=0)
        if self._options.wrist:
            self._publish_view(self._render(self._wrist(stamp_ns)), stamp_ns, pose_stamp_ns=stamp_ns)

    def _move_arm(self, arm: ArmStreams, stamp_ns: int) -> None:
        """Put the arm where it is at a time, and tell of it."""
        arm.move(stamp_ns)
        self.forget()
        if self._tf is not None:
            self._tf.send(arm_links(self._cell), stamp_ns)

    def _wrist(self, stamp_ns: int) -> RigCamera:
        """The moving camera: on the arm where there is one, else on its own path."""
        width, height = self._cell.config.width, self._cell.config.height
        if self._cell.arm is not None:
            return wrist_camera(self._cell.arm.world_from_tool(self._cell.data), width, height)
        elapsed_s = (stamp_ns - self._start_ns) * 1e-9
        if self._tf is not None:
            self._tf.send([tool_link(self._path.world_from_hand(elapsed_s))], stamp_ns)
        return self._path.camera(elapsed_s, width, height)

    def _publishers_of(self, node: Node, name: str, qos: QoSProfile) -> _Publishers:
        make, options = node.create_publisher, self._options
        return _Publishers(
            image=make(Image, f"{name}/image_raw", qos),
            jpeg=make(CompressedImage, f"{name}/image_raw/compressed", qos) if options.compressed else None,
            info=make(CameraInfo, f"{name}/camera_info", qos),
            pose=make(PoseStamped, f"{name}/pose", qos),
            depth=make(Image, f"{name}/depth", qos) if options.depth else None,
        )

    def _publish_view(self, view: RenderedCamera, stamp_ns: int, *, pose_stamp_ns: int) -> None:
        publishers = self._publishers[view.camera.name]
        publishers.pose.publish(view.pose(pose_stamp_ns))
        publishers.info.publish(view.info(stamp_ns))
        if publishers.depth is not None:
            publishers.depth.publish(view.depth_message(stamp_ns, exact=False))
        if publishers.jpeg is not None:
            publishers.jpeg.publish(view.jpeg(stamp_ns))
        publishers.image.publish(view.color(stamp_ns))

    def _render(self, camera: RigCamera) -> RenderedCamera:
        rgb, depth, ids = (part.copy() for part in self._cell.render(camera))
        measured = depth
        if self._sensor is not None:
            measured = self._sensor.measure(self._cell.seen_surfaces(camera, rgb, depth, ids), self._noise_rng)
        return RenderedCamera(camera, rgb, depth, measured, ids)
