"""Have an arm's driver bring a joint somewhere, on the topic that joint trajectory controllers listen to.

sim_node --ros-args -p arm:=true -p arm_commands:=true &
python examples/manipulation/command_an_arm.py shoulder_pan_joint 0.3
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.wait_for_message import wait_for_message
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from pan3d_core.motion import Trajectory

RESTING_RAD, SPEED_RAD_S = 2e-3, 0.5


def joints(node: Node, names: Sequence[str]) -> np.ndarray:
    """Where they are now."""
    told = wait_for_message(JointState, node, "joint_states", time_to_wait=60)[1]
    return np.array([told.position[told.name.index(name)] for name in names])


def follow(node: Node, way: Trajectory) -> None:
    """Send a trajectory, and wait until its time is over and its joints rest."""
    commands = node.create_publisher(JointTrajectory, "joint_trajectory", 1)
    message = JointTrajectory(joint_names=way.joints)
    for seconds, row in zip(way.times_s.tolist(), way.positions.tolist()):
        message.points.append(JointTrajectoryPoint(positions=row, time_from_start=Duration(seconds=seconds).to_msg()))
    while not commands.get_subscription_count():
        rclpy.spin_once(node, timeout_sec=0.1)
    commands.publish(message)
    end, moved = node.get_clock().now() + Duration(seconds=way.duration_s), np.inf
    while node.get_clock().now() < end or moved > RESTING_RAD:
        before = joints(node, way.joints)
        rclpy.spin_once(node, timeout_sec=0.5)
        moved = np.abs(joints(node, way.joints) - before).max()
    node.destroy_publisher(commands)


def main() -> None:
    """Move one joint at an even speed."""
    name, angle = sys.argv[1], float(sys.argv[2])
    rclpy.init()
    node = rclpy.create_node("command_an_arm")
    here = joints(node, [name])
    seconds = max(abs(angle - here[0]) / SPEED_RAD_S, 0.1)
    follow(node, Trajectory((name,), np.array([0.0, seconds]), np.array([here, [angle]])))
    print(f"{name} is at {joints(node, [name])[0]:.2f}")
    rclpy.shutdown()


if __name__ == "__main__":
    main()
