"""The node as a process of its own, cameras that send it the scene, and everything that it says."""

from __future__ import annotations

import copy
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Point32, PoseStamped, Vector3Stamped
from lifecycle_msgs.srv import ChangeState
from pan3d_interfaces.msg import ErrorCode, InstanceArray
from pan3d_interfaces.srv import GetGraspTargets, GetInstances, SegmentObject, SetClasses
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.parts import header, image_message, info_message, pose_message
from pan3d_tools.demo.processes import ChildNode, parameter_arguments
from pan3d_tools.stress.faults import Edit, UnexpectedBehaviour, require
from pan3d_tools.stress.scene import EYES, HEIGHT, WIDTH, intrinsics, render, world_from_cam

NODE = "pan3d"
PERIOD_S = 0.15  # of the pictures
START_TIMEOUT_S, EVENT_TIMEOUT_S = 120.0, 12.0
PARAMETERS: dict[str, Any] = {
    "cameras": list(EYES), "model.name": "depth_clusters", "input.use_depth": True, "input.max_rate_hz": 20.0,
    "input.info_timeout_s": 0.5, "sync.camera_timeout_s": 0.5, "transforms.source": "pose_topics", "watchdog.period_s": 0.1,
    "workspace.support_height_m": 0.0, "align.depth_source": "sensor", "autostart": True, "service.timeout_s": 10.0,
}  # fmt: skip
_SERVICES = {
    "segment_object": SegmentObject, "get_grasp_targets": GetGraspTargets, "get_instances": GetInstances,
    "set_classes": SetClasses, "change_state": ChangeState, "set_parameters": SetParameters, "get_parameters": GetParameters,
}  # fmt: skip
_ELEMENTS: dict[str, type] = {"points": Point32, "preferred_approaches": Vector3Stamped}  # of lists of messages, by their field
_CODES = {value: name for name, value in vars(ErrorCode).items() if name.isupper() and isinstance(value, int)}


class Cameras(Node):
    """Sends the scene from every camera; `edits` make messages wrong on their way."""

    def __init__(self, context: Context) -> None:
        super().__init__("stress_cameras", context=context)
        self.names = tuple(EYES)
        self.edits: Mapping[str, Mapping[str, Edit]] = {}  # camera -> kind of message -> edit
        self.paused = False
        self._pictures = {name: render(name) for name in self.names}
        self._poses = {name: pose_message(torch.from_numpy(world_from_cam(name))) for name in self.names}
        kinds = {"pose": PoseStamped, "info": CameraInfo, "depth": Image, "image": Image}
        topics = {"pose": "pose", "info": "camera_info", "depth": "depth", "image": "image_raw"}
        self._out = {
            name: {kind: self.create_publisher(message, f"{name}/{topics[kind]}", 5) for kind, message in kinds.items()}
            for name in self.names
        }
        self.create_timer(PERIOD_S, self._tick)

    def send(self) -> None:
        """One set of pictures, taken now."""
        now_ns = self.get_clock().now().nanoseconds
        edits = self.edits
        for name in self.names:
            for kind, message in self._messages(name, now_ns).items():
                edit = edits.get(name, {}).get(kind)
                if edit is not None:
                    message = edit(message)
                if message is not None:
                    self._out[name][kind].publish(message)

    def _tick(self) -> None:
        if not self.paused:
            self.send()

    def _messages(self, name: str, now_ns: int) -> dict[str, Any]:
        rgb, depth = self._pictures[name]
        own = f"{name}_optical_frame"
        pose = PoseStamped(header=header("base_link", now_ns), pose=copy.deepcopy(self._poses[name]))
        return {
            "pose": pose,
            "info": info_message(torch.from_numpy(intrinsics()), HEIGHT, WIDTH, header(own, now_ns)),
            "depth": image_message(depth, "32FC1", header(own, now_ns)),
            "image": image_message(rgb, "rgb8", header(own, now_ns)),
        }


