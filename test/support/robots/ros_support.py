"""A made-up table scene, cameras that publish it, and an engine that understands it, for tests of the node."""

from __future__ import annotations

import time

import numpy as np
import torch
from color_engine import answer_by_color
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from pan3d_interfaces.msg import InstanceArray, LabelInfo, PipelineStats
from pan3d_interfaces.srv import SegmentObject
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2
from visualization_msgs.msg import MarkerArray

from pan3d_core.config import PreprocessConfig
from pan3d_core.engines import ENGINES, EngineFacts
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch
from pan3d_ros.messages.parts import header, image_message, info_message, pose_message
from pan3d_ros.perception_node import SUCCESS, PerceptionNode
from pan3d_ros.services import names

HEIGHT, WIDTH = 56, 72
INTRINSICS = torch.tensor([[60.0, 0.0, 35.5], [0.0, 60.0, 27.5], [0.0, 0.0, 1.0]])
CAMERA_HEIGHT_M = 0.6
# Rows and columns of the two blocks in the image, their colour, and their height above the table in metres.
RED, BLUE = (slice(20, 32), slice(14, 24)), (slice(22, 34), slice(46, 56))
BLOCK_HEIGHT_M = 0.05


def looking_down() -> torch.Tensor:
    """`world_from_cam` of a camera above the origin that looks straight down; image x = world x."""
    world_from_cam = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    world_from_cam[2, 3] = CAMERA_HEIGHT_M
    return world_from_cam


