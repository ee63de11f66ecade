"""The one place that knows in what rclpy differs between ROS 2 distributions, from Humble (rclpy 3.3) on.

Everything else that pan3d takes from rclpy has the same name in Humble, Jazzy and Rolling; a test holds the imports and calls of
all rooms against lists of the names that each of them has. Each entry says when it can go.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node, NodeNameNonExistentError

OLD_EVENT_MODULE = "rclpy.qos_event"
"""Where Humble has what `rclpy.event_handler` has since."""


def event_classes() -> tuple[type, Any]:
    """Give the class of events of endpoints, and that of a subscription's callbacks for them.

    Superfluous when Humble is no longer served.

    Returns:
        `EventHandler` and `SubscriptionEventCallbacks`, under whatever names rclpy has them.
    """
    try:
        found = importlib.import_module("rclpy.event_handler")
        return found.EventHandler, found.SubscriptionEventCallbacks
    except ModuleNotFoundError:
        found = importlib.import_module(OLD_EVENT_MODULE)
        return found.QoSEventHandler, found.SubscriptionEventCallbacks


EventHandler, SubscriptionEventCallbacks = event_classes()


def after_parameters_are_set(node: Node, callback: Callable[[Sequence[Any]], None]) -> None:
    """Have a callback called whenever parameters have got new values.

    Superfluous when Humble is no longer served: it calls nobody after it has stored values, so its own setter is wrapped.

    Args:
        node: Whose parameters are set.
        callback: Is given the parameters that were set, once their values can be read.
    """
    if hasattr(node, "add_post_set_parameters_callback"):
        node.add_post_set_parameters_callback(callback)
        return
    store = node._set_parameters_atomically

    def stored(parameters: list[Any], *args: Any, **options: Any) -> Any:
        result = store(parameters, *args, **options)
        if result.successful:
            callback(parameters)
        return result

    node._set_parameters_atomically = stored  # type: ignore[assignment, method-assign]


def count_services(node: Node, name: str) -> int:
    """Count the servers of a service, in all nodes that are known.

    Superfluous when Humble is no longer served: its nodes tell servers only node by node.

    Args:
        node: That asks.
        name: Full name of the service.

    Returns:
        How many there are.
    """
    if hasattr(node, "count_services"):
        return int(node.count_services(name))
    found = 0
    for other, namespace in node.get_node_names_and_namespaces():
        try:
            found += name in dict(node.get_service_names_and_types_by_node(other, namespace))
        except NodeNameNonExistentError:  # it left between the two questions
            continue
    return found
