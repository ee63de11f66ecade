"""What the arm of the simulated cell tells of itself: `joint_states` and `robot_description`."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from pan3d_ros.messages.parts import header
from pan3d_sim.arm import ArmPath, ArmSpec, urdf_text

JOINTS_HZ = 50.0


class ArmStreams:
    """Publishers of an arm that moves along its path.

    Args:
        node: That publishes.
        arm: Whose table is published as `robot_description`, latched.
    """

    def __init__(self, node: Node, arm: ArmSpec) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._path, self._start_ns = ArmPath(arm), 0
        self._node = node
        self._joints = node.create_publisher(JointState, "joint_states", 50)
        self._description = node.create_publisher(String, "robot_description", latched)
        self._description.publish(String(data=urdf_text(arm)))
        self._timer = node.create_timer(1.0 / JOINTS_HZ, self._tell)

    def positions(self, stamp_ns: int) -> dict[str, float]:
        """Where the joints are at a time, by name."""
        self._start_ns = self._start_ns or stamp_ns
        return self._path.positions((stamp_ns - self._start_ns) * 1e-9)

    def tell(self, stamp_ns: int) -> None:
        """Publish the positions at a time."""
        positions = self.positions(stamp_ns)
        self._joints.publish(
            JointState(header=header("", stamp_ns), name=list(positions), position=list(map(float, positions.values())))
        )

    def _tell(self) -> None:
        self.tell(self._node.get_clock().now().nanoseconds)
