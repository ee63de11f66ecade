"""What the arm of the simulated cell tells of itself: `joint_states` and `robot_description`."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from pan3d_ros.cell.arm_control import ArmControl
from pan3d_ros.messages.parts import header
from pan3d_sim.arm import ArmHandles, ArmPath, urdf_text
from pan3d_sim.cell.commanded_arm import CommandedArm
from pan3d_sim.cell.robot_cell import RobotCell

JOINTS_HZ = 50.0


class ArmStreams:
    """Publishers of an arm that moves along its path, or as it is commanded. In the thread of the cell.

    Args:
        node: That publishes.
        cell: In which the arm is.
        arm: Whose table is published as `robot_description`, latched.
        commanded: It follows trajectories under physics.
    """

    def __init__(self, node: Node, cell: RobotCell, arm: ArmHandles, commanded: bool) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._cell, self._path, self._start_ns = cell, ArmPath(arm.spec), 0
        self._control = ArmControl(node, CommandedArm(cell)) if commanded else None
        self._node = node
        self._joints = node.create_publisher(JointState, "joint_states", 50)
        self._description = node.create_publisher(String, "robot_description", latched)
        self._description.publish(String(data=urdf_text(arm.spec)))
        self._timer = node.create_timer(1.0 / JOINTS_HZ, self._tell)

    def use(self, cell: RobotCell) -> None:
        """Go on with the arm of another scene."""
        self._cell = cell
        if self._control is not None:
            self._control.use(CommandedArm(cell))

    def move(self, stamp_ns: int) -> None:
        """Put the arm where it is at a time, for pictures of then, and tell of it."""
        positions = self._positions(stamp_ns)
        if self._control is None:
            self._cell.pose_arm(positions)
        self._publish(positions, stamp_ns)

    def _positions(self, stamp_ns: int) -> dict[str, float]:
        """Where the joints are at a time, by name."""
        if self._control is not None:
            self._control.advance(stamp_ns)
            return self._control.arm.positions
        self._start_ns = self._start_ns or stamp_ns
        return self._path.positions((stamp_ns - self._start_ns) * 1e-9)

    def _publish(self, positions: dict[str, float], stamp_ns: int) -> None:
        names, values = list(positions), list(map(float, positions.values()))
        self._joints.publish(JointState(header=header("", stamp_ns), name=names, position=values))

    def _tell(self) -> None:
        stamp_ns = self._node.get_clock().now().nanoseconds
        self._publish(self._positions(stamp_ns), stamp_ns)
