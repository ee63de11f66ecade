"""Whether the node's clock is that of the pictures: simulated time that nobody publishes, or that is there and not used."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from pan3d_ros.outputs.diagnostics import ERROR, OK, WARN, status

CLOCK = "/clock"


def clock_status(node: Node) -> DiagnosticStatus:
    """Tell which time the node has, and what is odd about it.

    Args:
        node: That is active; with a parameter `use_sim_time`, as every node has it.

    Returns:
        ERROR where time stands still, WARN where a simulation or a bag has a time of its own, else OK.
    """
    simulated = bool(node.get_parameter("use_sim_time").value)
    published = node.count_publishers(CLOCK)
    if not simulated and published:
        words = f"{CLOCK} has a publisher, and use_sim_time is false: set it where pictures come from a simulation or bag"
        return status("clock", WARN, words)
    if not simulated:
        return status("clock", OK, "the machine's time")
    if not published:
        words = f"use_sim_time is true, and {CLOCK} has no publisher: nothing is in time; ros2 bag play needs --clock"
        return status("clock", ERROR, words)
    if not node.get_clock().now().nanoseconds:
        return status("clock", ERROR, f"use_sim_time is true, and no time has come on {CLOCK}: is the simulation paused?")
    return status("clock", OK, f"the time of {CLOCK}")
