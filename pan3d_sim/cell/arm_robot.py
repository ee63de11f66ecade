"""The cell's arm as a robot that is commanded by trajectories and asked for pictures and joints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import mujoco
import numpy as np

from pan3d_core.body import RobotDescription, parse_urdf, root_from_links
from pan3d_core.motion import Trajectory
from pan3d_core.structures import CameraView
from pan3d_sim.arm import urdf_text
from pan3d_sim.cell.grasp_trial import nearest_object
from pan3d_sim.cell.hand import SQUEEZE_M
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.cell.touches import Touches

SETTLE_S, CLOSE_S, OPEN_S = 0.25, 0.8, 0.5  # servos lag a tenth of a second behind


class ArmRobot:
    """Moves by servos under physics; never looks at the truth, which only `touches` keeps for the judge."""

    def __init__(self, cell: RobotCell, observe: Callable[[RobotCell, str], None] | None = None, period_s: float = 0.1) -> None:
        """Take a cell's arm.

        Args:
            cell: With an arm, which is put to where it waits in nobody's way, the gripper open.
            observe: Called with the cell and the name of the phase, every `period_s` of simulated time; for films.
            period_s: Between its calls.

        Raises:
            ValueError: The cell has no arm.
        """
        if cell.arm is None:
            raise ValueError("CellConfig.arm: expected an arm, got none")
        self.cell, self.arm = cell, cell.arm
        self.urdf = urdf_text(self.arm.spec)
        self.description: RobotDescription = parse_urdf(self.urdf)
        self.joints = tuple(joint.name for joint in self.arm.spec.arm_joints)
        self._fingers = [joint for joint in self.arm.spec.finger_joints if not joint.mimics]
        self._observe, self._period_s, self._next_s = observe, period_s, 0.0
        self.rest = np.array(self.arm.spec.away)  # (6,) radians: where it is in no camera's way
        cell.pose_arm({**dict(zip(self.joints, self.rest)), **{finger.name: finger.high for finger in self._fingers}})
        self.touches = Touches(cell)

    @property
    def max_opening_m(self) -> float:
        """Between the pads, at most."""
        return 2 * self._fingers[0].high

    def views(self) -> list[CameraView]:
        """Colour pictures of the fixed cameras as they are now, each with the places of the arm's links."""
        links = root_from_links(self.description, self.arm.positions(self.cell.data)).float()
        stamp_ns = round(self.cell.data.time * 1e9)
        return [replace(view, world_from_links=links) for view in self.cell.views(stamp_ns=stamp_ns, depth=False)]

    def angles(self) -> np.ndarray:
        """(6,) radians, in the order of `joints`."""
        found = self.arm.positions(self.cell.data)
        return np.array([found[name] for name in self.joints])

    def opening_m(self) -> float:
        """Between the pads."""
        return 2 * self.arm.positions(self.cell.data)[self._fingers[0].name]

    def follow(self, trajectory: Trajectory, phase: str) -> None:
        """Go a way and come to rest at its end.

        Args:
            trajectory: Of all joints of the arm.
            phase: What touches are filed under.
        """
        if phase == "approach":
            self.touches.approach()
        begin = self.cell.data.time
        while (now := self.cell.data.time - begin) < trajectory.duration_s + SETTLE_S:
            self.arm.command(self.cell.data, dict(zip(trajectory.joints, trajectory.at(now).tolist())))
            self._step(phase)

    def open_to(self, opening_m: float) -> None:
        """Open the gripper, letting go of what it has."""
        self._grip(opening_m, OPEN_S, "release")

    def close(self) -> float:
        """Close the gripper with its full force at an even speed; returns the metres that are left between the pads."""
        tip = self.arm.world_from_tool(self.cell.data)[:3, 3]
        self.touches.close_on(nearest_object(self.cell, tip))
        self._grip(SQUEEZE_M, CLOSE_S, "close")
        return self.opening_m()

    def _grip(self, goal_m: float, seconds: float, phase: str) -> None:
        start, begin = self.opening_m(), self.cell.data.time
        while (now := self.cell.data.time - begin) < seconds:
            share = min(1.0, 1.25 * now / seconds)  # the last fifth presses
            opening = start + share * (goal_m - start)
            self.arm.command(self.cell.data, {finger.name: opening / 2 for finger in self._fingers})
            self._step(phase)

    def _step(self, phase: str) -> None:
        mujoco.mj_step(self.cell.model, self.cell.data)
        self.touches.watch(phase)
        if self._observe is not None and self.cell.data.time >= self._next_s:
            self._next_s = self.cell.data.time + self._period_s
            self._observe(self.cell, phase)
