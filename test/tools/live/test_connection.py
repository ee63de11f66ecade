"""A running node seen and asked from beside it, without a browser or an agent."""

import socket
import threading
import time
from contextlib import closing

import numpy as np
import pytest
from ros_presence import require_ros

require_ros()

import rclpy  # noqa: E402
import ros_support  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from pan3d_interfaces.msg import ErrorCode  # noqa: E402
from pan3d_interfaces.srv import GetInstances, SegmentObject  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.node import Node  # noqa: E402

from pan3d_ros.perception_node import PerceptionNode  # noqa: E402
from pan3d_ros.platform.rclpy_private import RCLError  # noqa: E402
from pan3d_tools import cli  # noqa: E402
from pan3d_tools.live import Look, NodeConnection, NodeUnavailable, Sight  # noqa: E402
from pan3d_tools.live import connection as connections  # noqa: E402
from pan3d_tools.live.connection import refusal  # noqa: E402
from pan3d_tools.live.page import TINT, answer_lines, box_of, cloud_arrays  # noqa: E402
from pan3d_tools.live.panel import state_of, time_lines  # noqa: E402
from pan3d_tools.live.tools import NodeTools, Refused  # noqa: E402
from pan3d_tools.viewer.serving import PageAddress, require_free  # noqa: E402


@pytest.fixture
def connection(process_domain):
    connection = NodeConnection()
    yield connection
    connection.close()


def test_a_sight_hears_the_node_while_it_looks_and_nothing_otherwise(spinner, monkeypatch, connection):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    heard = bench.node.count_subscribers("/pan3d/points")  # by the test itself
    sight = Sight(connection)
    assert list(connection.node.subscriptions) == []
    sight.begin()

    def complete() -> bool:
        look = sight.look
        return bool(look.pictures and look.cloud and look.stats and "services" in look.health)

    bench.until(complete, "everything is seen")
    assert bench.node.count_subscribers("/pan3d/points") == heard + 1
    look = sight.look
    first, second = sorted(look.names())
    assert look.names() == {first: f"{first} block", second: f"{second} block"}
    whole, marked = look.picture("front"), look.picture("front", frozenset({first}))
    assert whole.shape == marked.shape == (373, 480, 3)
    differs = (whole != marked).any(-1)
    assert 0.01 < differs.mean() < 0.5  # where the objects are, and nowhere else

    points_m, colors = cloud_arrays(look.cloud, "colour", frozenset())
    assert points_m.dtype == np.float32 and len(points_m) == len(colors) > 1000
    tinted = cloud_arrays(look.cloud, "colour", frozenset({first}))[1]
    changed = (tinted != colors).any(-1)
    assert 0 < changed.mean() < 0.1
    assert (np.abs(tinted[changed] - TINT) <= np.abs(colors[changed] - TINT) + 1).all()
    assert len(np.unique(cloud_arrays(look.cloud, "instances", frozenset())[1], axis=0)) == 3
    red = min(look.instances.instances, key=lambda item: item.pose.position.x)
    assert float(box_of(red).world_from_box[0, 3]) == pytest.approx(red.pose.position.x, abs=1e-6)

    assert state_of(look, "")[0].startswith("2 objects; metres")
    assert any(line.endswith("ms of work by colors on cpu") for line in time_lines(look))
    sight.end()
    assert list(connection.node.subscriptions) == []
    bench.until(lambda: bench.node.count_subscribers("/pan3d/points") == heard, "the node knows it", publish=False)


def test_a_look_says_what_it_lacks():
    assert state_of(Look(), "no node is there") == ("no node is there", DiagnosticStatus.ERROR)
    assert state_of(Look(), "")[0] == "The node is there and has sent no result yet"
    old = Look(arrived_s=time.monotonic() - 12)
    assert state_of(old, "") == ("No result for 12 s", DiagnosticStatus.WARN)
    broken = DiagnosticStatus(level=DiagnosticStatus.ERROR, message="images, but no camera_info")
    assert state_of(Look(health={"camera front": broken}), "")[0].endswith("no result yet: images, but no camera_info")
    assert time_lines(Look()) == []


def test_refusals_have_the_name_of_their_code_and_the_nodes_words():
    answer = SegmentObject.Response(error_code=ErrorCode.NOT_UNDERSTOOD, message="'lest' is not understood")
    assert refusal(answer) == "NOT_UNDERSTOOD: 'lest' is not understood"
    assert answer_lines("the lest mug", answer) == (
        ["the lest mug: NOT_UNDERSTOOD: 'lest' is not understood"],
        DiagnosticStatus.WARN,
    )
    assert refusal(SegmentObject.Response(success=True)) == ""


def test_where_no_node_is_a_question_says_so_and_who_may_not_ask_is_told_that(own_domain, monkeypatch):
    monkeypatch.setattr(connections, "DISCOVERY_S", 0.5)
    with closing(NodeConnection()) as connection:
        request = GetInstances, "get_instances", GetInstances.Request(), 1.0
        with pytest.raises(NodeUnavailable, match=rf"no perception node /pan3d is there \(ROS domain {own_domain}\)"):
            connection.ask(*request)
        monkeypatch.setattr(connections, "count_services", lambda node, name: 1)
        with pytest.raises(NodeUnavailable, match="/pan3d/get_instances is there, but cannot be reached"):
            connection.ask(*request)

        def denied(kind, name):
            raise RCLError("Failed to create client: error not set")

        monkeypatch.setattr(connection.node, "create_client", denied)
        with pytest.raises(NodeUnavailable, match="/pan3d/check_calibration cannot be asked: Failed to create client"):
            connection.ask(GetInstances, "check_calibration", GetInstances.Request(), 1.0)


def test_tools_refuse_what_the_node_refuses(spinner, connection):
    node = spinner.add(PerceptionNode())
    tools = NodeTools(connection)
    with pytest.raises(Refused, match="^NOT_ACTIVE: "):
        tools.list_objects()
    with pytest.raises(Refused, match="^NOT_ACTIVE: "):
        tools.find_objects("the mug")
    with pytest.raises(Refused, match="max_grasps: expected 1 to 100, got 0"):
        tools.get_grasps(1, 0)
    assert connection.is_there() and node.get_fully_qualified_name() == "/pan3d"


def test_the_commands_refuse_names_that_are_none(capsys):
    for command in ("web", "mcp"):
        assert cli.main([command, "--node", "pan 3d"]) == 2
        assert "expected a full name such as /pan3d or /robot2/pan3d, got 'pan 3d'" in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"expected a free port of this machine, got {port} of 127.0.0.1"):
            require_free(PageAddress(port=port))


def test_a_node_that_does_not_answer_or_goes_while_it_is_asked_is_told(ros_context, own_domain, monkeypatch):
    monkeypatch.setattr(connections, "MARGIN_S", 0.3)
    context = Context()
    rclpy.init(context=context, domain_id=own_domain)
    silent = Node("pan3d", context=context)  # nobody spins it, so it never answers
    silent.create_service(GetInstances, "~/get_instances", lambda request, answer: answer)
    connection = NodeConnection()
    try:
        with pytest.raises(NodeUnavailable, match="/pan3d gave no answer to get_instances within 0.5 s"):
            connection.ask(GetInstances, "get_instances", GetInstances.Request(), 0.2)
        threading.Timer(0.5, silent.destroy_node).start()
        with pytest.raises(NodeUnavailable, match="/pan3d went away while it was asked"):
            connection.ask(GetInstances, "get_instances", GetInstances.Request(), 60.0)
    finally:
        connection.close()
        context.try_shutdown()
