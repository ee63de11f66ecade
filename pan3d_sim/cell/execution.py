"""One grasp carried out by a hand under physics, and what the simulator's state then says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import mujoco
import numpy as np

from pan3d_core.structures import GraspTarget
from pan3d_sim.cell.hand import SQUEEZE_M
from pan3d_sim.cell.motion import between, displacement, raised, rotation
from pan3d_sim.cell.stage import Stage
from pan3d_sim.cell.suction_hand import SuctionHand

Observer = Callable[[str], None]  # called with "before", "pregrasp", "grasp", "closed", "lifted", "after"

SHAKE_SWING_S, SHAKE_TILT_RAD, SHAKE_SWING_M, SHAKE_RISE_M = 0.2, 0.4, 0.05, 0.04
TOUCH_M = 0.0005  # contacts shallower than this are the solver's margin, not a collision
PUSHED_M = 0.010  # the target may be brushed on the way in, but not pushed farther than this
BLOCKED_M = 0.008  # the hand stays this far behind its command: something is in the way
CLEAN_M, CLEAN_DEG = 0.02, 20.0
LOOK_EVERY = 5  # commands of the approach, between two looks at what is touched
PRESSED_M = 0.008  # a cup goes on by so much at most to find the surface


@dataclass(frozen=True)
class Programme:
    """What the hand does with a grasp, and for how long.

    It comes, closes, lifts what it holds, shakes it, and waits.
    """

    approach_s: float = 0.6
    close_s: float = 0.5
    lift_s: float = 1.2
    hold_s: float = 0.3

    # How high it lifts, and how often it shakes then.
    lift_m: float = 0.20
    shakes: int = 4

    # What makes trials cheap where very many are made: steps of physics between two commands, and no lift of an empty hand.
    steps_at_once: int = 1
    ends_empty: bool = False

    @property
    def lifted_m(self) -> float:
        """What rose by more is lifted."""
        return self.lift_m / 2

    @property
    def total_s(self) -> float:
        """Of all phases."""
        return self.approach_s + self.close_s + self.lift_s + self.shakes * 2 * SHAKE_SWING_S + self.hold_s


@dataclass(frozen=True)
class TrialResult:
    """What the simulator's truth says about one executed grasp."""

    seed: int
    lifted: bool
    failure: str  # "none", "no_target", "unreachable", "collision", "missed", "slipped", "wrong_object"
    grasp: GraspTarget | None = None
    details: dict[str, float] = field(default_factory=dict)


@dataclass
class Contacts:
    """What the hand touches at one instant. Indices into `cell.objects`."""

    by_left: set[int]
    by_right: set[int]
    others: set[int]  # objects touched by any part of the hand
    support: bool  # table or other fixed things, deeper than `TOUCH_M`
    depth_m: float  # deepest penetration of a pad into an object

    @property
    def held(self) -> set[int]:
        """Objects between both pads."""
        return self.by_left & self.by_right


