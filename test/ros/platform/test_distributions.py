"""ROS 2 from Humble to Rolling: what pan3d takes from rclpy is there in all of them, or is bridged in one module."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from places import ROOT

pytest.importorskip("rclpy")

from pan3d_ros.platform import distributions

# Read in the sources of rclpy 3.3 (Humble), 7.1 (Jazzy) and 8.0 (Rolling): what the middle one has and the others have not.
NEWER_THAN_HUMBLE = {
    "add_clock_callback", "add_post_set_parameters_callback", "add_pre_set_parameters_callback", "configure_introspection",
    "count_clients", "count_services", "get_fully_qualified_node_names", "get_publisher_count", "incompatible_type",
    "logger_sublogger_namepair", "matched", "parameter_dict_from_yaml_file", "remove_clock_callback",
    "remove_post_set_parameters_callback", "remove_pre_set_parameters_callback", "wait_for_node",
    "_post_set_parameters_callbacks", "_pre_set_parameters_callbacks", "_on_set_parameters_callbacks",
    "_set_parameters_atomically_common", "_type_description_service", "_logger_service",
}  # fmt: skip
GONE_FROM_ROLLING = {"get_now", "get_ros_time_override_is_enabled", "set_ros_time_override_is_enabled"}
MODULES_NEWER_THAN_HUMBLE = {
    "rclpy.event_handler", "rclpy.experimental", "rclpy.service_introspection", "rclpy.type_description_service",
    "rclpy.logging_service", "rclpy.parameter_client", "rclpy.callback_groups.CallbackGroupType",
}  # fmt: skip
BRIDGE = ROOT / "pan3d_ros" / "platform" / "distributions.py"
WITH_ROS = sorted(
    path
    for folder in ("pan3d_ros", "pan3d_tools", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if "rclpy" in path.read_text() and path != BRIDGE
)


def taken(path: Path) -> set[str]:
    """Modules that are imported, and attributes of whatever is called a node or comes from rclpy, in a file."""
    found = set()
    for part in ast.walk(ast.parse(path.read_text())):
        if isinstance(part, ast.ImportFrom) and part.module:
            found |= {part.module, *(f"{part.module}.{name.name}" for name in part.names)}
        elif isinstance(part, ast.Import):
            found |= {name.name for name in part.names}
        elif isinstance(part, ast.Attribute):
            owner = part.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name == "self" or name.strip("_").endswith("node") or name == "rclpy":
                found.add(part.attr)
    return found


def test_the_rooms_that_use_ros_are_looked_at():
    assert len(WITH_ROS) > 40


@pytest.mark.parametrize("path", WITH_ROS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_taken_from_rclpy_that_another_distribution_lacks(path):
    lacking = taken(path) & (NEWER_THAN_HUMBLE | GONE_FROM_ROLLING | MODULES_NEWER_THAN_HUMBLE)
    assert not lacking, f"{path}: take it from pan3d_ros.platform.distributions"


def test_the_distribution_is_asked_by_what_it_has_and_never_by_its_name():
    for path in (ROOT / "pan3d_ros").rglob("*.py"):
        assert "ROS_DISTRO" not in path.read_text(), path


def test_events_come_from_where_humble_has_them(monkeypatch):
    old = ModuleType("rclpy.qos_event")
    old.QoSEventHandler, old.SubscriptionEventCallbacks = type("QoSEventHandler", (), {}), type("Callbacks", (), {})
    monkeypatch.setitem(sys.modules, "rclpy.event_handler", None)  # import raises ModuleNotFoundError
    monkeypatch.setitem(sys.modules, "rclpy.qos_event", old)
    assert distributions.event_classes() == (old.QoSEventHandler, old.SubscriptionEventCallbacks)


class HumbleNode:
    """The part of a node of Humble that is bridged."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def _set_parameters_atomically(self, parameters, descriptors=None):
        accepted = all(parameter.value != "refused" for parameter in parameters)
        if accepted:
            self.values |= {parameter.name: parameter.value for parameter in parameters}
        return SimpleNamespace(successful=accepted)

    def set_parameters(self, parameters):
        return [self._set_parameters_atomically([parameter]) for parameter in parameters]

    def get_node_names_and_namespaces(self):
        return [("pan3d", "/"), ("pan3d", "/left"), ("gone", "/")]

    def get_service_names_and_types_by_node(self, name, namespace):
        if name == "gone":
            raise distributions.NodeNameNonExistentError
        kinds = ["pan3d_interfaces/srv/SegmentObject"]
        return [("/segment_object", kinds), (f"{namespace.rstrip('/')}/pan3d/segment_object", kinds)]


def test_what_follows_from_parameters_is_done_after_they_are_stored():
    node, seen = HumbleNode(), []
    distributions.after_parameters_are_set(node, lambda given: seen.append((len(given), dict(node.values))))
    node.set_parameters([SimpleNamespace(name="sync.slop_s", value=0.1), SimpleNamespace(name="model.name", value="refused")])
    assert seen == [(1, {"sync.slop_s": 0.1})]


def test_servers_are_counted_node_by_node():
    assert distributions.count_services(HumbleNode(), "/segment_object") == 2
    assert distributions.count_services(HumbleNode(), "/left/pan3d/segment_object") == 1
    assert distributions.count_services(HumbleNode(), "/other") == 0


def test_a_node_of_today_is_asked_directly(ros_context):
    import rclpy

    node = rclpy.create_node("counted")
    try:
        seen: list[str] = []
        distributions.after_parameters_are_set(node, lambda given: seen.extend(p.name for p in given))
        node.declare_parameter("height", 1.0)
        node.set_parameters([rclpy.parameter.Parameter("height", value=2.0)])
        assert "height" in seen and distributions.count_services(node, "/counted/get_parameters") == 1
    finally:
        node.destroy_node()
