"""Free-flying hands: a parallel-jaw one, about the size of a Panda's, and what every hand has (`suction_hand` has another one).

The hand's body frame is the grasp frame: origin (TCP) between the finger pads, +z the approach direction,
+x the closing direction. It is welded softly to a mocap body, so moving that body moves the hand with
limited force, and contact can stop or tilt it as it would a compliant arm.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

HAND_GROUP = 2
# Under the floor: nothing to touch, nothing to cast a shadow with.
PARKED_POSITION = (0.0, 0.0, -2.0)
# Aiming beyond closed keeps the force at its limit whatever the width of the object.
SQUEEZE_M = -0.04


@dataclass(frozen=True)
class HandSpec:
    """Geometry and strength of the hand; metres, newtons."""

    opening_m: float = 0.08
    finger_thickness_m: float = 0.010  # along x, outwards from the pad
    finger_width_m: float = 0.020  # along y
    finger_length_m: float = 0.050  # from the palm to the tip
    tip_beyond_tcp_m: float = 0.010  # the tips end this far beyond the TCP along z
    palm_size_m: tuple[float, float, float] = (0.120, 0.040, 0.040)
    force_n: float = 30.0
    finger_friction: float = 0.7


def add_free_body(spec: mujoco.MjSpec) -> mujoco.MjsBody:
    """Add the hand's body and the mocap body that leads it."""
    world = spec.worldbody
    world.add_body(name="hand_mocap", mocap=True, pos=PARKED_POSITION)
    body = world.add_body(name="hand", pos=PARKED_POSITION, gravcomp=1.0)
    body.add_freejoint(name="hand_free")
    weld = spec.add_equality(type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, name1="hand_mocap", name2="hand")
    weld.data[:11] = [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]  # anchor, relative pose = identity, torque scale
    weld.solref = [0.01, 1.0]
    return body


def add_hand(spec: mujoco.MjSpec, hand: HandSpec) -> None:
    """Add palm, two coupled fingers, their actuators and the mocap body that leads them."""
    palm = add_free_body(spec)
    palm_z = hand.tip_beyond_tcp_m - hand.finger_length_m - hand.palm_size_m[2] / 2
    add_hand_geom(
        palm, "hand_palm", [s / 2 for s in hand.palm_size_m], [0.0, 0.0, palm_z], mass=0.5, rgba=[0.85, 0.85, 0.87, 1.0]
    )
    for side, sign in (("left", 1.0), ("right", -1.0)):
        _add_finger(spec, palm, side, sign, hand)
    jaws = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name1="hand_slide_left", name2="hand_slide_right")
    jaws.data[:5] = [0, 1, 0, 0, 0]  # left = 1 * right


def add_hand_geom(
    body: mujoco.MjsBody, name: str, size: list[float], pos: list[float], *, mass: float, rgba: list[float]
) -> mujoco.MjsGeom:
    geom = body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=size, pos=pos, mass=mass, rgba=rgba, group=HAND_GROUP)
    make_solid(geom)
    return geom


def make_solid(geom: mujoco.MjsGeom) -> None:
    """Let a part of the hand touch things."""
    geom.contype, geom.conaffinity = 1, 1
    geom.solref, geom.solimp = [0.01, 1.0], [0.95, 0.99, 0.001, 0.5, 2.0]


