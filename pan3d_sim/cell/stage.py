"""Bodies that move freely and a hand, under physics: what a grasp is tried in, be it the cell or a twin of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from pan3d_sim.cell.arrangement import BodyAddress
from pan3d_sim.cell.grippers import Gripper, GripperSpec, gripper_of
from pan3d_sim.objects.kinds import COLLISION_GROUP

# Contact bits: the floor only stops falling objects, so that the parked hand may wait below it.
TOUCHES_ALL, FLOOR_ONLY = 3, 2
ASLEEP_AFTER_S = 0.2


@dataclass(frozen=True)
class StageState:
    """A moment to come back to."""

    physics: np.ndarray
    removed: frozenset[int]
    everything: mujoco.MjData | None = None  # where bodies may sleep: `physics` does not say which ones do


def new_world(timestep_s: float) -> mujoco.MjSpec:
    """An empty model whose contacts hold what a gripper holds."""
    spec = mujoco.MjSpec()
    spec.option.timestep = timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # MuJoCo's default friction creeps about a millimetre a second under load; this holds (measured 30 um/s).
    spec.option.cone, spec.option.impratio = mujoco.mjtCone.mjCONE_ELLIPTIC, 10.0
    return spec


def body_address(model: mujoco.MjModel, index: int) -> BodyAddress:
    """Where object number `index` lies in a compiled model."""
    joint = model.joint(f"object_{index}_free")
    return BodyAddress(model.body(f"object_{index}").id, int(joint.qposadr[0]), int(joint.dofadr[0]))


class Stage:
    """A model with bodies `object_0`, `object_1`, ... and a hand, at one moment.

    Args:
        model: Its bodies are joined to the world by joints `object_K_free`.
        hand: Geometry and strength of the hand in it.
        surfaces: (V, 3) points on the surface of each object, in its frame.
        seed: What the scene is known by.
        support_height_m: World z of what objects stand on.
    """

    def __init__(
        self, model: mujoco.MjModel, hand: GripperSpec, surfaces: Sequence[np.ndarray], seed: int, support_height_m: float
    ) -> None:
        self.model, self.data = model, mujoco.MjData(model)
        self.hand: Gripper = gripper_of(model, hand)
        self.seed, self.support_height_m = seed, support_height_m
        self.surfaces = tuple(surfaces)
        self.bodies = [body_address(model, index) for index in range(len(self.surfaces))]
        self.removed: frozenset[int] = frozenset()  # indices of objects
        self._object_of_body = np.full(model.nbody, -1)
        self._object_of_body[[address.body for address in self.bodies]] = np.arange(len(self.bodies))

    def step(self, seconds: float) -> None:
        """Let physics run, for example between two published frames."""
        mujoco.mj_step(self.model, self.data, max(1, round(seconds / self.model.opt.timestep)))

    def save(self) -> StageState:
        """The present state of all bodies."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        physics = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, physics, kind)
        return StageState(physics, self.removed, copy.copy(self.data) if self._sleeps else None)

    def restore(self, state: StageState) -> None:
        """Go back to a saved state, exactly: what follows does not depend on what happened since."""
        for index in self.removed - state.removed:
            self._set_contacts(index, enabled=True)
        for index in state.removed - self.removed:
            self._set_contacts(index, enabled=False)
        self.removed = state.removed
        if state.everything is not None:
            mujoco.mj_copyData(self.data, self.model, state.everything)
            return
        mujoco.mj_setState(self.model, self.data, state.physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        self.data.qacc_warmstart[:] = 0.0
        mujoco.mj_forward(self.model, self.data)

    def let_rest_sleep(self, timestep_s: float) -> None:
        """Make physics ten times cheaper: steps of `timestep_s`, and what rests is not computed until something touches it.

        Args:
            timestep_s: 4 ms give the same grasps as 2 ms but for about one of twenty.
        """
        self.model.opt.timestep = timestep_s
        self.model.opt.enableflags |= int(mujoco.mjtEnableBit.mjENBL_SLEEP)
        self.step(ASLEEP_AFTER_S)

    @property
    def _sleeps(self) -> bool:
        return bool(self.model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP)

    def remove(self, index: int) -> None:
        """Take an object off the table, out of sight and out of contact."""
        address = self.bodies[index]
        self._set_contacts(index, enabled=False)
        self.data.qpos[address.qpos : address.qpos + 7] = [index, 3.0, -2.0, 1, 0, 0, 0]
        self.data.qvel[address.dof : address.dof + 6] = 0.0
        self.removed |= {index}
        mujoco.mj_forward(self.model, self.data)

    def object_of_geom(self, geom: int) -> int:
        """Number of the object that a geom belongs to, -1 for everything else."""
        return int(self._object_of_body[self.model.geom_bodyid[geom]])

    def world_from_object(self, index: int) -> np.ndarray:
        """(4, 4) pose of an object."""
        pose = np.eye(4)
        pose[:3, :3] = self.data.xmat[self.bodies[index].body].reshape(3, 3)
        pose[:3, 3] = self.data.xpos[self.bodies[index].body]
        return pose

    def _set_contacts(self, index: int, *, enabled: bool) -> None:
        body = self.bodies[index].body
        solid = (self.model.geom_bodyid == body) & (self.model.geom_group == COLLISION_GROUP)
        self.model.geom_contype[solid] = self.model.geom_conaffinity[solid] = TOUCHES_ALL if enabled else 0
        self.model.body_gravcomp[body] = 0.0 if enabled else 1.0
