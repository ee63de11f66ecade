"""The sign of life that `nav2_lifecycle_manager` and other supervisors listen for: a bond, where its messages are installed."""

from __future__ import annotations

import uuid
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from pan3d_ros.platform.rclpy_private import lifecycle_state
from pan3d_ros.platform.stand_ins import bond_msgs

PERIOD_S = 0.5
"""A manager waits half of its `bond_timeout` (4 s) for the first, and the whole for each of the others."""


class BondHeartbeat:
    """Says on `bond` that the node lives, while it is active and somebody listens.

    One side of a bond only: the node does not end when its manager does, as a robot may well have none. It comes from the
    executor that serves requests, so a node that hangs is missed. Simulated time that stands still does not stop it.

    Args:
        node: Its name is the bond's.
        messages: Of the package `bond`; None where it is not installed, and nothing is done then.
    """

    def __init__(self, node: LifecycleNode, messages: Any = bond_msgs) -> None:
        self._node, self._messages = node, messages
        if messages is None:
            return
        self._instance = str(uuid.uuid4())
        self._was_active = False
        # Ten, as others stand behind one that is late; `bond` is below the node's namespace, as nav2's own nodes have it.
        self._publisher = node.create_publisher(messages.Status, "bond", 10)
        self._timer = node.create_timer(PERIOD_S, self.beat, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def beat(self) -> None:
        """Say it now, or once that the bond ends when the node is no longer active."""
        active = lifecycle_state(self._node) == "active"
        if (active or self._was_active) and self._publisher.get_subscription_count():
            message = self._messages.Status(id=self._node.get_name(), instance_id=self._instance, active=active)
            message.header.stamp = self._node.get_clock().now().to_msg()
            message.heartbeat_period = PERIOD_S
            message.heartbeat_timeout = 8 * PERIOD_S
            self._publisher.publish(message)
        self._was_active = active
