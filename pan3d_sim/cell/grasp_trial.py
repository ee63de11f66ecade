"""One grasp executed in physics and judged from the simulator's state alone, never from what a planner believed.

Pre-grasp 10 cm back along the approach, approach, close, lift 20 cm, shake. The neighbours' motion is compared
with a control run of the same length in which the hand stays away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import mujoco
import numpy as np

from pan3d_core.structures import GraspTarget
from pan3d_sim.cell.hand import SQUEEZE_M
from pan3d_sim.cell.motion import between, displacement, raised, rotation
from pan3d_sim.cell.stage import Stage, StageState

StageT = TypeVar("StageT", bound=Stage)
Observer = Callable[[str], None]  # called with "before", "pregrasp", "grasp", "closed", "lifted", "after"

SHAKE_SWING_S, SHAKE_TILT_RAD, SHAKE_SWING_M, SHAKE_RISE_M = 0.2, 0.4, 0.05, 0.04
# What the (unmodelled) arm can reach: around the table, above it, never pointing more than a little upwards.
REACH_XY_M, REACH_Z_M, MAX_TILT_DEG = 0.45, 0.60, 100.0
NO_TARGET_M = 0.08  # a grasp farther than this from every object is a grasp at nothing
TOUCH_M = 0.0005  # contacts shallower than this are the solver's margin, not a collision
PUSHED_M = 0.010  # the target may be brushed on the way in, but not pushed farther than this
BLOCKED_M = 0.008  # the hand stays this far behind its command: something is in the way
CLEAN_M, CLEAN_DEG = 0.02, 20.0


@dataclass(frozen=True)
class Programme:
    """What the hand does with a grasp, and for how long."""

    approach_s: float = 0.6
    close_s: float = 0.5
    lift_s: float = 1.2
    lift_m: float = 0.20
    shakes: int = 4
    hold_s: float = 0.3

    @property
    def total_s(self) -> float:
        """Of all phases."""
        return self.approach_s + self.close_s + self.lift_s + self.shakes * 2 * SHAKE_SWING_S + self.hold_s

    @property
    def lifted_m(self) -> float:
        """What rose by more is lifted."""
        return self.lift_m / 2


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


class GraspTrials(Generic[StageT]):
    """Grasps executed in one cell, each from the state in which it is."""

    def __init__(self, cell: StageT, programme: Programme | None = None) -> None:
        """Take a cell, or a twin of one; by default what is lifted is shaken, too."""
        self.cell, self.programme = cell, programme or Programme()
        self._control: tuple[StageState, np.ndarray] | None = (
            None  # a start state, and where its objects come to without the hand
        )

    def execute(
        self, grasp: GraspTarget, *, target: int | None = None, restore: bool = True, observe: Observer | None = None
    ) -> TrialResult:
        """Execute a grasp with the hand and say what happened.

        Args:
            grasp: Its `world_from_grasp`, `opening_m` (`width_m` where it is 0) and `pregrasp_distance_m` count.
            target: Index in `cell.objects` of what should be lifted; None takes the object nearest to the grasp.
            restore: Put the cell back afterwards; otherwise the hand keeps holding what it has.
            observe: Called at the end of each phase, while the cell shows it.

        Returns:
            The result, with the reasons of failure of `TrialResult`. `details` holds `rise_m`, `contact_depth_m` (deepest dent of
            a pad from closing on), `opening_m`, `slip_m`, `disturbance_m`, `disturbance_deg`, `co_lifted`, `clean` (lifted, and
            no neighbour was moved more than 2 cm or 20 deg beyond the control run or lifted along), and after a collision which
            of `hit_support`, `hit_neighbour`, `hit_target` it was.
        """
        cell, world_from_grasp = self.cell, grasp.world_from_grasp.double().numpy()
        target = nearest_object(cell, world_from_grasp[:3, 3]) if target is None else target
        if target is None or target in cell.removed or not 0 <= target < len(cell.bodies):
            return TrialResult(cell.seed, False, "no_target", grasp)
        if not _reachable(cell, world_from_grasp, grasp.opening_m or grasp.width_m):
            return TrialResult(cell.seed, False, "unreachable", grasp)
        start = cell.save()
        attempt = _Trial(self, grasp, target, self._control_poses(start), observe or _ignore)
        result = attempt.run()
        if restore:
            cell.restore(start)
        return result

    def _control_poses(self, start: StageState) -> np.ndarray:
        """Poses after the same time with the hand away; computed once per start state."""
        known = self._control
        if known is not None and known[0].removed == start.removed and np.array_equal(known[0].physics, start.physics):
            return known[1]
        self.cell.step(self.programme.total_s)
        poses = _poses(self.cell)
        self.cell.restore(start)
        self._control = (start, poses)
        return poses


class _Trial:
    """The state of one execution."""

    def __init__(
        self, trials: GraspTrials[StageT], grasp: GraspTarget, target: int, control: np.ndarray, observe: Observer
    ) -> None:
        cell = trials.cell
        self.cell, self.programme, self.grasp, self.target = cell, trials.programme, grasp, target
        self.goal = grasp.world_from_grasp.double().numpy()
        self.control, self.observe = control, observe
        self.model, self.data, self.hand = cell.model, cell.data, cell.hand
        self.width = min(grasp.opening_m or grasp.width_m, cell.hand.spec.opening_m)
        self.start_poses = _poses(cell)
        self.depth_m = 0.0
        self.hit = ""

    def run(self) -> TrialResult:
        self.observe("before")
        if self._approach_collides():
            return self._result("collision")
        self._close()
        self.observe("closed")
        caught = self._contacts().held
        closed_in_hand = self._target_in_hand()
        lifted_pose = raised(self.goal, self.programme.lift_m)
        self._move(self.goal, lifted_pose, SQUEEZE_M, self.programme.lift_s)
        self.observe("lifted")
        self._shake(lifted_pose)
        self._move(lifted_pose, lifted_pose, SQUEEZE_M, self.programme.hold_s)
        self.observe("after")
        return self._result(self._verdict(caught), slip_m=float(np.linalg.norm(self._target_in_hand() - closed_in_hand)))

    def _verdict(self, caught: set[int]) -> str:
        held = self._contacts().held
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
        steps = max(1, round(seconds / self.model.opt.timestep))
        self.hand.grip(self.data, opening_m)
        for index in range(1, steps + 1):
            t = index / steps
            self.hand.move(self.data, between(start, goal, t * t * (3 - 2 * t)))
            mujoco.mj_step(self.model, self.data)
            self._watch_depth()
            if stop_on_hit and index % 5 == 0:
                self.hit = self._obstructed()
                if self.hit:
                    return True
        return False

    def _close(self) -> None:
        """Close at an even speed: jaws that snap shut would dent the object by several millimetres."""
        self.depth_m = 0.0  # what a collision on the way in dented does not count
        steps = round(self.programme.close_s / self.model.opt.timestep)
        for index in range(1, steps + 1):
            t = min(1.0, 1.25 * index / steps)  # the last fifth presses
            self.hand.grip(self.data, self.width + t * (SQUEEZE_M - self.width))
            mujoco.mj_step(self.model, self.data)
            self._watch_depth()

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
        left, right = self.hand.pad_geoms
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
            if mine[0] == left:
                found.by_left.add(index)
            elif mine[0] == right:
                found.by_right.add(index)
            found.depth_m = max(found.depth_m, -float(contact.dist))
        return found

    def _watch_depth(self) -> None:
        """Keep the deepest contact of the pads; cheap enough for every step."""
        contact = self.data.contact
        if self.data.ncon:
            touching = np.isin(contact.geom, self.hand.pad_geoms).any(1)
            self.depth_m = max(self.depth_m, float(-contact.dist[touching].min(initial=0.0)))

    def _target_in_hand(self) -> np.ndarray:
        """(3,) position of the target's centre of mass in the grasp frame."""
        world_from_hand = self.hand.world_from_hand(self.data)
        center = self.data.xipos[self.cell.bodies[self.target].body]
        return world_from_hand[:3, :3].T @ (center - world_from_hand[:3, 3])

    def _rises(self) -> np.ndarray:
        return np.array([now[2, 3] - before[2, 3] for now, before in zip(_poses(self.cell), self.start_poses)])

    def _result(self, failure: str, slip_m: float = 0.0) -> TrialResult:
        shift, turn = displacement(_poses(self.cell), self.start_poses)
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


