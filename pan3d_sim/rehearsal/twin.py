"""A physics twin of what is perceived: nothing in it comes from anywhere but points, boxes and covariances."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from pan3d_sim.cell.grippers import GripperSpec, add_grip, add_gripper
from pan3d_sim.cell.motion import displacement
from pan3d_sim.cell.stage import TOUCHES_ALL, Stage, new_world
from pan3d_sim.objects.kinds import VISUAL_GROUP
from pan3d_sim.rehearsal.parts import ConvexParts

TIMESTEP_S = 0.004
DENSITY_KG_M3 = 400.0  # most things on a table are hollow or of wood, paper or plastic
LIGHTEST_KG, HEAVIEST_KG = 0.02, 1.5
MOST_CORNERS = 32  # of a part: collisions take longer with more
PARTING_S, PARTING_DAMPING = 0.2, (100.0, 100.0, 100.0, 0.1, 0.1, 0.1)  # N s/m and N m s/rad of a body's six motions
INSIDE_M = 0.004  # parts deeper in another object than this are no parts
STAYS_M, STAYS_DEG = 0.006, 6.0  # what moves less stays where it is
HOLDING_ROUNDS = 3  # what is held may hold others
HELD_SHARE, GRAVITY = 1.2, 9.81
PALE = 0.4  # how much is seen of what nobody saw
COLORS = ((0.85, 0.45, 0.2), (0.45, 0.55, 0.7), (0.55, 0.65, 0.5), (0.7, 0.6, 0.45), (0.6, 0.5, 0.65))


class Twin(Stage):
    """Objects of convex parts on a plane, at rest; object 0 is the one to hold.

    Args:
        model: Of `twin_model`.
        hand: The same as there.
        parts: The same as there.
        support_height_m: The same as there.
    """

    def __init__(self, model: mujoco.MjModel, hand: GripperSpec, parts: Sequence[ConvexParts], support_height_m: float) -> None:
        super().__init__(model, hand, [np.concatenate(item.corners) for item in parts], 0, support_height_m)
        self._dofs = np.stack([np.arange(address.dof, address.dof + 6) for address in self.bodies])  # (N, 6)
        weight = GRAVITY * model.body_mass[[address.body for address in self.bodies]]
        lever = np.array([np.linalg.norm(np.ptp(corners, axis=0)) / 2 for corners in self.surfaces])
        self._holding = HELD_SHARE * weight[:, None] * np.column_stack([np.ones((len(weight), 3)), np.tile(lever[:, None], 3)])
        self.hand.park(self.data)

    def place(self, shifts: np.ndarray, seconds: float) -> None:
        """Put all objects where they were seen, but for a shift each, and make them stay there.

        They are seen to be at rest. What overlaps is parted slowly; what then would fall or slide, since what holds it was not
        seen, gets a friction of its own that is a little more than its weight.

        Args:
            shifts: (N, 3) metres, world.
            seconds: For which they have to stay.
        """
        mujoco.mj_resetData(self.model, self.data)
        self.hand.park(self.data)
        for address, shift in zip(self.bodies, shifts):
            self.data.qpos[address.qpos : address.qpos + 3] += shift
        self.model.dof_frictionloss[self._dofs] = 0.0
        self._part()
        start = self.save()
        before = self._poses()
        held = np.zeros(len(self.bodies), bool)
        for _ in range(HOLDING_ROUNDS):
            self.step(seconds)
            shift, turn = displacement(self._poses(), before)
            self.restore(start)
            falling = ((shift > STAYS_M) | (turn > STAYS_DEG)) & ~held
            if not falling.any():
                break
            held |= falling
            self.model.dof_frictionloss[self._dofs[held]] = self._holding[held]
        self.restore(start)

    def _part(self) -> None:
        """Let overlapping objects come apart as if in honey, without weight."""
        self.model.dof_damping[self._dofs] = PARTING_DAMPING
        self.step(PARTING_S)
        self.model.dof_damping[self._dofs] = 0.0
        self.data.qvel[:] = 0.0
        self.data.qacc_warmstart[:] = 0.0
        self.data.time = 0.0
        mujoco.mj_forward(self.model, self.data)

    def _poses(self) -> np.ndarray:
        return np.stack([self.world_from_object(index) for index in range(len(self.bodies))])


def twin_model(parts: Sequence[ConvexParts], hand: GripperSpec, support_height_m: float) -> mujoco.MjModel:
    """Build the model.

    Args:
        parts: Of each object, in the world.
        hand: Geometry and strength of the hand.
        support_height_m: World z of what objects stand on.

    Returns:
        A model with a body for each object.
    """
    spec = new_world(TIMESTEP_S)
    ground = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2.0, 2.0, 0.1], pos=[0.0, 0.0, support_height_m])
    ground.contype, ground.conaffinity, ground.rgba = TOUCHES_ALL, TOUCHES_ALL, [0.8, 0.8, 0.78, 1.0]
    spec.worldbody.add_light(pos=[0.3, -0.3, 1.5], dir=[-0.2, 0.2, -1.0])
    add_gripper(spec, hand)
    for index, item in enumerate(parts):
        _add_object(spec, index, item)
    add_grip(spec, hand, len(parts))
    model = spec.compile()
    _without_overlaps(model, parts)
    return model


def _without_overlaps(model: mujoco.MjModel, parts: Sequence[ConvexParts]) -> None:
    """Switch off parts that are deep inside of other objects: of two, the one that was guessed more, or is larger.

    A part that bridges a hollow in which something lies is one of them. The last part of an object stays.
    """
    data = mujoco.MjData(model)
    first = {index: model.geom(f"object_{index}_0").id for index in range(len(parts))}
    owner = {first[index] + number: (index, number) for index, item in enumerate(parts) for number in range(len(item.corners))}
    left = [len(item.corners) for item in parts]
    for _ in range(sum(left)):
        mujoco.mj_forward(model, data)
        deep = [
            (float(contact.dist), owner[int(contact.geom1)], owner[int(contact.geom2)])
            for contact in data.contact
            if contact.dist < -INSIDE_M and int(contact.geom1) in owner and int(contact.geom2) in owner
        ]
        deep = [item for item in deep if left[item[1][0]] > 1 or left[item[2][0]] > 1]
        if not deep:
            return
        _, *pair = min(deep)
        index, number = max(
            pair, key=lambda one: (left[one[0]] > 1, parts[one[0]].guessed[one[1]], parts[one[0]].volumes_m3[one[1]])
        )
        model.geom_contype[first[index] + number] = model.geom_conaffinity[first[index] + number] = 0
        model.geom_rgba[first[index] + number, 3] = 0.0
        left[index] -= 1


def _add_object(spec: mujoco.MjSpec, index: int, parts: ConvexParts) -> None:
    middle = np.concatenate(parts.corners).mean(0)
    body = spec.worldbody.add_body(name=f"object_{index}", pos=middle)
    body.add_freejoint(name=f"object_{index}_free")
    mass = float(np.clip(DENSITY_KG_M3 * sum(parts.volumes_m3), LIGHTEST_KG, HEAVIEST_KG))
    for number, corners in enumerate(parts.corners):
        mesh = spec.add_mesh(name=f"object_{index}_{number}")
        mesh.uservert = (corners - middle).astype(np.float32).ravel()
        mesh.maxhullvert = MOST_CORNERS
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
        geom = body.add_geom(name=mesh.name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh.name, group=VISUAL_GROUP)
        geom.mass = mass / len(parts.corners)
        geom.contype, geom.conaffinity = TOUCHES_ALL, TOUCHES_ALL
        color = COLORS[min(index, 1 + (index - 1) % (len(COLORS) - 1))]
        geom.rgba = [*color, 1.0 - (1.0 - PALE) * parts.guessed[number]]
        geom.condim, geom.friction = 4, [0.6, 0.005, 0.001]
        geom.solref, geom.solimp = [0.02, 1.0], [0.95, 0.99, 0.001, 0.5, 2.0]
