"""What the arm of a cell really touches, by the simulator's contacts alone, and which of it was a collision."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from pan3d_sim.cell.execution import PUSHED_M
from pan3d_sim.cell.robot_cell import RobotCell

SUPPORT, ITSELF = -1, -2  # beside indices of `cell.objects`
WITH_OBJECT = ("lift", "carry", "lower", "release")
BEFORE = ("approach", "enter")
SELF_PERIOD_S = 0.05
TOUCH_M = 0.00005  # servos press a gripper into the table by a tenth of a millimetre: nearly every contact counts
PADS = ("finger_left", "finger_right")


@dataclass(frozen=True)
class Touch:
    """One thing that touched another in a phase of a motion."""

    phase: str
    part: str  # "pad", "arm", or "held" for the object in the gripper
    thing: int  # index of an object, `SUPPORT` or `ITSELF`
    depth_m: float  # deepest


class Touches:
    """Watches contacts from the beginning of a motion to its end; `start` has objects' poses when the gripper last set out."""

    def __init__(self, cell: RobotCell) -> None:
        if cell.arm is None:
            raise ValueError("CellConfig.arm: expected an arm, got none")
        self.cell, self.arm = cell, cell.arm
        self._is_arm = np.isin(np.arange(cell.model.ngeom), list(self.arm.geoms))
        bodies = [cell.model.body(f"arm_{name}").id for name in PADS]
        self._is_pad = np.isin(cell.model.geom_bodyid, bodies)
        self._object = np.array([cell.object_of_geom(geom) for geom in range(cell.model.ngeom)])
        self._self_pairs = _apart(cell.model, sorted(self.arm.geoms))
        self.begin()

    def begin(self) -> None:
        """Forget what was."""
        self._depths: dict[tuple[str, str, int], float] = {}
        self._next_self = 0.0
        self.approach()

    def approach(self) -> None:
        """Say that the gripper, empty, goes for an object anew: from here on it is to push it no further than it may."""
        self.start = {index: self.cell.world_from_object(index).copy() for index in range(len(self.cell.objects))}
        self.target: int | None = None

    def close_on(self, target: int | None) -> None:
        """Say that the gripper closes on an object, which it may have brushed but not pushed; None = on nothing."""
        self.target = target
        if target is not None:
            pushed_m = float(np.linalg.norm(self.cell.world_from_object(target)[:3, 3] - self.start[target][:3, 3]))
            if pushed_m <= PUSHED_M:
                self._depths = {key: depth for key, depth in self._depths.items() if key[0] not in BEFORE or key[2] != target}

    def watch(self, phase: str) -> None:
        """Take note of the present contacts; call after every step."""
        data = self.cell.data
        if data.ncon:
            pairs, depths = data.contact.geom[: data.ncon], -data.contact.dist[: data.ncon]
            for (first, second), depth in zip(pairs[depths > TOUCH_M].tolist(), depths[depths > TOUCH_M].tolist()):
                self._take(phase, first, second, depth)
        if data.time >= self._next_self:
            self._next_self = data.time + SELF_PERIOD_S
            for first, second in self._self_pairs:
                distance = mujoco.mj_geomDistance(self.cell.model, data, first, second, 0.01, None)
                if distance < -TOUCH_M:
                    self._note(phase, "arm", ITSELF, -distance)

    def collisions(self, onto: int | None = None) -> tuple[Touch, ...]:
        """All touches that were not meant.

        Args:
            onto: Index of the object that the target is put on; None = the support.

        Returns:
            Each with the phase in which it was.
        """
        return tuple(
            Touch(phase, part, thing, depth)
            for (phase, part, thing), depth in self._depths.items()
            if not self._meant(phase, part, thing, onto)
        )

    def _meant(self, phase: str, part: str, thing: int, onto: int | None) -> bool:
        if part == "held":
            return phase != "carry" and thing in (SUPPORT, onto)
        if thing == self.target and thing >= 0:
            return phase not in BEFORE
        return False

    def _take(self, phase: str, first: int, second: int, depth: float) -> None:
        if self._is_arm[second]:
            first, second = second, first
        if self._is_arm[first]:
            self._note(phase, "pad" if self._is_pad[first] else "arm", self._thing(second), depth)
        elif self.target is not None and phase in WITH_OBJECT and self.target in (self._object[first], self._object[second]):
            other = second if self._object[first] == self.target else first
            if self._object[other] != self.target:
                self._note(phase, "held", self._thing(other), depth)

    def _thing(self, geom: int) -> int:
        return int(self._object[geom]) if self._object[geom] >= 0 else SUPPORT

    def _note(self, phase: str, part: str, thing: int, depth: float) -> None:
        key = (phase, part, thing)
        self._depths[key] = max(self._depths.get(key, 0.0), depth)


def _apart(model: mujoco.MjModel, geoms: list[int]) -> list[tuple[int, int]]:
    """Pairs of the arm's bodies that are not joined to each other, directly or by what cannot move."""
    root = model.body_weldid
    pairs = []
    for k, first in enumerate(geoms):
        for second in geoms[k + 1 :]:
            a, b = int(root[model.geom_bodyid[first]]), int(root[model.geom_bodyid[second]])
            above = [int(root[model.body_parentid[body]]) if body else -1 for body in (a, b)]
            if a != b and above[0] != b and above[1] != a and above[0] != above[1]:
                pairs.append((first, second))
    return pairs