class Execution:
    """The state of one execution with two jaws."""

    def __init__(
        self,
        cell: Stage,
        programme: Programme,
        grasp: GraspTarget,
        target: int,
        control: np.ndarray,
        observe: Observer,
    ) -> None:
        self.cell, self.programme, self.grasp, self.target = cell, programme, grasp, target
        self.goal = grasp.world_from_grasp.double().numpy()
        self.control, self.observe = control, observe
        self.model, self.data, self.hand = cell.model, cell.data, cell.hand
        self.width = min(grasp.opening_m or grasp.width_m, cell.hand.widest_m)
        self.start_poses = poses_of(cell)
        self.depth_m = 0.0
        self.hit = ""

    def run(self) -> TrialResult:
        """Carry it out."""
        self.observe("before")
        if self._approach_collides():
            return self._result("collision")
        self._close()
        self.observe("closed")
        caught = self._held()
        if self.programme.ends_empty and not caught:
            return self._result("missed")
        closed_in_hand = self._target_in_hand()
        lifted_pose = raised(self.goal, self.programme.lift_m)
        self._move(self.goal, lifted_pose, SQUEEZE_M, self.programme.lift_s)
        self.observe("lifted")
        if self.programme.ends_empty and not self._held():
            return self._result("slipped")
        self._shake(lifted_pose)
        self._move(lifted_pose, lifted_pose, SQUEEZE_M, self.programme.hold_s)
        self.observe("after")
        return self._result(self._verdict(caught), slip_m=float(np.linalg.norm(self._target_in_hand() - closed_in_hand)))

    def _verdict(self, caught: set[int]) -> str:
        held = self._held()
        rise = self._rises()
        if self.target in held and rise[self.target] > self.programme.lifted_m:
            return "none"
        if any(rise[other] > self.programme.lifted_m for other in held - {self.target}):
            return "wrong_object"
        return "slipped" if caught else "missed"

    def _approach_collides(self) -> bool:
        """Go to the pre-grasp and on to the grasp; True when the hand hits anything on the way."""
        back = np.eye(4)
        back[2, 3] = -self.grasp.pregrasp_distance_m
        pregrasp = self.goal @ back
        self.hand.teleport(self.data, pregrasp, self.width)
        mujoco.mj_forward(self.model, self.data)
        self.hit = self._touched()
        self.observe("pregrasp")
        if self.hit:
            return True
        hit = self._move(pregrasp, self.goal, self.width, self.programme.approach_s, stop_on_hit=True)
        self.observe("grasp")
        return hit

    def _touched(self) -> str:
        """What the hand touches: "support", "neighbour", "target" or nothing."""
        contacts = self._contacts()
        if contacts.support:
            return "support"
        if contacts.others - {self.target}:
            return "neighbour"
        return "target" if contacts.others else ""

    def _obstructed(self) -> str:
        """What the hand collides with on its way; the target only counts when it is pushed or stops the hand."""
        touched = self._touched()
        if touched == "target":
            moved = self.cell.world_from_object(self.target)[:3, 3] - self.start_poses[self.target][:3, 3]
            blocked = self.hand.lag(self.data) > BLOCKED_M
            return "target" if blocked or np.linalg.norm(moved) > PUSHED_M else ""
        return touched

    def _move(self, start: np.ndarray, goal: np.ndarray, opening_m: float, seconds: float, *, stop_on_hit: bool = False) -> bool:
        """Straight line between two poses of equal or nearby orientation, smooth start and stop."""
        commands = self._commands(seconds)
        self.hand.grip(self.data, opening_m)
        for index in range(1, commands + 1):
            t = index / commands
            self.hand.move(self.data, between(start, goal, t * t * (3 - 2 * t)))
            self._step()
            if stop_on_hit and index % LOOK_EVERY == 0:
                self.hit = self._obstructed()
                if self.hit:
                    return True
        return False

    def _commands(self, seconds: float) -> int:
        return max(1, round(seconds / (self.model.opt.timestep * self.programme.steps_at_once)))

    def _close(self) -> None:
        """Close at an even speed: jaws that snap shut would dent the object by several millimetres."""
        self.depth_m = 0.0  # what a collision on the way in dented does not count
        commands = self._commands(self.programme.close_s)
        for index in range(1, commands + 1):
            t = min(1.0, 1.25 * index / commands)  # the last fifth presses
            self.hand.grip(self.data, self.width + t * (SQUEEZE_M - self.width))
            self._step()

    def _shake(self, pose: np.ndarray) -> None:
        """Tilt and swing to alternating sides, about the closing direction and across it in turn."""
        for index in range(self.programme.shakes):
            sign = 1.0 if index % 2 == 0 else -1.0
            axis = self.goal[:3, index // 2]
            sideways = np.cross([0.0, 0.0, 1.0], axis) * sign * SHAKE_SWING_M
            swung = raised(pose, SHAKE_RISE_M)
            swung[:3, :3] = rotation(axis, sign * SHAKE_TILT_RAD) @ pose[:3, :3]
            swung[:3, 3] += sideways
            self._move(pose, swung, SQUEEZE_M, SHAKE_SWING_S)
            self._move(swung, pose, SQUEEZE_M, SHAKE_SWING_S)

    def _contacts(self) -> Contacts:
        found = Contacts(set(), set(), set(), False, 0.0)
        pads = dict(zip(self.hand.pad_geoms, (found.by_left, found.by_right)))
        for contact in self.data.contact:
            geoms = (int(contact.geom1), int(contact.geom2))
            mine = [geom for geom in geoms if geom in self.hand.geoms]
            if len(mine) != 1 or contact.exclude:
                continue
            other = geoms[0] if geoms[1] == mine[0] else geoms[1]
            index = self.cell.object_of_geom(other)
            if index < 0:
                found.support |= contact.dist < -TOUCH_M
                continue
            found.others.add(index)
            if mine[0] in pads:
                pads[mine[0]].add(index)
            found.depth_m = max(found.depth_m, -float(contact.dist))
        return found

    def _held(self) -> set[int]:
        """Indices of what the hand has."""
        return self._contacts().held

    def _step(self) -> None:
        """Physics up to the next command; the deepest contact of the pads is kept, which is cheap enough."""
        mujoco.mj_step(self.model, self.data, self.programme.steps_at_once)
        contact = self.data.contact
        if self.data.ncon:
            touching = np.zeros(self.data.ncon, bool)
            for pad in self.hand.pad_geoms:
                touching |= (contact.geom == pad).any(1)
            self.depth_m = max(self.depth_m, float(-contact.dist[touching].min(initial=0.0)))

    def _target_in_hand(self) -> np.ndarray:
        """(3,) position of the target's centre of mass in the grasp frame."""
        world_from_hand = self.hand.world_from_hand(self.data)
        center = self.data.xipos[self.cell.bodies[self.target].body]
        return world_from_hand[:3, :3].T @ (center - world_from_hand[:3, 3])

    def _rises(self) -> np.ndarray:
        return np.array([now[2, 3] - before[2, 3] for now, before in zip(poses_of(self.cell), self.start_poses)])

    def _result(self, failure: str, slip_m: float = 0.0) -> TrialResult:
        shift, turn = displacement(poses_of(self.cell), self.start_poses)
        control_shift, control_turn = displacement(self.control, self.start_poses)
        neighbours = [i for i in range(len(self.cell.bodies)) if i != self.target and i not in self.cell.removed]
        disturbance_m = max((shift - control_shift)[neighbours].max(initial=0.0), 0.0)
        disturbance_deg = max((turn - control_turn)[neighbours].max(initial=0.0), 0.0)
        rises = self._rises()
        co_lifted = int((rises[neighbours] > self.programme.lifted_m / 2).sum())
        clean = failure == "none" and disturbance_m <= CLEAN_M and disturbance_deg <= CLEAN_DEG and not co_lifted
        details = {
            "rise_m": float(rises[self.target]),
            "contact_depth_m": self.depth_m,
            "opening_m": self.hand.opening(self.data),
            "slip_m": slip_m,
            "disturbance_m": float(disturbance_m),
            "disturbance_deg": float(disturbance_deg),
            "co_lifted": float(co_lifted),
            "clean": float(clean),
            **{f"hit_{what}": float(self.hit == what) for what in ("support", "neighbour", "target")},
        }
        return TrialResult(self.cell.seed, failure == "none", failure, self.grasp, details)


class SuctionExecution(Execution):
    """The same with a cup: instead of closing it goes on until its lip is on the object, and the vacuum is switched on."""

    def _close(self) -> None:
        hand = self._cup()
        start, commands = self.goal, self._commands(self.programme.close_s)
        for index in range(1, commands + 1):
            if hand.gaps(self.data, self.target).min() <= 0.0:
                break
            self.goal = start.copy()
            self.goal[:3, 3] += PRESSED_M * min(1.0, 1.25 * index / commands) * start[:3, 2]
            hand.move(self.data, self.goal)
            self._step()
        hand.seal(self.data, self.target)

    def _held(self) -> set[int]:
        held = self._cup().held
        return set() if held is None else {held}

    def _step(self) -> None:
        super()._step()
        self._cup().watch(self.data)

    def _cup(self) -> SuctionHand:
        if not isinstance(self.hand, SuctionHand):
            raise TypeError(f"hand: expected a suction cup, got {type(self.hand).__name__}")
        return self.hand


def poses_of(cell: Stage) -> np.ndarray:
    """(N, 4, 4) poses of all objects."""
    return np.stack([cell.world_from_object(index) for index in range(len(cell.bodies))])
