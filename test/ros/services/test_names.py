"""Names of services where more than one node could answer."""

import pytest
import ros_support
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject
from rclpy.parameter import Parameter

from pan3d_ros.perception_node import FAILURE, SUCCESS, PerceptionNode
from pan3d_ros.services import names

WAYS = ("/segment_object", "/get_instances", "/get_grasp_targets", "/set_classes", "/refine_scene/_action/send_goal")


@pytest.fixture
def bench(spinner, monkeypatch):
    return ros_support.Bench(spinner, monkeypatch, global_services=True)


@pytest.fixture
def second(bench, spinner):
    """Another robot's node with the same settings."""
    given = bench.node.get_parameters_by_prefix("")
    wanted = [given[name] for name in ("cameras", "model.name", "input.use_depth", "global_services", "watchdog.period_s")]
    return spinner.add(PerceptionNode(namespace="robot2", parameter_overrides=wanted))


def count(node) -> list[int]:
    return [node.count_services(name) for name in WAYS]


def test_a_second_robot_never_answers_for_the_first_and_says_so(bench, second):
    bench.start()
    assert count(bench.rig) == [1] * len(WAYS)
    assert second.trigger_configure() == FAILURE
    said = "configure failed: global_services: /segment_object is offered by /pan3d already"
    answer = bench.call(SegmentObject, "/robot2/pan3d/segment_object", prompt="block")
    assert answer.error_code == ErrorCode.NOT_ACTIVE
    assert answer.message.startswith(said) and "set global_services:=false" in answer.message
    assert "call /robot2/pan3d/segment_object" in answer.message
    assert count(bench.rig) == [1] * len(WAYS)
    bench.until(lambda: bench.instances(), "results of the first")
    for _ in range(3):
        answer = bench.call(SegmentObject, "/segment_object", use_latest=True, prompt_type=SegmentObject.Request.PROMPT_ALL)
        assert answer.success, answer.message
    assert second.set_parameters([Parameter("global_services", value=False)])[0].successful
    assert second.trigger_configure() == SUCCESS


def test_of_two_that_come_at_once_one_steps_back(bench, second, monkeypatch):
    with monkeypatch.context() as patch:  # neither has discovered the other when it configures
        patch.setattr(names.ServiceNames, "_others", lambda self: {})
        bench.start()
        assert second.trigger_configure() == SUCCESS
        assert count(bench.rig) == [2] * len(WAYS)
    bench.until(lambda: count(bench.rig) == [1] * len(WAYS), "one of them steps back", publish=False)

    def told(node: str, level: bytes, text: str) -> bool:
        lines = [line for array in bench.listener.received["diagnostics"] for line in array.status]
        return any(line.name == f"{node}: services" and line.level == level and text in line.message for line in lines)

    bench.until(lambda: told("/robot2/pan3d", b"\x02", "is offered by /pan3d already"), "the diagnostic of one", publish=False)
    assert told("/pan3d", b"\x00", "offered as /pan3d/segment_object and /segment_object")
    assert not told("/pan3d", b"\x02", "")


def test_names_are_not_offered_before_it_is_sure_that_nobody_else_has_them(bench, second, monkeypatch):
    bench.start()
    monkeypatch.setattr(names, "SURE_S", 60.0)
    with monkeypatch.context() as patch:  # the first is not discovered for long
        patch.setattr(names.ServiceNames, "_others", lambda self: {})
        assert second.trigger_configure() == SUCCESS
        assert second.names.review() == (False, "") and count(bench.rig) == [1] * len(WAYS)
        monkeypatch.setattr(names, "SURE_S", names.DISCOVERY_S)
    everywhere, problem = second.names.review()
    assert not everywhere and "/segment_object is offered by /pan3d already" in problem
    assert count(bench.rig) == [1] * len(WAYS)


def test_a_service_whose_node_is_not_known_yet_is_taken(bench, second, monkeypatch):
    bench.start()
    with monkeypatch.context() as patch:
        patch.setattr(PerceptionNode, "get_node_names_and_namespaces", lambda self: [("pan3d", "/robot2")])
        assert second.trigger_configure() == FAILURE
        assert "/segment_object is offered by another node already" in second.problem
    assert "/segment_object is offered by /pan3d already" in second.names.review()[1]


def test_a_namesake_is_told_once_it_cannot_be_a_dead_process(bench, spinner, monkeypatch):
    monkeypatch.setattr(names, "NAMESAKE_S", 0.3)
    bench.until(lambda: bench.listener.status("services"), "diagnostics", publish=False)
    spinner.add(PerceptionNode(parameter_overrides=[Parameter("watchdog.period_s", value=60.0)]))
    bench.until(
        lambda: bench.listener.shows("services", b"\x02", "another node is called /pan3d too"), "the diagnostic", publish=False
    )
    assert "give each robot a namespace" in bench.listener.status("services").message