class Session:
    """A running node with its cameras. Use as a context manager, within `own_context`."""

    def __init__(self, context: Context, log_path: Path) -> None:
        arguments = parameter_arguments(PARAMETERS)
        self._node = ChildNode("perception node", "pan3d_ros.perception_node", arguments, log_path, dict(os.environ))
        self.cameras = Cameras(context)
        self._listener = Node("stress_listener", context=context)
        self._results: deque[InstanceArray] = deque(maxlen=2000)
        self._lines: dict[str, tuple[float, DiagnosticStatus]] = {}
        self._marked = 0
        self._received = 0
        self._listener.create_subscription(InstanceArray, f"/{NODE}/instances", self._take_result, 50)
        self._listener.create_subscription(DiagnosticArray, "/diagnostics", self._take_lines, 50)
        # Deep, because the thread that takes the answers also sends the pictures.
        queue = QoSProfile(depth=100)
        self._clients = {
            name: self._listener.create_client(kind, f"/{NODE}/{name}", qos_profile=queue) for name, kind in _SERVICES.items()
        }
        self._executor = SingleThreadedExecutor(context=context)
        for node in (self.cameras, self._listener):
            self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin, name="stress", daemon=True)

    def __enter__(self) -> Session:
        self._node.__enter__()
        self._thread.start()
        self.healthy(START_TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join(5.0)
        for node in (self.cameras, self._listener):
            node.destroy_node()
        self._node.stop()

    def now_ns(self) -> int:
        """Time of the cameras."""
        return int(self.cameras.get_clock().now().nanoseconds)

    def until(self, condition: Callable[[], bool], what: str | Callable[[], str], timeout_s: float = EVENT_TIMEOUT_S) -> None:
        """Wait for a condition.

        Raises:
            UnexpectedBehaviour: It did not become true in time; `what` says what never happened.
            DemoError: The node's process has ended.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            self._node.check()
            if time.monotonic() > deadline:
                raise UnexpectedBehaviour(f"never happened within {timeout_s:g} s: {what if isinstance(what, str) else what()}")
            time.sleep(0.01)

    def pause(self, seconds: float) -> None:
        """Let the node work for a while."""
        time.sleep(seconds)
        self._node.check()

    def healthy(self, timeout_s: float = EVENT_TIMEOUT_S) -> None:
        """Wait for a result of pictures of now with every camera, and for diagnostics that are all green."""
        since_ns = self.now_ns()
        self.until(lambda: self._whole_since(since_ns), "results with every camera", timeout_s)
        self.until(lambda: not self._complaints(), f"green diagnostics ({'; '.join(self._complaints())})", timeout_s)

    def mark(self) -> None:
        """From here on results count for `results_since_mark`."""
        self._marked = self._received

    def results(self) -> list[InstanceArray]:
        """Those since the mark."""
        count = self._received - self._marked
        return list(self._results)[-count:] if count else []

    def results_since_mark(self) -> list[int]:
        """Stamps of the newest images of the results since the mark, nanoseconds."""
        return [stamp_to_ns(result.newest_stamp) for result in self.results()]

    def line(self, name: str) -> DiagnosticStatus | None:
        """The newest diagnostic whose name ends so."""
        found = [entry for key, entry in list(self._lines.items()) if key.endswith(f": {name}")]
        return max(found, key=lambda entry: entry[0])[1] if found else None

    def says(self, name: str, words: str) -> bool:
        """Whether the newest diagnostic of this name is not green and contains words (a regular expression)."""
        status = self.line(name)
        if status is None or status.level == DiagnosticStatus.OK:
            return False
        return re.search(words, status.message, re.IGNORECASE) is not None

    def begin(self, service: str, fields: Mapping[str, Any]) -> Future:
        """Call a service without waiting; nested messages are given as mappings."""
        client = self._clients[service]
        self.until(client.service_is_ready, f"the service {service}")
        request = _SERVICES[service].Request()
        _fill(request, fields)
        return client.call_async(request)

    def ask(self, service: str, fields: Mapping[str, Any], timeout_s: float = EVENT_TIMEOUT_S) -> Any:
        """The answer of a service."""
        call = self.begin(service, fields)
        self.until(call.done, f"{service} answers", timeout_s)
        return call.result()

    def code(self, answer: Any) -> str:
        """Name of an answer's error code."""
        return _CODES[answer.error_code]

    def set_parameter(self, name: str, value: Any) -> tuple[bool, str]:
        """Whether the node took a value, and why not."""
        message: ParameterMessage = Parameter(name, value=value).to_parameter_msg()
        call = self._clients["set_parameters"].call_async(SetParameters.Request(parameters=[message]))
        self.until(call.done, "set_parameters answers")
        result = call.result().results[0]
        return bool(result.successful), str(result.reason)

    def parameter(self, name: str) -> Any:
        """The node's value of a parameter."""
        return self.ask("get_parameters", {"names": [name]}).values

    def try_state(self, transition: int) -> bool:
        """Whether a transition of the lifecycle succeeds."""
        return bool(self.ask("change_state", {"transition": {"id": transition}}, START_TIMEOUT_S).success)

    def change_state(self, transition: int) -> None:
        """A transition that must succeed."""
        require(self.try_state(transition), f"transition {transition} failed")

    def _whole_since(self, since_ns: int) -> bool:
        newest = self._results[-1] if self._results else None
        return newest is not None and stamp_to_ns(newest.newest_stamp) > since_ns and set(newest.cameras) == set(EYES)

    def _complaints(self) -> list[str]:
        lines = [status for _, status in list(self._lines.values())]
        return [f"{line.name}: {line.message}" for line in lines if line.level != DiagnosticStatus.OK]

    def _take_result(self, message: InstanceArray) -> None:
        self._results.append(message)
        self._received += 1

    def _take_lines(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self._lines[status.name] = (time.monotonic(), status)


def _fill(message: Any, fields: Mapping[str, Any]) -> None:
    """Set fields of a message; mappings are messages within it."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            _fill(getattr(message, name), value)
        elif name in _ELEMENTS:
            entries = [_ELEMENTS[name]() for _ in value]
            for entry, inner in zip(entries, value):
                _fill(entry, inner)
            setattr(message, name, entries)
        else:
            setattr(message, name, value)
