"""The arm in a MuJoCo model: bodies with the shapes of the table, servos at the joints, and handles to move it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np

from pan3d_sim.arm.links import ArmLink, ArmSpec, Shape

ARM_GROUP = 1  # visible to all cameras, and casting shadows
SERVO_GAIN, SERVO_DAMPING = 2000.0, 200.0  # of the first joints; the wrist's are a fifth of it, as its motors are
FINGER_GAIN, FINGER_DAMPING = 2000.0, 60.0


def matrix_from_rpy(rpy: Sequence[float]) -> np.ndarray:
    """(3, 3) rotation by roll, pitch and yaw about the fixed axes x, y, z, one after the other, as URDF has them."""
    (sr, sp, sy), (cr, cp, cy) = np.sin(rpy), np.cos(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def _quat(rpy: Sequence[float]) -> np.ndarray:
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, matrix_from_rpy(rpy).ravel())
    return quat


def add_arm(spec: mujoco.MjSpec, arm: ArmSpec) -> None:
    """Add the arm beside the table of a cell.

    Args:
        spec: The cell's.
        arm: The table of its links.
    """
    bodies = {arm.root: spec.worldbody}
    for link in arm.links:
        body = bodies[link.parent].add_body(name=f"arm_{link.name}", pos=link.xyz, quat=_quat(link.rpy), gravcomp=1.0)
        bodies[link.name] = body
        for index, shape in enumerate(link.shapes):
            _add_shape(body, f"arm_{link.name}_{index}", shape, link)
        if link.joint.kind != "fixed":
            _add_joint(spec, body, link)
    for joint in arm.finger_joints:
        if joint.mimics:
            jaws = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name1=f"arm_{joint.name}", name2=f"arm_{joint.mimics}")
            jaws.data[:5] = [0, 1, 0, 0, 0]


def _add_shape(body: mujoco.MjsBody, name: str, shape: Shape, link: ArmLink) -> None:
    kinds = {
        "box": (mujoco.mjtGeom.mjGEOM_BOX, [length / 2 for length in shape.size]),
        "cylinder": (mujoco.mjtGeom.mjGEOM_CYLINDER, [shape.size[0], shape.size[-1] / 2, 0.0]),
        "sphere": (mujoco.mjtGeom.mjGEOM_SPHERE, [shape.size[0], 0.0, 0.0]),
    }
    kind, size = kinds[shape.kind]
    geom = body.add_geom(name=name, type=kind, size=size, pos=shape.xyz, quat=_quat(shape.rpy), rgba=[*shape.rgb, 1.0])
    geom.group, geom.mass = ARM_GROUP, link.mass_kg / len(link.shapes)
    geom.contype, geom.conaffinity = 1, 0  # it touches everything but itself, whose shapes overlap at the joints
    geom.solref, geom.solimp = [0.01, 1.0], [0.95, 0.99, 0.001, 0.5, 2.0]
    if link.joint.kind == "prismatic":  # pads, as the hand's
        geom.priority, geom.condim, geom.friction = 1, 4, [0.7, 0.005, 0.0001]


def _add_joint(spec: mujoco.MjSpec, body: mujoco.MjsBody, link: ArmLink) -> None:
    item, turns = link.joint, link.joint.kind == "revolute"
    kind = mujoco.mjtJoint.mjJNT_HINGE if turns else mujoco.mjtJoint.mjJNT_SLIDE
    joint = body.add_joint(name=f"arm_{item.name}", type=kind, axis=item.axis)
    unit = np.degrees(1.0) if turns and spec.compiler.degree else 1.0
    joint.limited, joint.range = mujoco.mjtLimited.mjLIMITED_TRUE, [unit * item.low, unit * item.high]
    joint.armature = 0.1
    servo = spec.add_actuator(name=f"arm_{item.name}", target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    share = 1.0 if item.force > 100 else 0.2
    if turns:
        servo.set_to_position(kp=share * SERVO_GAIN, kv=share * SERVO_DAMPING)
    else:
        joint.damping = [100.0, 0.0, 0.0]
        servo.set_to_position(kp=FINGER_GAIN, kv=FINGER_DAMPING)
    servo.forcelimited, servo.forcerange = mujoco.mjtLimited.mjLIMITED_TRUE, [-item.force, item.force]


class ArmHandles:
    """Where the arm of a compiled model is, and how to move it."""

    def __init__(self, model: mujoco.MjModel, arm: ArmSpec) -> None:
        joints = [*arm.arm_joints, *arm.finger_joints]
        self.spec = arm
        self.names = tuple(joint.name for joint in joints)
        self._qpos = [int(model.joint(f"arm_{name}").qposadr[0]) for name in self.names]
        self._dofs = [int(model.joint(f"arm_{name}").dofadr[0]) for name in self.names]
        self._servos = [model.actuator(f"arm_{name}").id for name in self.names]
        self._bodies = {link.name: model.body(f"arm_{link.name}").id for link in arm.links}
        self.geoms = frozenset(np.flatnonzero(np.isin(model.geom_bodyid, list(self._bodies.values()))).tolist())

    def positions(self, data: mujoco.MjData) -> dict[str, float]:
        """Name of each joint -> radians or metres."""
        return {name: float(value) for name, value in zip(self.names, data.qpos[self._qpos])}

    def velocities(self, data: mujoco.MjData) -> dict[str, float]:
        """Name of each joint -> radians or metres per second."""
        return {name: float(value) for name, value in zip(self.names, data.qvel[self._dofs])}

    def teleport(self, data: mujoco.MjData, positions: Mapping[str, float]) -> None:
        """Put joints somewhere, at rest, and have them stay there. Call `mj_forward` afterwards."""
        for name, value in self._with_fingers(positions).items():
            index = self.names.index(name)
            data.qpos[self._qpos[index]] = value
            data.qvel[self._dofs[index]] = 0.0
            data.ctrl[self._servos[index]] = value

    def go_home(self, data: mujoco.MjData) -> None:
        """Put the arm where its table says it waits, the gripper open."""
        self.teleport(data, {joint.name: angle for joint, angle in zip(self.spec.arm_joints, self.spec.home)})
        self.teleport(data, {joint.name: joint.high for joint in self.spec.finger_joints})

    def command(self, data: mujoco.MjData, positions: Mapping[str, float]) -> None:
        """Have servos bring joints somewhere while physics runs."""
        for name, value in self._with_fingers(positions).items():
            data.ctrl[self._servos[self.names.index(name)]] = value

    def world_from_tool(self, data: mujoco.MjData) -> np.ndarray:
        """(4, 4) pose of the grasp frame."""
        return self.world_from_link(data, "tool0")

    def world_from_link(self, data: mujoco.MjData, name: str) -> np.ndarray:
        """(4, 4) pose of a link of the table."""
        body, pose = self._bodies[name], np.eye(4)
        pose[:3, :3] = data.xmat[body].reshape(3, 3)
        pose[:3, 3] = data.xpos[body]
        return pose

    def _with_fingers(self, positions: Mapping[str, float]) -> dict[str, float]:
        """With both fingers where one is told."""
        followers = {j.name: positions[j.mimics] for j in self.spec.finger_joints if j.mimics in positions}
        unknown = [name for name in positions if name not in self.names]
        if unknown:
            raise ValueError(f"positions: expected joints of {', '.join(self.names)}, got {', '.join(unknown)}")
        return {**positions, **followers}
