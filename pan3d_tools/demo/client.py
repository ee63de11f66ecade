"""What a program of a user would do: drive the lifecycle, call services, listen to topics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from pan3d_interfaces.msg import PipelineStats
from pan3d_interfaces.srv import ExecuteGrasp, GetCellTruth, ResetCell, SegmentObject
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.platform.enclaves import OPERATOR, enclave_arguments, in_words
from pan3d_ros.platform.log_folder import ensure_log_folder
from pan3d_ros.platform.rclpy_private import RCLError
from pan3d_tools.demo.processes import ChildNode, DemoError

SPIN_S = 0.1
PERCEPTION, CELL = "/pan3d", "/pan3d_cell"
TRANSITIONS = {
    Transition.TRANSITION_CONFIGURE: "configure",
    Transition.TRANSITION_ACTIVATE: "activate",
    Transition.TRANSITION_DEACTIVATE: "deactivate",
}


class DemoClient:
    """Blocking calls with time limits; every wait also watches the child processes."""

    def __init__(self, children: tuple[ChildNode, ...]) -> None:
        self._children = children
        self._context = Context()
        # Ctrl-C stays with the demo, which ends the children.
        ensure_log_folder()
        options = {"context": self._context, "signal_handler_options": SignalHandlerOptions.NO}
        try:
            rclpy.init(args=enclave_arguments(OPERATOR), **options)
            self._node = Node("pan3d_demo", context=self._context)
        except RCLError as error:
            raise DemoError(f"ROS cannot start: {in_words(error)}") from error
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._clients: dict[str, Any] = {}
        self._outputs: dict[tuple[str, str], Any] = {}
        self.stats: list[PipelineStats] = []
        self._node.create_subscription(PipelineStats, f"{PERCEPTION}/stats", self.stats.append, 10)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def listen(self, cameras: list[str]) -> None:
        """Start to keep the newest depth and calibration that perception publishes per camera."""
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        for camera in cameras:
            for kind, message in (("depth", Image), ("camera_info", CameraInfo)):
                key = (camera, kind)
                if key not in self._outputs:
                    self._outputs[key] = None
                    self._node.create_subscription(message, f"{PERCEPTION}/{camera}/{kind}", self._keeper(key), qos)

    def forget(self) -> None:
        """Drop what was kept, because the scene changed."""
        self._outputs = dict.fromkeys(self._outputs)
        self.stats.clear()

    def outputs(self, stamp_ns: int, timeout_s: float) -> dict[tuple[str, str], Any]:
        """(camera, "depth" or "camera_info") -> message that is at least as new as `stamp_ns`."""

        def complete() -> bool:
            messages = self._outputs.values()
            return all(message is not None and stamp_to_ns(message.header.stamp) >= stamp_ns for message in messages)

        self._wait(complete, timeout_s, "depth images of perception")
        return dict(self._outputs)

    def wait_for_cell(self, timeout_s: float) -> None:
        """Until the cell answers requests."""
        self._wait(self._client(GetCellTruth, f"{CELL}/get_truth").service_is_ready, timeout_s, "the cell")

    def wait_for_perception(self, timeout_s: float) -> None:
        """Until perception can be configured."""
        self._wait(self._client(ChangeState, f"{PERCEPTION}/change_state").service_is_ready, timeout_s, "perception")

    def truth(self, timeout_s: float) -> GetCellTruth.Response:
        """What is really there, with images."""
        return self._call(GetCellTruth, f"{CELL}/get_truth", GetCellTruth.Request(return_images=True), timeout_s)

    def reset_cell(self, seed: int, arrangement: str, timeout_s: float) -> None:
        """Build another scene."""
        response = self._call(ResetCell, f"{CELL}/reset", ResetCell.Request(seed=seed, arrangement=arrangement), timeout_s)
        if not response.success:
            raise DemoError(f"the cell could not build scene {seed}: {response.message}")

    def segment(self, request: SegmentObject.Request, timeout_s: float) -> SegmentObject.Response:
        """Ask perception."""
        return self._call(SegmentObject, "/segment_object", request, timeout_s)

    def execute(self, request: ExecuteGrasp.Request, timeout_s: float) -> ExecuteGrasp.Response:
        """Let the cell try a grasp."""
        return self._call(ExecuteGrasp, f"{CELL}/execute_grasp", request, timeout_s)

    def change_state(self, transition: int, timeout_s: float) -> None:
        """One lifecycle transition of perception; `DemoError` with the end of its log when it refuses."""
        request = ChangeState.Request(transition=Transition(id=transition))
        if not self._call(ChangeState, f"{PERCEPTION}/change_state", request, timeout_s).success:
            label = self._call(GetState, f"{PERCEPTION}/get_state", GetState.Request(), timeout_s).current_state.label
            said = self._children[-1].log_tail()
            raise DemoError(f"perception refused to {TRANSITIONS[transition]} and is {label}; the end of its log:\n{said}")

    def _keeper(self, key: tuple[str, str]) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            self._outputs[key] = message

        return keep

    def _call(self, kind: Any, name: str, request: Any, timeout_s: float) -> Any:
        client = self._client(kind, name)
        begin = time.monotonic()
        self._wait(client.service_is_ready, timeout_s, f"the service {name}")
        future = client.call_async(request)
        self._wait(future.done, timeout_s - (time.monotonic() - begin), f"an answer of {name}")
        return future.result()

    def _client(self, kind: Any, name: str) -> Any:
        if name not in self._clients:
            self._clients[name] = self._node.create_client(kind, name)
        return self._clients[name]

    def _wait(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not done():
            for child in self._children:
                child.check()
            if time.monotonic() > deadline:
                logs = ", ".join(str(child.log_path) for child in self._children)
                raise DemoError(f"waited {timeout_s:.0f} s in vain for {what}; see {logs}")
            self._executor.spin_once(timeout_sec=SPIN_S)
