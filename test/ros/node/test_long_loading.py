"""A node whose network is being built: it stays in configuring, says what it does and for how long, and goes on afterwards."""

import threading

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("pan3d_interfaces.msg")

import ros_support
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from pan3d_core.engines import ENGINES
from pan3d_core.runtime.progress import step
from pan3d_ros.platform.rclpy_private import lifecycle_state


def test_building_is_told_in_diagnostics_while_the_node_is_configuring(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch)
    begun, enough = threading.Event(), threading.Event()

    def slow(config):
        with step("building network.onnx for colors"):
            begun.set()
            assert enough.wait(60)
        return bench.engine

    monkeypatch.setitem(ENGINES, "colors", slow)
    client = bench.rig.create_client(ChangeState, "/pan3d/change_state")
    bench.until(client.service_is_ready, "the node can be configured", publish=False)
    answer = client.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    try:
        assert begun.wait(60)
        words = "configuring: building network.onnx for colors, for "
        bench.until(lambda: bench.listener.shows("model", DiagnosticStatus.OK, words), "the building is told", publish=False)
        assert lifecycle_state(bench.node) == "configuring" and not answer.done()
    finally:
        enough.set()
    bench.until(answer.done, "the node is configured", publish=False)
    assert answer.result().success and lifecycle_state(bench.node) == "inactive"
    bench.until(lambda: bench.listener.status("model").message == "inactive", "nothing is being built", publish=False)
