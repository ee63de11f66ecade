"""A way to one perception node: calls with a limit of time, from any thread, and ROS in a thread of its own."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any, TypeVar

from pan3d_interfaces.msg import ErrorCode
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from pan3d_core.runtime.failures import FailureLog
from pan3d_ros.platform.distributions import count_services
from pan3d_ros.platform.domains import VARIABLE
from pan3d_ros.platform.enclaves import in_words
from pan3d_ros.platform.rclpy_private import RCLError, spin
from pan3d_ros.platform.start import own_context

log = logging.getLogger("pan3d.live")

DISCOVERY_S = 5.0  # a participant that is younger may not know yet who else is there, on a busy machine
CHECK_S = 0.1  # between looks at whether the node is still there
MARGIN_S = 5.0  # of an answer, beyond the time that the node itself may take
_CODES = {value: name for name, value in vars(ErrorCode).items() if name.isupper() and isinstance(value, int)}
NAME = re.compile(r"(/[A-Za-z_]\w*)+")
Result = TypeVar("Result")


class NodeUnavailable(RuntimeError):
    """The node is not there, went away while it was asked, or does not answer."""


class NodeConnection:
    """Speaks to the perception node of one name.

    It subscribes to nothing by itself and offers nothing.

    Args:
        node_name: Fully qualified, such as /pan3d or /robot2/pan3d.
        own_name: Of the node that asks.

    Raises:
        ValueError: `node_name` is no full name of a node, or ROS refuses to start.
    """

    def __init__(self, node_name: str = "/pan3d", own_name: str = "pan3d_visitor") -> None:
        if not NAME.fullmatch(node_name):
            raise ValueError(f"node: expected a full name such as /pan3d or /robot2/pan3d, got {node_name!r}")
        self.node_name = node_name
        self._begun_s = time.monotonic()
        self._open = ExitStack()
        self._context = self._open.enter_context(own_context())
        # Several programs may look at one node: each by a name of its own.
        name = f"{own_name}_{os.getpid()}"
        try:
            self.node = Node(name, context=self._context, enable_rosout=False, start_parameter_services=False)
        except RCLError as error:
            self._open.close()
            raise ValueError(f"ROS cannot start: {in_words(error)}") from error
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        failures = FailureLog(log)
        work = (self._executor, lambda error: failures.report("what the node sent", error))
        self._thread = threading.Thread(target=spin, args=work, name="pan3d live", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join(MARGIN_S)
        self.node.destroy_node()
        self._open.close()

    def in_ros(self, work: Callable[[], Result]) -> Result:
        """Call a function in the thread of ROS, where nothing is taken away that is waited for, and give what it returns."""
        done: Future[Result] = Future()

        def call() -> None:
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001 (raised again where it was asked for)
                done.set_exception(error)

        self._executor.create_task(call)
        return done.result(timeout=MARGIN_S)

    def is_there(self) -> bool:
        """Tell whether a node of this name answers requests."""
        return bool(count_services(self.node, f"{self.node_name}/get_instances"))

    def absence(self) -> str:
        """Say that the node is not there, and what to do about it."""
        domain = os.environ.get(VARIABLE) or "0"
        others = sorted(
            f"{space.rstrip('/')}/{name}"
            for name, space in self.node.get_node_names_and_namespaces()
            if count_services(self.node, f"{space.rstrip('/')}/{name}/segment_object")
        )
        known = f"; {', '.join(others)} would be one: name it with --node" if others else ""
        return f"no perception node {self.node_name} is there (ROS domain {domain}): is it running?{known}"

    def ask(self, kind: Any, service: str, request: Any, timeout_s: float) -> Any:
        """Call a service of the node.

        Args:
            kind: Its type.
            service: Its name below the node's.
            request: Of that type.
            timeout_s: That the node itself may take.

        Returns:
            The answer, which may be a refusal.

        Raises:
            NodeUnavailable: Nobody is there, asking is not allowed, or no answer comes.
        """
        name, asked_s = f"{self.node_name}/{service}", time.monotonic()
        client = self._client(kind, name)
        while not client.service_is_ready():
            # Where it is offered, a client that was just made may still be exchanging keys with it.
            offered = bool(count_services(self.node, name))
            if time.monotonic() - (asked_s if offered else self._begun_s) > DISCOVERY_S:
                raise NodeUnavailable(f"{name} is there, but cannot be reached" if offered else self.absence())
            time.sleep(CHECK_S)
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        end_s = time.monotonic() + timeout_s + MARGIN_S
        while not answered.wait(CHECK_S):
            if not client.service_is_ready():
                raise NodeUnavailable(f"{self.node_name} went away while it was asked")
            if time.monotonic() > end_s:
                client.remove_pending_request(future)
                raise NodeUnavailable(f"{self.node_name} gave no answer to {service} within {timeout_s + MARGIN_S:g} s")
        return future.result()

    def _client(self, kind: Any, name: str) -> Any:
        with self._lock:
            if name not in self._clients:
                try:
                    self._clients[name] = self.node.create_client(kind, name)
                except RCLError as error:
                    raise NodeUnavailable(f"{name} cannot be asked: {in_words(error)}") from error
            return self._clients[name]


def refusal(answer: Any) -> str:
    """Give the words of an answer that is a refusal, behind the name of its code; empty where it is none.

    Args:
        answer: With `success`, `error_code` and `message`.
    """
    if answer.success:
        return ""
    return f"{_CODES.get(answer.error_code, answer.error_code)}: {answer.message}"
