"""The table of the arm: six turning joints with the lengths and limits of a common arm of 85 cm reach, and a parallel gripper.

The gripper has the shape of the cell's free-flying hand. The frame `tool0` is the grasp frame: origin between the pads of the
fingers, +z the approach, +x the closing direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

HALF_TURN = math.pi
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Shape:
    """A primitive, in the frame of its link. Cylinders stand along z."""

    kind: str  # "box", "cylinder" or "sphere"
    size: tuple[float, ...]  # metres: full lengths of a box; radius and length; radius
    xyz: Triple = (0.0, 0.0, 0.0)
    rpy: Triple = (0.0, 0.0, 0.0)
    rgb: Triple = (0.78, 0.80, 0.83)


@dataclass(frozen=True)
class ArmJoint:
    """What moves a link."""

    name: str
    kind: str  # "fixed", "revolute" or "prismatic"
    axis: Triple = (0.0, 0.0, 1.0)
    low: float = 0.0  # radians or metres
    high: float = 0.0
    speed: float = 0.0  # radians or metres per second, at most
    force: float = 0.0  # newton metres or newtons, at most
    mimics: str = ""  # the joint whose position it has, too


@dataclass(frozen=True)
class ArmLink:
    """A link, and where it is on the one before it while its joint is at 0."""

    name: str
    parent: str
    joint: ArmJoint
    xyz: Triple = (0.0, 0.0, 0.0)
    rpy: Triple = (0.0, 0.0, 0.0)
    shapes: tuple[Shape, ...] = ()
    mass_kg: float = 0.0


@dataclass(frozen=True)
class ArmSpec:
    """The arm; its root is the world frame of the cell."""

    root: str
    links: tuple[ArmLink, ...]
    home: tuple[float, ...]  # radians, of the six joints: over the table, the gripper down
    away: tuple[float, ...]  # likewise: upright beside the table, in nobody's way

    @property
    def arm_joints(self) -> tuple[ArmJoint, ...]:
        """The six that bring the gripper somewhere."""
        return tuple(link.joint for link in self.links if link.joint.kind == "revolute")

    @property
    def finger_joints(self) -> tuple[ArmJoint, ...]:
        """The two of the gripper."""
        return tuple(link.joint for link in self.links if link.joint.kind == "prismatic")


DARK: Triple = (0.18, 0.19, 0.21)
BLUE: Triple = (0.25, 0.42, 0.66)
ALONG_X: Triple = (0.0, HALF_TURN / 2, 0.0)
ALONG_Y: Triple = (HALF_TURN / 2, 0.0, 0.0)


def _turning(name: str, torque: float, limit: float = 2 * HALF_TURN) -> ArmJoint:
    return ArmJoint(name, "revolute", (0.0, 0.0, 1.0), -limit, limit, HALF_TURN, torque)


def _finger(side: str, sign: float) -> ArmLink:
    joint = ArmJoint(
        f"finger_{side}_joint", "prismatic", (sign, 0.0, 0.0), 0.0, 0.04, 0.2, 30.0, "" if sign > 0 else "finger_left_joint"
    )
    pad = Shape("box", (0.010, 0.020, 0.050), (sign * 0.005, 0.0, -0.015), rgb=DARK)
    return ArmLink(f"finger_{side}", "gripper", joint, shapes=(pad,), mass_kg=0.05)


ARM = ArmSpec(
    root="base_link",
    links=(
        ArmLink(
            "arm_base", "base_link", ArmJoint("arm_mount", "fixed"), (0.60, 0.0, 0.0), (0.0, 0.0, HALF_TURN),
            (Shape("cylinder", (0.075, 0.10), (0.0, 0.0, 0.05), rgb=DARK),), 4.0,
        ),
        ArmLink(
            "shoulder", "arm_base", _turning("shoulder_pan_joint", 150.0), (0.0, 0.0, 0.1625),
            shapes=(Shape("cylinder", (0.060, 0.16), (0.0, 0.0, 0.01)),), mass_kg=3.8,
        ),
        ArmLink(
            "upper_arm", "shoulder", _turning("shoulder_lift_joint", 150.0), rpy=(HALF_TURN / 2, 0.0, 0.0),
            shapes=(
                Shape("cylinder", (0.055, 0.17), (0.0, 0.0, 0.110), rgb=BLUE),
                Shape("cylinder", (0.050, 0.425), (-0.2125, 0.0, 0.138), ALONG_X),
                Shape("cylinder", (0.052, 0.14), (-0.425, 0.0, 0.120), rgb=BLUE),
            ), mass_kg=8.4,
        ),
        ArmLink(
            "forearm", "upper_arm", _turning("elbow_joint", 150.0, HALF_TURN), (-0.425, 0.0, 0.0),
            shapes=(
                Shape("sphere", (0.052,), (0.0, 0.0, 0.010), rgb=BLUE),
                Shape("cylinder", (0.042, 0.392), (-0.196, 0.0, 0.010), ALONG_X),
                Shape("sphere", (0.045,), (-0.3922, 0.0, 0.010), rgb=BLUE),
            ), mass_kg=2.3,
        ),
        ArmLink(
            "wrist_1", "forearm", _turning("wrist_1_joint", 28.0), (-0.3922, 0.0, 0.1333),
            shapes=(
                Shape("cylinder", (0.040, 0.14), (0.0, 0.0, -0.045)),
                Shape("cylinder", (0.038, 0.06), (0.0, -0.030, 0.0), ALONG_Y),
            ), mass_kg=1.2,
        ),
        ArmLink(
            "wrist_2", "wrist_1", _turning("wrist_2_joint", 28.0), (0.0, -0.0997, 0.0), (HALF_TURN / 2, 0.0, 0.0),
            (
                Shape("cylinder", (0.039, 0.12), (0.0, 0.0, -0.020), rgb=BLUE),
                Shape("cylinder", (0.036, 0.07), (0.0, 0.035, 0.0), ALONG_Y),
            ), 1.2,
        ),
        ArmLink(
            "wrist_3", "wrist_2", _turning("wrist_3_joint", 28.0), (0.0, 0.0996, 0.0), (HALF_TURN / 2, HALF_TURN, HALF_TURN),
            (Shape("cylinder", (0.036, 0.05), (0.0, 0.0, -0.025), rgb=DARK),), 0.3,
        ),
        ArmLink(
            "gripper", "wrist_3", ArmJoint("gripper_mount", "fixed"), (0.0, 0.0, 0.110),
            shapes=(
                Shape("cylinder", (0.032, 0.035), (0.0, 0.0, -0.0945), rgb=DARK),
                Shape("box", (0.120, 0.040, 0.040), (0.0, 0.0, -0.060)),
            ), mass_kg=0.6,
        ),
        _finger("left", 1.0),
        _finger("right", -1.0),
        ArmLink("tool0", "gripper", ArmJoint("tool0_mount", "fixed")),
    ),
    home=(0.24, -1.75, -1.70, -1.26, 1.57, 0.0),
    away=(0.0, -1.5708, 0.0, -1.5708, 0.0, 0.0),
)  # fmt: skip