def _add_finger(spec: mujoco.MjSpec, palm: mujoco.MjsBody, side: str, sign: float, hand: HandSpec) -> None:
    finger = palm.add_body(name=f"hand_finger_{side}", gravcomp=1.0)
    joint = finger.add_joint(name=f"hand_slide_{side}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[sign, 0, 0])
    joint.limited, joint.range = mujoco.mjtLimited.mjLIMITED_TRUE, [0.0, hand.opening_m / 2]
    joint.armature = 0.1
    # Real jaws are geared and close at 0.1 to 0.3 m/s; free ones would ram what an object's edge slips off to.
    joint.damping = [100.0, 0.0, 0.0]
    size = [hand.finger_thickness_m / 2, hand.finger_width_m / 2, hand.finger_length_m / 2]
    pos = [sign * hand.finger_thickness_m / 2, 0.0, hand.tip_beyond_tcp_m - hand.finger_length_m / 2]
    geom = add_hand_geom(finger, f"hand_pad_{side}", size, pos, mass=0.05, rgba=[0.16, 0.16, 0.18, 1.0])
    # Without priority MuJoCo would take the larger friction of the pair, so the pads could never be the slippery side.
    geom.priority = 1
    geom.condim, geom.friction = 4, [hand.finger_friction, 0.005, 0.0001]
    actuator = spec.add_actuator(name=f"hand_grip_{side}", target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_position(kp=2000.0, kv=60.0)
    actuator.forcelimited, actuator.forcerange = mujoco.mjtLimited.mjLIMITED_TRUE, [-hand.force_n, hand.force_n]


def quat_from_matrix(rotation: np.ndarray) -> np.ndarray:
    """(3, 3) rotation -> unit quaternion (w, x, y, z)."""
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.ascontiguousarray(rotation, dtype=np.float64).ravel())
    return quat


class FreeHand:
    """Handles of a compiled hand of any kind: where it is and how to move it."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._mocap = int(model.body("hand_mocap").mocapid[0])
        self._body = model.body("hand").id
        self._free_qpos = int(model.joint("hand_free").qposadr[0])
        self._free_dof = int(model.joint("hand_free").dofadr[0])

    def put(self, data: mujoco.MjData, world_from_hand: np.ndarray) -> None:
        """Put hand and mocap body at a pose (4, 4), at rest. Call `mj_forward` afterwards."""
        quat = quat_from_matrix(world_from_hand[:3, :3])
        data.qpos[self._free_qpos : self._free_qpos + 7] = [*world_from_hand[:3, 3], *quat]
        data.qvel[self._free_dof : self._free_dof + 6] = 0.0
        self.move(data, world_from_hand)

    def move(self, data: mujoco.MjData, world_from_hand: np.ndarray) -> None:
        """Command a pose (4, 4)."""
        data.mocap_pos[self._mocap] = world_from_hand[:3, 3]
        data.mocap_quat[self._mocap] = quat_from_matrix(world_from_hand[:3, :3])

    def world_from_hand(self, data: mujoco.MjData) -> np.ndarray:
        """(4, 4) pose of the grasp frame."""
        pose = np.eye(4)
        pose[:3, :3] = data.xmat[self._body].reshape(3, 3)
        pose[:3, 3] = data.xpos[self._body]
        return pose

    def lag(self, data: mujoco.MjData) -> float:
        """Distance between commanded and real position in metres: large when something blocks the hand."""
        return float(np.linalg.norm(data.mocap_pos[self._mocap] - data.xpos[self._body]))


class Hand(FreeHand):
    """Handles of two jaws: what they touch, and how to close them."""

    kind = "parallel"

    def __init__(self, model: mujoco.MjModel, spec: HandSpec) -> None:
        super().__init__(model)
        self.spec = spec
        self.palm_geom = model.geom("hand_palm").id
        self.pad_geoms: tuple[int, ...] = (model.geom("hand_pad_left").id, model.geom("hand_pad_right").id)
        self.geoms = frozenset((self.palm_geom, *self.pad_geoms))
        self._slides = [int(model.joint(f"hand_slide_{side}").qposadr[0]) for side in ("left", "right")]
        self._slide_dofs = [int(model.joint(f"hand_slide_{side}").dofadr[0]) for side in ("left", "right")]
        self._actuators = [model.actuator(f"hand_grip_{side}").id for side in ("left", "right")]

    @property
    def widest_m(self) -> float:
        """Opening at most."""
        return self.spec.opening_m

    def teleport(self, data: mujoco.MjData, world_from_hand: np.ndarray, opening_m: float) -> None:
        """Put the hand at a pose (4, 4), at rest, jaws `opening_m` apart. Call `mj_forward` afterwards."""
        self.put(data, world_from_hand)
        data.qpos[self._slides] = opening_m / 2
        data.qvel[self._slide_dofs] = 0.0
        self.grip(data, opening_m)

    def park(self, data: mujoco.MjData) -> None:
        """Put the hand out of everyone's sight."""
        world_from_hand = np.eye(4)
        world_from_hand[:3, 3] = PARKED_POSITION
        self.teleport(data, world_from_hand, self.spec.opening_m)

    def grip(self, data: mujoco.MjData, opening_m: float) -> None:
        """Command the distance between the pads; `SQUEEZE_M` presses with the full force on whatever is between them."""
        data.ctrl[self._actuators] = opening_m / 2

    def opening(self, data: mujoco.MjData) -> float:
        """Distance between the pads in metres."""
        return float(data.qpos[self._slides].sum())
