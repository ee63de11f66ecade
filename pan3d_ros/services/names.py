"""Under which names the node answers: always below its own, and as /segment_object where it is the only one in the graph."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rclpy.node import Node, NodeNameNonExistentError

from pan3d_ros.platform.distributions import count_services

log = logging.getLogger("pan3d.ros.services")
# A node that is younger does not know yet who else is there; on a busy machine it may take until it is SURE_S old.
DISCOVERY_S = 1.0
SURE_S = 3.5
UNNAMED = "another node"  # stands behind all names, which begin with a slash, so nobody steps back for it
# A process that was killed is remembered for 20 s by Fast DDS; whoever has this node's name for longer lives.
NAMESAKE_S = 25.0


class Offer(Protocol):
    """Services that can be offered several times."""

    @property
    def names(self) -> Sequence[str]: ...  # as they appear in the graph, behind a prefix

    def offer(self, prefix: str) -> Callable[[], None]: ...

    def close(self) -> None: ...


class ServiceNames:
    """Offers services as ~/..., and with the parameter `global_services` as /... as long as no other node has one of the names.

    Nobody can tell two nodes apart that offer the same name: DDS lets either of them answer. So a node that comes second offers
    none and fails to configure, one that finds the first too late for that goes on without them, and of two that came at the same
    moment the one whose name is later in the alphabet steps back.

    Args:
        node: That offers them.
        offers: The services.
    """

    def __init__(self, node: Node, offers: Sequence[Offer]) -> None:
        self._node, self._offers = node, tuple(offers)
        self._names = tuple(f"/{name}" for each in self._offers for name in each.names)
        self._own = [each.offer("~/") for each in self._offers]
        self._global: list[Callable[[], None]] = []
        self._refused = ""
        self._since_s = time.monotonic()
        self._namesake_s: float | None = None  # since when another node has the same name
        self._lock = threading.Lock()

    def require(self) -> None:
        """Refuse to go on where global names are wanted and taken; waits until the node has had time to discover others.

        Raises:
            ValueError: They are wanted and another node has one of the names.
        """
        if self._wanted() and not self._global:
            time.sleep(max(0.0, DISCOVERY_S - (time.monotonic() - self._since_s)))
        with self._lock:
            self._refused = ""
            self._settle()
            if self._refused:
                raise ValueError(self._refused)

    def review(self) -> tuple[bool, str]:
        """Offer global names once it is clear that nobody else does; step back where two offered them at the same moment.

        Returns:
            Whether they are offered; and why not although they are wanted, or who else has this node's name, empty = all is well.
        """
        with self._lock:
            before = self._refused
            self._settle()
            if self._refused and not before:
                log.error(self._refused)
            return bool(self._global), "; ".join(filter(None, (self._refused, self._namesake())))

    def _settle(self) -> None:
        wanted, others = self._wanted(), self._others()
        if not wanted:
            self._withdraw()
            self._refused = ""
        elif self._global and others and min(others) < self._node.get_fully_qualified_name():
            self._withdraw()
            self._refuse(others)
        elif not self._global and not self._refused and time.monotonic() - self._since_s >= DISCOVERY_S:
            if others:
                self._refuse(others)
            elif time.monotonic() - self._since_s >= SURE_S:
                self._global = [each.offer("/") for each in self._offers]
        elif self._refused and others and UNNAMED not in others:
            self._refuse(others)  # by name, where it was not known at first

    def _wanted(self) -> bool:
        return bool(self._node.get_parameter("global_services").value)

    def close(self) -> None:
        """End what runs, and destroy them all."""
        for each in self._offers:
            each.close()
        with self._lock:
            self._withdraw()
            for destroy in self._own:
                destroy()

    def _withdraw(self) -> None:
        for destroy in self._global:
            destroy()
        self._global = []

    def _refuse(self, others: dict[str, str]) -> None:
        other = min(others)
        own = self._node.get_fully_qualified_name()
        self._refused = (
            f"global_services: {others[other]} is offered by {other} already, which could answer for this node; set"
            f" global_services:=false here and call {own}{self._names[0]}"
        )

    def _others(self) -> dict[str, str]:
        """Other nodes that have one of the names, each with the name. Services are discovered before the nodes that have them."""
        taken = next((name for name in self._names if count_services(self._node, name) > bool(self._global)), None)
        if taken is None:
            return {}
        own, found = self._node.get_fully_qualified_name(), {}
        for node, namespace in self._node.get_node_names_and_namespaces():
            full = f"{namespace.rstrip('/')}/{node}"
            if full == own:
                continue
            try:
                services = dict(self._node.get_service_names_and_types_by_node(node, namespace))
            except NodeNameNonExistentError:  # it left between the two questions
                continue
            if name := next((name for name in self._names if name in services), None):
                found[full] = name
        return found or {UNNAMED: taken}

    def _namesake(self) -> str:
        """What to say where another node has this one's full name: each of its services is answered by either of them."""
        own = self._node.get_fully_qualified_name()
        names = [f"{namespace.rstrip('/')}/{node}" for node, namespace in self._node.get_node_names_and_namespaces()]
        if names.count(own) < 2:
            self._namesake_s = None
            return ""
        self._namesake_s = self._namesake_s or time.monotonic()
        if time.monotonic() - self._namesake_s < NAMESAKE_S:
            return ""
        return f"another node is called {own} too, and either of them answers calls: give each robot a namespace"