def _ignore(phase: str) -> None:
    """Default observer."""


def _reachable(cell: Stage, world_from_grasp: np.ndarray, width_m: float) -> bool:
    x, y, z = world_from_grasp[:3, 3]
    height = z - cell.support_height_m
    tilt_deg = np.degrees(np.arccos(np.clip(-world_from_grasp[2, 2], -1.0, 1.0)))
    inside = max(abs(x), abs(y)) <= REACH_XY_M and -0.01 <= height <= REACH_Z_M
    return bool(inside and tilt_deg <= MAX_TILT_DEG and width_m <= cell.hand.spec.opening_m + 1e-4)


def nearest_object(cell: Stage, point: np.ndarray) -> int | None:
    """The object whose visible surface is nearest to `point`; None when all are farther than `NO_TARGET_M`."""
    best, best_distance = None, NO_TARGET_M
    for index, vertices in enumerate(cell.surfaces):
        if index in cell.removed:
            continue
        pose = cell.world_from_object(index)
        local = (point - pose[:3, 3]) @ pose[:3, :3]
        low, high = vertices.min(0), vertices.max(0)
        to_box = np.linalg.norm(np.maximum(np.maximum(low - local, local - high), 0.0))
        # Boxes of neighbours may overlap: inside one, the distance to its vertices decides.
        distance = to_box + 1e-3 * np.linalg.norm(vertices - local, axis=1).min()
        if distance < best_distance:
            best, best_distance = index, float(distance)
    return best


def _poses(cell: Stage) -> np.ndarray:
    """(N, 4, 4) poses of all objects."""
    return np.stack([cell.world_from_object(index) for index in range(len(cell.bodies))])
