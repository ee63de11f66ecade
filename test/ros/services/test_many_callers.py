"""As many answers come as there were requests, from one client and from many, over real DDS and with ROS's own QoS."""

import threading
import time

import pytest
import ros_support
from geometry_msgs.msg import Point32, Vector3Stamped
from pan3d_interfaces.msg import ErrorCode, GraspTarget
from pan3d_interfaces.srv import GetGraspTargets, GetInstances, SegmentObject
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

from pan3d_core.grasping import planner
from pan3d_ros.services import grasp_memory
from pan3d_ros.services.grasp_memory import SHARED_S
from pan3d_ros.services.requests import RequestError
from pan3d_ros.services.turns import ANSWERS_AT_ONCE, GAP_S, Turns

ALL = SegmentObject.Request.PROMPT_ALL
COUNT, WAITING = 50, 20
ENOUGH_THREADS = pytest.mark.parametrize("spinner", [COUNT + 4 + 4], indirect=True)


def ask_at_once(bench, nodes, clients_per_node, calls_per_client, **fields):
    """Answers to all calls, sent without waiting for one another. The callers' nodes have a thread of their own."""
    executor = SingleThreadedExecutor()
    callers = [Node(f"caller_{index}") for index in range(nodes)]
    for caller in callers:
        executor.add_node(caller)
    thread = threading.Thread(target=executor.spin, daemon=True)
    clients = [
        caller.create_client(SegmentObject, "/pan3d/segment_object") for caller in callers for _ in range(clients_per_node)
    ]
    thread.start()
    try:
        bench.until(lambda: all(client.service_is_ready() for client in clients), "the service, for all clients")
        request = SegmentObject.Request(**fields)
        futures = [client.call_async(request) for client in clients for _ in range(calls_per_client)]
        bench.until(lambda: all(future.done() for future in futures), "all answers", timeout_s=150.0)
        return [future.result() for future in futures]
    finally:
        executor.shutdown()
        thread.join(10)
        for caller in callers:
            caller.destroy_node()


def is_quiet(bench):
    """Whether nothing comes any more: pictures may be on their way to a node that has nothing to do at the moment."""
    seen = len(bench.instances())
    time.sleep(0.5)
    return len(bench.instances()) == seen and bench.node.perception.worker.busy_s == 0


