"""As many answers come as there were requests, from one client and from many, over real DDS."""

import threading

import pytest
import ros_support
from geometry_msgs.msg import Point32, Vector3Stamped
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import GetGraspTargets, GetInstances, SegmentObject
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

ALL = SegmentObject.Request.PROMPT_ALL
DEEP = QoSProfile(depth=100)


def ask_at_once(bench, nodes, clients_per_node, calls_per_client):
    """Answers to all calls, sent without waiting for one another. The callers' nodes have a thread of their own."""
    executor = SingleThreadedExecutor()
    callers = [Node(f"caller_{index}") for index in range(nodes)]
    for caller in callers:
        executor.add_node(caller)
    thread = threading.Thread(target=executor.spin, daemon=True)
    clients = [
        caller.create_client(SegmentObject, "/pan3d/segment_object", qos_profile=DEEP)
        for caller in callers
        for _ in range(clients_per_node)
    ]
    thread.start()
    try:
        bench.until(lambda: all(client.service_is_ready() for client in clients), "the service, for all clients")
        request = SegmentObject.Request(prompt_type=ALL, use_latest=True)
        futures = [client.call_async(request) for client in clients for _ in range(calls_per_client)]
        bench.until(lambda: all(future.done() for future in futures), "all answers", timeout_s=30.0)
        return [future.result() for future in futures]
    finally:
        executor.shutdown()
        thread.join(10)
        for caller in callers:
            caller.destroy_node()


def require_answers(answers, count):
    assert len(answers) == count
    assert {answer.error_code for answer in answers} <= {ErrorCode.OK, ErrorCode.BUSY}
    assert any(answer.success for answer in answers)


def test_twenty_five_calls_of_one_client_get_as_many_answers(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.until(bench.instances, "results")
    require_answers(ask_at_once(bench, 1, 1, 25), 25)


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "clients", "calls"), [(1, 1, 50), (2, 25, 1)])
def test_fifty_calls_get_fifty_answers(spinner, monkeypatch, nodes, clients, calls):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.until(bench.instances, "results")
    require_answers(ask_at_once(bench, nodes, clients, calls), 50)


def test_requests_with_long_lists_or_endless_times_are_refused(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, service__max_entries=5).start()
    bench.until(bench.instances, "results")
    for kind, name, fields, text in [
        (SegmentObject, "segment_object", {"prompt_type": SegmentObject.Request.PROMPT_POINTS, "points": [Point32(z=1.0)] * 6},
         "points: expected at most service.max_entries = 5 entries, got 6"),
        (GetInstances, "get_instances", {"instance_ids": [1] * 6}, "instance_ids: expected at most"),
        (GetGraspTargets, "get_grasp_targets", {"instance_id": 1, "preferred_approaches": [Vector3Stamped()] * 6},
         "preferred_approaches: expected at most"),
        (SegmentObject, "segment_object", {"prompt_type": ALL, "max_age": 1e300}, "max_age: expected at most"),
        (SegmentObject, "segment_object", {"prompt_type": ALL, "timeout": 1e9}, "timeout: expected at most"),
        (GetInstances, "get_instances", {"max_age": float("inf")}, "max_age: expected at most"),
    ]:  # fmt: skip
        answer = bench.call(kind, name, **fields)
        assert (answer.success, answer.error_code) == (False, ErrorCode.INVALID_REQUEST)
        assert answer.message.startswith(text)