def scene_pixels() -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 and (H, W) float32 metres."""
    rgb = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    depth = np.full((HEIGHT, WIDTH), CAMERA_HEIGHT_M, np.float32)
    for region, color in ((RED, (220, 20, 20)), (BLUE, (20, 20, 220))):
        rgb[region] = color
        depth[region] = CAMERA_HEIGHT_M - BLOCK_HEIGHT_M
    return rgb, depth


class ColorEngine:
    """Finds the red and the blue block by their colour; geometry from the sensor."""

    facts = EngineFacts(PreprocessConfig(height=HEIGHT, width=WIDTH), LabelSpace.things(("block", "ball")), needs_depth=True)

    def __init__(self) -> None:
        self.calls = 0
        self.delay_s = 0.0
        self.failure: Exception | None = None

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        self.calls += 1
        time.sleep(self.delay_s)
        if self.failure is not None:
            raise self.failure
        return answer_by_color(views, self.facts.labels)


class Rig(Node):
    """Cameras that show the scene; every attribute may be changed to make them wrong."""

    def __init__(self, cameras: tuple[str, ...] = ("front",)) -> None:
        super().__init__("rig")
        self.cameras = cameras
        self.mend()
        self.silent: set[str] = set()
        self.intrinsics_of: dict[str, torch.Tensor] = {}  # camera -> instead of those of all
        self.poses_of: dict[str, torch.Tensor] = {}
        self.offsets_ns = dict.fromkeys(cameras, 0)
        self.clock_offset_ns = 0
        self.out = {
            name: (
                self.create_publisher(Image, f"{name}/image_raw", 5),
                self.create_publisher(CameraInfo, f"{name}/camera_info", 5),
                self.create_publisher(Image, f"{name}/depth", 5),
                self.create_publisher(PoseStamped, f"{name}/pose", 5),
            )
            for name in cameras
        }

    def mend(self) -> None:
        """Make the messages right again."""
        self.rgb, self.depth = scene_pixels()
        self.encoding = "rgb8"
        self.intrinsics = INTRINSICS
        self.info_size = (HEIGHT, WIDTH)
        self.world_from_cam: torch.Tensor | None = looking_down()
        self.with_info = True

    def publish(self) -> None:
        """One picture of each camera."""
        now_ns = self.get_clock().now().nanoseconds + self.clock_offset_ns
        for name in self.cameras:
            if name in self.silent:
                continue
            image, info, depth, pose = self.out[name]
            stamp_ns = now_ns + self.offsets_ns[name]
            message_header = header(f"{name}_optical_frame", stamp_ns)
            world_from_cam = self.poses_of.get(name, self.world_from_cam)
            if world_from_cam is not None:
                pose.publish(PoseStamped(header=header("base_link", stamp_ns), pose=pose_message(world_from_cam)))
            if self.with_info:
                matrix = self.intrinsics_of.get(name, self.intrinsics)
                info.publish(info_message(matrix, *self.info_size, message_header))
            depth.publish(image_message(self.depth, "32FC1", message_header))
            picture = image_message(self.rgb, "rgb8", message_header)
            picture.encoding = self.encoding
            image.publish(picture)


class Joints:
    """A robot that tells of its joints, or says nothing."""

    def __init__(self, node: Node, positions: dict[str, float]) -> None:
        self.node, self.positions, self.silent = node, positions, False
        self._publisher = node.create_publisher(JointState, "joint_states", 50)
        self._timer = node.create_timer(0.02, self.tell)

    def tell(self) -> None:
        """The positions of now."""
        if self.silent:
            return
        message = JointState(name=list(self.positions), position=list(self.positions.values()))
        message.header.stamp = self.node.get_clock().now().to_msg()
        self._publisher.publish(message)


class Listener(Node):
    """Keeps everything that the node publishes."""

    def __init__(self, cameras: tuple[str, ...] = ("front",)) -> None:
        super().__init__("listener")
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.received: dict[str, list] = {}
        topics = [(InstanceArray, "instances", 5), (MarkerArray, "markers", 5)]
        topics += [(PointCloud2, "points", 5), (PointCloud2, "obstacle_points", 5)]
        topics += [(PipelineStats, "stats", 5), (LabelInfo, "label_info", latched)]
        topics += [
            (kind, f"{c}/{name}", 5)
            for c in cameras
            for kind, name in ((Image, "depth"), (Image, "image"), (Image, "instance_image"))
        ]
        for kind, name, qos in topics:
            self.received[name] = []
            self.create_subscription(kind, f"/pan3d/{name}", self.received[name].append, qos)
        self.received["diagnostics"] = []
        self.create_subscription(DiagnosticArray, "/diagnostics", self.received["diagnostics"].append, 10)

    def status(self, name: str) -> DiagnosticStatus | None:
        """Newest line of /diagnostics whose name ends so."""
        for array in reversed(self.received["diagnostics"]):
            for status in array.status:
                if status.name.endswith(name):
                    return status
        return None

    def shows(self, name: str, level: bytes, text: str) -> bool:
        """Whether the newest line has this level and contains the text."""
        status = self.status(name)
        return status is not None and status.level == level and text in status.message

    def has_shown(self, name: str, level: bytes, text: str) -> bool:
        """Whether any line so far had this level and contained the text: of a state that the next one soon replaces."""
        lines = (status for array in self.received["diagnostics"] for status in array.status if status.name.endswith(name))
        return any(status.level == level and text in status.message for status in lines)


class Bench:
    """The node under test with its cameras and somebody who listens."""

    def __init__(self, spinner, monkeypatch, cameras: tuple[str, ...] = ("front",), **overrides) -> None:
        self.engine = ColorEngine()
        monkeypatch.setitem(ENGINES, "colors", lambda config: self.engine)
        monkeypatch.setattr(names, "SURE_S", names.DISCOVERY_S)  # who else is there is known at once in one process
        values = {
            "cameras": list(cameras),
            "model.name": "colors",
            "input.use_depth": True,
            "input.max_image_age_s": 0.0,
            "input.max_future_s": 0.0,
            "input.info_timeout_s": 0.5,
            "workspace.support_height_m": 0.0,
            "watchdog.period_s": 0.2,
            "service.timeout_s": 60.0,
            "service.max_age_s": 60.0,
            "cloud.voxel_size_m": 0.0,
            "merge.support_clearance_m": 0.01,
        } | {name.replace("__", "."): value for name, value in overrides.items()}
        self.spinner = spinner
        self.node = spinner.add(PerceptionNode(parameter_overrides=[Parameter(k, value=v) for k, v in values.items()]))
        self.rig = spinner.add(Rig(cameras))
        self.listener = spinner.add(Listener(cameras))

    def start(self) -> Bench:
        """Configure and activate."""
        assert self.node.trigger_configure() == SUCCESS, self.node.problem
        assert self.node.trigger_activate() == SUCCESS, self.node.problem
        return self

    def until(self, condition, what: str, timeout_s: float = 60.0, publish: bool = True):
        """Publish pictures until `condition()` is true; its value."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < deadline, f"never happened: {what}; {self.node.problem}"
            assert self.spinner.error is None, self.spinner.error
            if publish:
                self.rig.publish()
            time.sleep(0.05)
        return value

    def hold(self, instance_id: int, link: str) -> None:
        """Say what the robot holds; 0 = nothing."""
        parameters = [Parameter("robot.held_link", value=link), Parameter("robot.held_id", value=instance_id)]
        assert self.node.set_parameters_atomically(parameters).successful

    def instances(self) -> list[InstanceArray]:
        return self.listener.received["instances"]

    def what_is_there(self, timeout: float = 1.0, **fields):
        """Answer to a request for all objects while pictures keep coming."""
        wanted = {"prompt_type": SegmentObject.Request.PROMPT_ALL, "timeout": timeout}
        return self.call(SegmentObject, "segment_object", publish=True, **wanted, **fields)

    def call(self, service_type, name: str, publish: bool = False, **fields):
        """Answer of a service of the node."""
        client = self.rig.create_client(service_type, name if name.startswith("/") else f"/pan3d/{name}")
        try:
            self.until(client.service_is_ready, f"{name} is there", publish=publish)
            future = client.call_async(service_type.Request(**fields))
            self.until(future.done, f"{name} answers", publish=publish)
            return future.result()
        finally:
            self.rig.destroy_client(client)
