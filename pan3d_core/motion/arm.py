"""An arm with a parallel gripper, from its URDF: where its links are, how far joints go, which of its bodies may meet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
INSTALL = "pip install 'pan3d[arm]'"


@dataclass(frozen=True)
class ArmNames:
    """What a URDF does not say."""

    tip: str = "tool0"  # link of the grasp frame: origin between the pads, +z approach, +x closing
    # Each opens by an equal share of the opening; none = the gripper is as the URDF has it.
    fingers: tuple[str, ...] = ("finger_left_joint", "finger_right_joint")


class Arm:
    """A chain of joints to a gripper. The frame of the URDF's root is the world."""

    def __init__(self, urdf: str, names: ArmNames | None = None) -> None:
        """Read an arm.

        Args:
            urdf: Text of the URDF; its collision geometry counts.
            names: Of tip and fingers.

        Raises:
            ValueError: It is no URDF that pinocchio reads, or has no such link or joint; or pinocchio is missing.
        """
        try:
            import pinocchio
        except ImportError as error:
            raise ValueError(f"Arm: moving an arm needs the package pin ({error}); {INSTALL}") from error
        self.names = names or ArmNames()
        try:
            self.model: Any = pinocchio.buildModelFromXML(urdf)
            kind = pinocchio.GeometryType.COLLISION
            self.bodies: Any = pinocchio.buildGeomFromUrdfString(self.model, urdf, kind)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"Arm.urdf: expected what pinocchio reads, got {error}") from error
        self._require_names()
        self._pin, self.data = pinocchio, self.model.createData()
        self._tip = self.model.getFrameId(self.names.tip)
        self.tip_joint = int(self.model.frames[self._tip].parentJoint)
        chain = [int(joint) for joint in self.model.supports[self.tip_joint] if joint > 0]
        self.joints = tuple(str(self.model.names[joint]) for joint in chain)
        self._columns = [int(self.model.joints[joint].idx_q) for joint in chain]
        self._finger_columns = [int(self.model.joints[self.model.getJointId(name)].idx_q) for name in self.names.fingers]
        self.lower: Floats = self.model.lowerPositionLimit[self._columns]  # (J,) radians
        self.upper: Floats = self.model.upperPositionLimit[self._columns]
        self.speed: Floats = self.model.velocityLimit[self._columns]  # (J,) radians per second
        self.max_opening_m = float(sum(self.model.upperPositionLimit[self._finger_columns]))
        named = {int(self.model.getJointId(name)) for name in self.names.fingers}
        self.gripper_joints = frozenset({self.tip_joint, *map(int, self.model.subtrees[self.tip_joint]), *named})

    @cached_property
    def own_pairs(self) -> tuple[tuple[int, int, float], ...]:
        """Bodies that may meet, and the metres between them at joint positions of 0.

        Bodies of neighbouring joints overlap by construction, and so may those of the gripper.
        """
        joints = [int(item.parentJoint) for item in self.bodies.geometryObjects]
        parents, gripper = self.model.parents, self.gripper_joints
        pairs = [(first, second) for second in range(len(joints)) for first in range(second)]
        pairs = [
            (first, second)
            for first, second in pairs
            if (a := joints[first]) != (b := joints[second]) and parents[a] != b and parents[b] != a and not {a, b} <= gripper
        ]
        bodies = self.bodies.copy()
        bodies.removeAllCollisionPairs()
        for first, second in pairs:
            bodies.addCollisionPair(self._pin.CollisionPair(first, second))
        found = bodies.createData()
        self._pin.computeDistances(self.model, self.data, bodies, found, np.zeros(self.model.nq))
        apart = (max(0.0, float(result.min_distance)) for result in found.distanceResults)
        return tuple((first, second, distance) for (first, second), distance in zip(pairs, apart))

    def configuration(self, angles: Floats, opening_m: float | None = None) -> Floats:
        """Order joints as pinocchio has them.

        Args:
            angles: (J,) radians, in the order of `joints`.
            opening_m: Between the pads; None = as wide as it goes.

        Returns:
            (nq,) of all joints.
        """
        q = np.zeros(self.model.nq)
        q[self._columns] = angles
        q[self._finger_columns] = (self.max_opening_m if opening_m is None else opening_m) / max(len(self._finger_columns), 1)
        return q

    def world_from_tip(self, angles: Floats) -> Floats:
        """(4, 4) pose of the grasp frame; `angles` (J,) radians."""
        self._pin.framesForwardKinematics(self.model, self.data, self.configuration(angles))
        pose: Floats = self.data.oMf[self._tip].homogeneous.copy()
        return pose

    def error_and_jacobian(self, angles: Floats, goal: Floats) -> tuple[Floats, Floats]:
        """Tell how far the tip is from a goal, and how joints change that.

        Args:
            angles: (J,) radians.
            goal: (4, 4) world.

        Returns:
            (6,) twist from the goal to the tip in the goal's frame, metres and radians, and its (6, J) derivative.
        """
        q = self.configuration(angles)
        self._pin.computeJointJacobians(self.model, self.data, q)
        self._pin.updateFramePlacement(self.model, self.data, self._tip)
        jacobian = self._pin.getFrameJacobian(self.model, self.data, self._tip, self._pin.ReferenceFrame.LOCAL)
        goal_from_tip = self._pin.SE3(goal).actInv(self.data.oMf[self._tip])
        return self._pin.log6(goal_from_tip).vector, (self._pin.Jlog6(goal_from_tip) @ jacobian)[:, self._columns]

    def joint_from_tip(self) -> Floats:
        """(4, 4) where the grasp frame is on the last joint's body."""
        pose: Floats = self.model.frames[self._tip].placement.homogeneous
        return pose

    def _require_names(self) -> None:
        frames, joints = [str(frame.name) for frame in self.model.frames], list(self.model.names)
        if self.names.tip not in frames:
            raise ValueError(f"ArmNames.tip: expected a link of the URDF ({', '.join(frames)}), got {self.names.tip}")
        missing = [name for name in self.names.fingers if name not in joints]
        if missing:
            raise ValueError(f"ArmNames.fingers: expected joints of the URDF ({', '.join(joints[1:])}), got {', '.join(missing)}")


def nearest_turn(arm: Arm, angles: Floats, reference: Floats) -> Floats:
    """Take whole turns off joints, as far as their limits allow, so that they are near to where they are now.

    Args:
        arm: Whose limits count.
        angles: (J,) radians.
        reference: (J,) radians.

    Returns:
        (J,) the same place.
    """
    found = angles - 2 * np.pi * np.round((angles - reference) / (2 * np.pi))
    found = np.where(found < arm.lower, found + 2 * np.pi, found)
    found = np.where(found > arm.upper, found - 2 * np.pi, found)
    return np.where((found < arm.lower) | (found > arm.upper), angles, found)
