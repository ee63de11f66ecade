"""The cell's arm under physics as time goes on, following one trajectory at a time."""

from __future__ import annotations

from collections.abc import Mapping

from pan3d_core.motion import Trajectory
from pan3d_sim.cell.robot_cell import RobotCell

STEP_S = 0.01  # servos are told anew so often


class CommandedArm:
    """Begins where the arm is in no camera's way, its gripper open."""

    def __init__(self, cell: RobotCell) -> None:
        """Take a cell's arm. Raises `ValueError` where it has none."""
        if cell.arm is None:
            raise ValueError("CellConfig.arm: expected an arm, got none")
        self.cell, self.arm = cell, cell.arm
        spec = self.arm.spec
        self.limits = {joint.name: (joint.low, joint.high) for joint in (*spec.arm_joints, *spec.finger_joints)}
        self.speeds = {joint.name: joint.speed for joint in spec.arm_joints}
        angles = {joint.name: angle for joint, angle in zip(spec.arm_joints, spec.away)}
        cell.pose_arm(angles | {joint.name: joint.high for joint in spec.finger_joints})
        self._way: Trajectory | None = None
        self._elapsed_s = 0.0

    @property
    def positions(self) -> dict[str, float]:
        """Joint -> radians or metres, now."""
        return self.arm.positions(self.cell.data)

    @property
    def late_s(self) -> float:
        """Seconds since the trajectory's end; negative while it lasts, 0 without one."""
        return 0.0 if self._way is None else self._elapsed_s - self._way.duration_s

    @property
    def wanted(self) -> dict[str, float]:
        """Joint -> radians or metres, where the trajectory has it now; nothing without one."""
        return {} if self._way is None else dict(zip(self._way.joints, self._way.at(self._elapsed_s).tolist()))

    def follow(self, way: Trajectory, elapsed_s: float = 0.0) -> None:
        """Begin a trajectory, in place of the one before.

        Args:
            way: Of any of the joints; the others stay.
            elapsed_s: How much of it is over; negative = it begins later.
        """
        self._way, self._elapsed_s = way, elapsed_s

    def stop(self) -> None:
        """Have every joint stay where it is."""
        self._way = None
        self.arm.command(self.cell.data, self.positions)

    def step(self, seconds: float) -> None:
        """Let time pass."""
        steps = max(1, round(seconds / STEP_S))
        for _ in range(steps):
            self._elapsed_s += seconds / steps
            if self._way is not None:
                self.arm.command(self.cell.data, self.wanted)
            self.cell.step(seconds / steps)

    def errors(self) -> Mapping[str, float]:
        """Joint of the trajectory -> how far it is from where it should be now."""
        here = self.positions
        return {name: value - here[name] for name, value in self.wanted.items()}