@ENOUGH_THREADS
@pytest.mark.parametrize(("nodes", "clients", "calls"), [(1, 1, COUNT), (2, COUNT // 2, 1)])
def test_fifty_calls_at_once_get_fifty_results(spinner, monkeypatch, nodes, clients, calls):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.until(bench.instances, "results")
    for fields in ({"prompt_type": ALL, "use_latest": True}, {"prompt": "the red one"}):
        answers = ask_at_once(bench, nodes, clients, calls, **fields)
        assert [(answer.error_code, bool(answer.instances.instances)) for answer in answers] == [(ErrorCode.OK, True)] * COUNT


@ENOUGH_THREADS
def test_all_who_wait_for_the_next_result_get_the_same_one(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.until(bench.instances, "results")
    bench.engine.delay_s = 1.0
    # Deep, because this caller has pictures to send in the same thread and may take its answers late.
    client = bench.rig.create_client(SegmentObject, "/pan3d/segment_object", qos_profile=QoSProfile(depth=100))
    bench.until(client.service_is_ready, "the service", publish=False)
    calls = [client.call_async(SegmentObject.Request(prompt_type=ALL)) for _ in range(WAITING)]
    bench.until(lambda: bench.node.answers.turns.waiting == WAITING, "all wait", publish=False)
    asked = len(bench.instances())
    bench.until(lambda: all(call.done() for call in calls), "all answers", timeout_s=150.0)
    stamps = {(call.result().instances.newest_stamp.sec, call.result().instances.newest_stamp.nanosec) for call in calls}
    assert {call.result().error_code for call in calls} == {ErrorCode.OK}
    assert len(stamps) == 1
    assert bench.engine.calls - asked <= 4, "no call has work of its own"


def test_requests_never_take_the_threads_that_pictures_and_timers_need(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()  # with six threads
    client = bench.rig.create_client(SegmentObject, "/pan3d/segment_object")
    bench.until(client.service_is_ready, "the service", publish=False)
    calls = [client.call_async(SegmentObject.Request(prompt_type=ALL, timeout=100.0)) for _ in range(8)]
    bench.until(lambda: sum(call.done() for call in calls) == 6, "all but two are refused", publish=False)
    assert {call.result().error_code for call in calls if call.done()} == {ErrorCode.BUSY}
    bench.until(lambda: all(call.done() for call in calls), "the two are answered, so pictures were received")
    assert sorted(call.result().error_code for call in calls) == sorted([ErrorCode.OK] * 2 + [ErrorCode.BUSY] * 6)


def test_many_answers_leave_one_after_the_other_and_few_at_once():
    turns = Turns()
    began = time.monotonic()
    for _ in range(ANSWERS_AT_ONCE):
        turns.pace()
    few = time.monotonic() - began
    for _ in range(20):
        turns.pace()
    assert time.monotonic() - began >= 18 * GAP_S
    assert few < 18 * GAP_S


def test_a_request_that_ends_makes_room_for_another():
    turns = Turns()
    with turns.admitted(1), pytest.raises(RequestError, match="1 requests are waiting already"), turns.admitted(1):
        pass
    with pytest.raises(ZeroDivisionError), turns.admitted(1):
        raise ZeroDivisionError
    assert turns.waiting == 0


def test_the_same_grasps_are_computed_once_for_all(spinner, monkeypatch):
    computed = []
    monkeypatch.setattr(grasp_memory, "select_grasps", lambda *asked: computed.append(asked[1:]) or planner.select_grasps(*asked))
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.until(lambda: bench.instances() and bench.instances()[-1].instances, "results")
    bench.until(lambda: is_quiet(bench), "the last pictures have been looked at", publish=False)
    one, other = (item.id for item in bench.instances()[-1].instances[:2])
    first = bench.call(GetGraspTargets, "get_grasp_targets", instance_id=one)
    assert bench.call(GetGraspTargets, "get_grasp_targets", instance_id=one).targets == first.targets
    assert len(computed) == 1
    bench.call(GetGraspTargets, "get_grasp_targets", instance_id=one, gripper_max_width=0.03)
    bench.call(GetGraspTargets, "get_grasp_targets", instance_id=other)
    assert len(computed) == 3
    seen = len(bench.instances())
    bench.until(lambda: len(bench.instances()) > seen, "a newer result")
    bench.call(GetGraspTargets, "get_grasp_targets", instance_id=bench.instances()[-1].instances[0].id)
    assert len(computed) == 4


def test_a_node_with_a_cup_answers_with_places_for_it(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, grasp__gripper__kind="suction").start()
    bench.until(lambda: bench.instances() and bench.instances()[-1].instances, "results")
    for item in bench.instances()[-1].instances:
        found = bench.call(GetGraspTargets, "get_grasp_targets", instance_id=item.id)
        assert found.success == bool(found.targets) and "sampled " in found.message and "edge " in found.message
        assert all(target.method == GraspTarget.METHOD_SUCTION and target.width == 0.0 for target in found.targets)
    refused = bench.call(GetGraspTargets, "get_grasp_targets", instance_id=item.id, gripper_max_width=0.05)
    assert refused.error_code == ErrorCode.INVALID_REQUEST
    assert refused.message == "gripper_max_width: expected 0, as grasp.gripper.kind is suction, got 0.05"


@ENOUGH_THREADS
def test_grasps_are_of_one_result_while_several_wait(spinner, monkeypatch):
    """Results come faster than grasps are computed: with the newest for each caller, the last of many would wait long."""
    computed = []

    def slowly(panoptic, *asked):
        computed.append(panoptic)
        time.sleep(0.1 if len(computed) > 1 else 0.6)  # the first until all callers have come, on a busy machine too
        return planner.select_grasps(panoptic, *asked)

    monkeypatch.setattr(grasp_memory, "select_grasps", slowly)
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.until(lambda: bench.instances() and bench.instances()[-1].instances, "results")
    client = bench.rig.create_client(GetGraspTargets, "/pan3d/get_grasp_targets", qos_profile=QoSProfile(depth=100))
    bench.until(client.service_is_ready, "the service")
    one = bench.instances()[-1].instances[0].id
    alone = bench.call(GetGraspTargets, "get_grasp_targets", instance_id=one)
    computed.clear()
    began = time.monotonic()
    calls = [client.call_async(GetGraspTargets.Request(instance_id=one)) for _ in range(WAITING)]
    bench.until(lambda: all(call.done() for call in calls), "all answers")
    assert {call.result().error_code for call in calls} == {alone.error_code}
    for_all = len(computed)
    assert for_all <= 2 + (time.monotonic() - began) / SHARED_S < WAITING
    seen = len(bench.instances())
    bench.until(lambda: len(bench.instances()) > seen, "a newer result")
    bench.call(GetGraspTargets, "get_grasp_targets", instance_id=one)
    assert len(computed) == for_all + 1, "who asks alone gets those of the newest result"


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
