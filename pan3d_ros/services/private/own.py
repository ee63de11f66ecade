"""Services that a node offers below its own name alone: what they change or tell is of this node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

Answer = Callable[[Any, Any], Any]  # of a request and a response to be filled in


def request_queue(node: Node) -> QoSProfile:
    """How requests wait: the usual ten are lost from when more callers ask at once than there are threads, and a lost request is
    never answered.

    Args:
        node: With the parameter `service.queue`.

    Returns:
        The profile of a service.
    """
    queue = int(node.get_parameter("service.queue").value)
    return QoSProfile(depth=queue, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)


class OwnServices:
    """Several of them, for `ServiceServers`.

    Args:
        node: That offers them.
        group: In which they are answered.
        answers: Name below the node's own -> type and what answers.
    """

    names = ()

    def __init__(self, node: Node, group: CallbackGroup, answers: Mapping[str, tuple[type, Answer]]) -> None:
        self._node, self._group, self._answers = node, group, answers

    def offer(self, prefix: str) -> Callable[[], None]:
        """Offer them.

        Args:
            prefix: Before the names; nothing is offered but below the node's own, "~/".

        Returns:
            What destroys them.
        """
        if prefix != "~/":
            return lambda: None
        made = [
            self._node.create_service(
                kind, f"~/{name}", answer, qos_profile=request_queue(self._node), callback_group=self._group
            )
            for name, (kind, answer) in self._answers.items()
        ]

        def withdraw() -> None:
            for service in made:
                self._node.destroy_service(service)

        return withdraw

    def close(self) -> None:
        """Nothing runs by itself that would have to be ended."""
