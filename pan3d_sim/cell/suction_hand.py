"""A free-flying suction cup: seals by what is under its lip, and lets go when it is loaded by more than it holds.

The grasp frame: origin in the middle of the lip, +z the approach direction. The seal is looked for with rays from the lip to the
collision shapes: a lip that follows a surface within what it gives, and finds it all around and within ("Seal formation" of
Dex-Net 3.0, Mahler et al. 2018, arXiv 1709.06670). While it is sealed, cup and object are welded softly, and force and torque in
the weld are compared after every step with what such a contact holds ("Wrench space analysis" of the same paper, by cones and not
by the pyramids in them): V - pull presses the lip, friction holds shear and twist, and the lip lifts off on one side when a
torque unloads it there.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from pan3d_sim.cell.hand import HAND_GROUP, PARKED_POSITION, FreeHand, add_free_body, make_solid, quat_from_matrix

LIP_RAYS, INNER_RAYS = 24, 8
RAY_BACK_M, RAY_REACH_M = 0.004, 0.02  # rays begin behind the lip, and what is further away is not under it
LIP_TWIST = 2.0 / 3.0  # share of r mu f_N that a disc that slips all over holds; a ring holds more
OVERLOADED_S = 0.006  # so long it must be loaded by too much: one step of a solver is no load


@dataclass(frozen=True)
class SuctionSpec:
    """Geometry and strength of the cup; what usual ones have says `SuctionConfig`."""

    radius_m: float
    give_m: float
    body_radius_m: float  # of what carries the cup
    body_length_m: float
    pressure_pa: float
    friction: float  # of the lip

    @property
    def vacuum_n(self) -> float:
        """Force with which a sealed cup is pressed on."""
        return self.pressure_pa * np.pi * self.radius_m**2


def add_suction_hand(spec: mujoco.MjSpec, cup: SuctionSpec) -> None:
    """Add the cup, what carries it, and the mocap body that leads it."""
    body = add_free_body(spec)
    cup_length = min(2 * cup.radius_m, cup.body_length_m / 2)
    # The rigid part ends behind the lip, by as much as the lip gives.
    _add_cylinder(body, "hand_cup", cup.radius_m, (-cup_length, -cup.give_m), mass=0.05, rgba=[0.16, 0.16, 0.18, 1.0])
    _add_cylinder(body, "hand_palm", cup.body_radius_m, (-cup.body_length_m, -cup_length), mass=0.5, rgba=[0.85, 0.85, 0.87, 1.0])


def _add_cylinder(
    body: mujoco.MjsBody, name: str, radius_m: float, ends: tuple[float, float], *, mass: float, rgba: list[float]
) -> None:
    size, pos = [radius_m, (ends[1] - ends[0]) / 2, 0.0], [0.0, 0.0, sum(ends) / 2]
    geom = body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=size, pos=pos, group=HAND_GROUP)
    geom.mass, geom.rgba = mass, rgba
    make_solid(geom)


def add_vacuum(spec: mujoco.MjSpec, count: int) -> None:
    """Add what couples cup and object, off, for each of the bodies `object_0`, `object_1`, ..."""
    for index in range(count):
        weld = spec.add_equality(
            type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, name1="hand", name2=f"object_{index}"
        )
        weld.name, weld.active = f"hand_vacuum_{index}", False
        weld.solref = [0.01, 1.0]


class SuctionHand(FreeHand):
    """Handles of a compiled cup: what is under its lip, what it has, and how it is loaded."""

    kind = "suction"
    pad_geoms: tuple[int, ...] = ()
    widest_m = 0.0

    def __init__(self, model: mujoco.MjModel, spec: SuctionSpec) -> None:
        super().__init__(model)
        self._model, self.spec = model, spec
        self.geoms = frozenset((model.geom("hand_cup").id, model.geom("hand_palm").id))
        self.held: int | None = None  # number of the object
        self._overloaded_s = 0.0

    def teleport(self, data: mujoco.MjData, world_from_hand: np.ndarray, opening_m: float) -> None:
        """Put the cup at a pose (4, 4), at rest, without vacuum; `opening_m` means nothing. Call `mj_forward` afterwards."""
        self.let_go(data)
        self.put(data, world_from_hand)

    def park(self, data: mujoco.MjData) -> None:
        """Put the cup out of everyone's sight."""
        world_from_hand = np.eye(4)
        world_from_hand[:3, 3] = PARKED_POSITION
        self.teleport(data, world_from_hand, 0.0)

    def grip(self, data: mujoco.MjData, opening_m: float) -> None:
        """A cup has nothing to close."""

    def opening(self, data: mujoco.MjData) -> float:
        """0: a cup has none."""
        return 0.0

    def gaps(self, data: mujoco.MjData, index: int) -> np.ndarray:
        """Look from the lip, and from a ring within it, along the approach.

        Args:
            data: State of the cell.
            index: Number of the object that should be there.

        Returns:
            (32,) metres from the lip's plane to the object, first of the lip; infinite where it is not.
        """
        pose, body = self.world_from_hand(data), self._model.body(f"object_{index}").id
        solid = (self._model.geom_bodyid == body) & (self._model.geom_contype > 0)
        groups = np.isin(np.arange(6), self._model.geom_group[solid]).astype(np.uint8)  # what is only looked at lets rays pass
        radii = np.repeat([self.spec.radius_m, self.spec.radius_m / 2], [LIP_RAYS, INNER_RAYS])
        turns = np.concatenate([np.arange(LIP_RAYS) / LIP_RAYS, np.arange(INNER_RAYS) / INNER_RAYS]) * 2 * np.pi
        found, geom = np.full(len(turns), np.inf), np.zeros(1, np.int32)
        for row, (radius, turn) in enumerate(zip(radii, turns)):
            start = pose[:3, :3] @ [radius * np.cos(turn), radius * np.sin(turn), -RAY_BACK_M] + pose[:3, 3]
            distance = mujoco.mj_ray(self._model, data, start, pose[:3, 2], groups, True, self._body, geom)
            if distance >= 0 and distance < RAY_BACK_M + RAY_REACH_M and self._model.geom_bodyid[geom[0]] == body:
                found[row] = distance - RAY_BACK_M
        return found

    def seal(self, data: mujoco.MjData, index: int) -> bool:
        """Switch the vacuum on; True when the lip seals on an object, which then hangs on the cup."""
        gaps = self.gaps(data, index)
        if not np.isfinite(gaps).all():
            return False
        turns = np.arange(LIP_RAYS) / LIP_RAYS * 2 * np.pi
        plane = np.column_stack([np.ones(LIP_RAYS), np.cos(turns), np.sin(turns)])
        bent = gaps[:LIP_RAYS] - plane @ np.linalg.lstsq(plane, gaps[:LIP_RAYS], rcond=None)[0]
        if np.abs(bent).max() > self.spec.give_m:
            return False
        lip, body = self.world_from_hand(data), self._model.body(f"object_{index}").id
        weld = self._model.equality(f"hand_vacuum_{index}").id
        turn = data.xmat[body].reshape(3, 3)
        relative = quat_from_matrix(lip[:3, :3].T @ turn)
        # The middle of the lip on the object, and on the hand; how the object is turned in the hand; torque scale.
        self._model.eq_data[weld, :11] = [*(turn.T @ (lip[:3, 3] - data.xpos[body])), 0.0, 0.0, 0.0, *relative, 1.0]
        data.eq_active[weld] = 1
        self.held, self._overloaded_s = index, 0.0
        return True

    def let_go(self, data: mujoco.MjData) -> None:
        """Switch the vacuum off."""
        if self.held is not None:
            data.eq_active[self._model.equality(f"hand_vacuum_{self.held}").id] = 0
        self.held = None

    def watch(self, data: mujoco.MjData) -> None:
        """Let go where the last step loaded the cup by too much; once a step."""
        if self.held is None:
            return
        force, torque = self._wrench(data, self.held)
        overloaded = self.load(self.world_from_hand(data)[:3, 2], force, torque) > 1.0
        self._overloaded_s = self._overloaded_s + self._model.opt.timestep if overloaded else 0.0
        if self._overloaded_s > OVERLOADED_S:
            self.let_go(data)

    def _wrench(self, data: mujoco.MjData, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(3,) force on the object and (3,) torque about the middle of the lip, world axes, of the weld in the last step."""
        weld, body = self._model.equality(f"hand_vacuum_{index}").id, self._model.body(f"object_{index}").id
        rows = (data.efc_type == mujoco.mjtConstraint.mjCNSTR_EQUALITY) & (data.efc_id == weld)
        forces = np.zeros(self._model.nv)
        mujoco.mj_mulJacTVec(self._model, data, forces, np.where(rows, data.efc_force, 0.0))
        dof = int(self._model.joint(f"object_{index}_free").dofadr[0])
        turn = data.xmat[body].reshape(3, 3)
        force, torque = forces[dof : dof + 3], turn @ forces[dof + 3 : dof + 6]  # a free joint's torque is in the body's axes
        return force, torque - np.cross(self.world_from_hand(data)[:3, 3] - data.xpos[body], force)

    def load(self, approach: np.ndarray, force: np.ndarray, torque: np.ndarray) -> float:
        """Compare a wrench with what the cup holds.

        Args:
            approach: (3,) unit.
            force: (3,) newtons by which the cup pulls the object, at the middle of its lip.
            torque: (3,) newton metres likewise.

        Returns:
            The greatest share of what it holds; above 1 it leaks, slips or peels off.
        """
        pull = -float(force @ approach)
        pressed = self.spec.vacuum_n - pull
        if pressed <= 0:
            return np.inf
        twist = float(torque @ approach)
        shear = float(np.linalg.norm(force + pull * approach))
        bend = float(np.linalg.norm(torque - twist * approach))
        held, radius = self.spec.friction * pressed, self.spec.radius_m
        return max(shear / held, abs(twist) / (LIP_TWIST * radius * held), bend / (radius * pressed / 2))
