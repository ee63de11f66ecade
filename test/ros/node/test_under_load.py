"""Many callers of all services at once, while a set is in work and the node is changed or ended: every call is answered."""

import importlib
import time
from collections import Counter

import pytest
import ros_support
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

from pan3d_ros.perception_node import SUCCESS

KEEPS_ALL = QoSProfile(depth=300)  # of answers: every client of a service hears those to all
OF_ROS = ("parameter", "transition", "state", "type_description", "logger", "_action")


def service_type(name: str) -> type:
    package, kind, own = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), own)


def services_of(node: Node) -> dict[str, type]:
    found = {name: types[0] for name, types in node.get_service_names_and_types() if name.startswith("/pan3d/")}
    return {name: service_type(kind) for name, kind in found.items() if not any(word in name for word in OF_ROS)}


def change(bench: ros_support.Bench, what: str) -> None:
    if what == "parameters":
        for points in range(20, 30):
            assert bench.node.set_parameters([Parameter("merge.min_points", value=points)])
    if what in ("deactivate", "cleanup"):
        assert bench.node.trigger_deactivate() == SUCCESS
    if what in ("cleanup", "shutdown"):
        assert (bench.node.trigger_cleanup if what == "cleanup" else bench.node.trigger_shutdown)() == SUCCESS


@pytest.mark.slow
@pytest.mark.parametrize("what", ["nothing", "parameters", "deactivate", "cleanup", "shutdown"])
def test_every_call_is_answered(spinner, monkeypatch, what):
    bench = ros_support.Bench(spinner, monkeypatch, service__timeout_s=5.0).start()
    bench.until(bench.instances, "results")
    bench.engine.delay_s = 0.7
    nodes = [spinner.add(Node(f"caller_{number}")) for number in range(5)]
    kinds = bench.until(lambda: found if len(found := services_of(nodes[0])) > 8 else None, "the services")
    callers = [(name, node.create_client(kind, name, qos_profile=KEEPS_ALL)) for node in nodes for name, kind in kinds.items()]
    for name, client in callers:
        bench.until(client.service_is_ready, name)
    calls = [(name, client.call_async(kinds[name].Request())) for _ in range(10) for name, client in callers]
    time.sleep(0.3)
    bench.rig.publish()
    change(bench, what)
    bench.until(lambda: all(call.done() for _, call in calls), f"{len(calls)} answers", publish=what in ("nothing", "parameters"))
    answers = [call.result() for _, call in calls]
    assert Counter(name for name, _ in calls) == dict.fromkeys(kinds, 50)
    assert all(getattr(item, "error_code", 0) or item.success or item.message for item in answers if hasattr(item, "success"))
