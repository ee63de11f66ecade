"""A whole motion from a set of grasps: which grasp the arm reaches, how it gets there, lifts, carries, puts down and leaves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np

from pan3d_core.config import MotionConfig
from pan3d_core.motion.arm import Arm, Floats
from pan3d_core.motion.collisions import Checker, Held, Rules
from pan3d_core.motion.inverse import reach
from pan3d_core.motion.paths import free_path, is_free, path_library, straight_path
from pan3d_core.motion.places import turned
from pan3d_core.motion.reachable import FLIPPED
from pan3d_core.motion.scene import MotionScene, Obstacle
from pan3d_core.motion.timing import Trajectory, timed, timing_library
from pan3d_core.motion.variants import variants
from pan3d_core.structures import GraspTarget

REASONS = {
    "found": "a motion was found",
    "no_grasp": "there is no grasp to try",
    "unreachable": "the arm does not reach any of the grasps",
    "blocked": "at every grasp that the arm reaches, or on the straight way to it, it would touch something",
    "no_place": "there is no free place that the arm reaches with the object in its gripper",
    "no_path": "no free way to any of the grasps, or on to a place, was found in time",
}
NEAR_SHARE = 0.5  # of the distance that is kept on a free way, where an end of it is nearer to something
NEAR_RAD = 1.6  # ways of holding the arm that differ by less, in all joints but the last, which turns the hand, are much the same
WAYS = 3  # of holding the arm there without touching anything that are tried at each pose


@dataclass(frozen=True)
class Motion:
    """What the arm does with an object, piece by piece."""

    grasp: GraspTarget
    approach: Trajectory  # free, from where the arm is to before the object
    enter: Trajectory  # straight, to the grasp
    lift: Trajectory  # straight up, holding the object
    carry: Trajectory  # free, over its place
    lower: Trajectory  # straight down
    leave: Trajectory  # straight back, the gripper empty
    retire: Trajectory  # free, to where the arm waits
    world_from_was: Floats  # (4, 4): how the object moves in the world

    @property
    def duration_s(self) -> float:
        """Of all pieces."""
        pieces = (self.approach, self.enter, self.lift, self.carry, self.lower, self.leave, self.retire)
        return sum(piece.duration_s for piece in pieces)


@dataclass(frozen=True)
class MotionPlan:
    """A motion, or why there is none."""

    motion: Motion | None
    reason: str  # key of `REASONS`
    tried: dict[str, int]  # what became of grasps and of ways to hold them: reason -> how many
    seconds: float

    @property
    def message(self) -> str:
        """The reason as a sentence, with what was tried."""
        numbers = ", ".join(f"{name} {count}" for name, count in self.tried.items())
        return f"{REASONS[self.reason]} ({numbers})" if numbers else REASONS[self.reason]


@dataclass(frozen=True)
class Task:
    """What is asked for."""

    instance_id: int
    grasps: Sequence[GraspTarget]  # best first
    places: Sequence[Floats]  # (4, 4) each, best first: motions of the object in the world
    onto: int = 0  # the id of what it is put on; 0 = the support


@dataclass(frozen=True)
class _Taken:
    """The object in the gripper, before its place is chosen."""

    grasp: GraspTarget
    world_from_tip: Floats  # (4, 4) at the grasp
    enter: Floats  # (N, J) radians
    lift: Floats
    held: Held


class MotionPlanner:
    """Plans for one arm."""

    def __init__(self, arm: Arm, config: MotionConfig | None = None) -> None:
        """Take an arm. Libraries are loaded here, so that the first plan takes no longer than others.

        Raises:
            ValueError: One is missing.
        """
        self.arm, self.config = arm, config or MotionConfig()
        path_library()
        timing_library()

    def plan(self, task: Task, scene: MotionScene, here: Floats, rest: Floats) -> MotionPlan:
        """Find a whole motion before any of it begins.

        Args:
            task: Object, grasps and places.
            scene: Everything that is known to stand somewhere; the object is in it.
            here: (J,) radians: where the arm is, its gripper empty.
            rest: (J,) radians: where it waits afterwards.

        Returns:
            The first one that works, grasps and places in their order; or the reason that there is none.

        Raises:
            KeyError: The object is not in the scene.
        """
        return _Search(self.arm, self.config, task, scene, (here, rest)).run()

    def way(self, scene: MotionScene, here: Floats, goal: Floats, held: Held | None = None) -> Trajectory | None:
        """Find a free way between two positions, for example back to where the arm waits.

        Args:
            scene: What stands about.
            here: (J,) radians.
            goal: (J,) radians.
            held: What the gripper has.

        Returns:
            It; None where none was found in time.
        """
        for clearance in (self.config.clearance_m, self.config.close_clearance_m):
            checker = Checker(self.arm, scene, Rules(clearance), held)
            path = free_path(checker, here, [goal], self.config, self.config.path_time_s)
            if path is not None:
                return _timed_freely(checker, path, self.config)
        return None


class _Search:
    """The state of one plan."""

    def __init__(self, arm: Arm, config: MotionConfig, task: Task, scene: MotionScene, ends: tuple[Floats, Floats]) -> None:
        self.arm, self.config, self.task, self.scene = arm, config, task, scene
        self.here, self.rest = ends
        self.target: Obstacle = scene.object(task.instance_id)
        share = config.carry_share
        self._gentle = replace(config, speed_share=share * config.speed_share, acceleration=share * config.acceleration)
        self.begun = time.monotonic()
        self.tried: Counter[str] = Counter()

    def run(self) -> MotionPlan:
        if not self.task.grasps:
            return self._answer(None, "no_grasp")
        if not self.task.places:
            return self._answer(None, "no_place")
        for taken in self._grasps():
            motion = self._with_place(taken)
            if motion is not None:
                return self._answer(motion, "found")
            if self._late():
                break
        if self._late():
            return self._answer(None, "no_path")
        # The reason is that of the grasp that came farthest.
        order = ("no_path", "no_place", "blocked", "unreachable")
        return self._answer(None, next((name for name in order if self.tried[name]), "no_path"))

    def _grasps(self) -> Iterator[_Taken]:
        """Grasps that the arm reaches and whose straight pieces are free."""
        middle_m, lower_m = float(self.target.middle[2]), self.config.deeper_m
        for grasp in (variant for offered in self.task.grasps for variant in variants(offered, middle_m, lower_m)):
            enter = self._checker(grasp, held=None)
            pose = grasp.world_from_grasp.double().cpu().numpy()
            before = pose.copy()
            before[:3, 3] -= grasp.pregrasp_distance_m * pose[:3, 2]
            above = pose.copy()
            above[2, 3] += self.config.lift_m
            held = self._held(pose)
            for flip in (np.eye(4), FLIPPED):
                if self._late():
                    return
                found = reach(self.arm, pose @ flip, self.here)
                if not found.reached:
                    self.tried["unreachable"] += 1
                free = [angles for angles in found.solutions if enter.free(angles)]
                self.tried["blocked"] += bool(found.reached and not free)
                for angles in free[:WAYS]:
                    back = straight_path(enter, angles, before @ flip)
                    carried = Held(held.instance_id, held.tip_from_corners @ flip[:3, :3])
                    up = None if back is None else straight_path(self._checker(grasp, carried), angles, above @ flip)
                    if back is None or up is None:
                        self.tried["blocked"] += 1
                        continue
                    yield _Taken(grasp, pose @ flip, back[::-1], up, carried)

    def _with_place(self, taken: _Taken) -> Motion | None:
        """The first place that the object can be carried to in this grasp, and all the ways there."""
        approach = None
        puts = ((put, near) for near, place in product((True, False), self.task.places) for put in turned(place, self.target))
        for motion, near in puts:
            if self._late():
                return None
            put = self._lowered(taken, motion, near)
            if put is None:
                continue
            if approach is None:
                approach = self._free(self._roomy(taken.grasp, (self.here, taken.enter[0])))
                if approach is None:
                    self.tried["no_path"] += 1
                    return None
            found = self._carried(taken, motion, approach, put)
            if found is not None:
                return found
            self.tried["no_path"] += 1
        self.tried["no_place"] += 1
        return None

    def _lowered(self, taken: _Taken, motion: Floats, near: bool) -> tuple[Floats, Floats] | None:
        """Straight ways down to a place and back from it, which are the quick things to check.

        With `near` the arm is held there much as it is; else otherwise, so that it has to swing around with the object.
        """
        pose = motion @ taken.world_from_tip
        pose[2, 3] += self.config.release_m
        above, back = pose.copy(), pose.copy()
        above[2, 3] += self.config.lift_m
        back[:3, 3] -= taken.grasp.pregrasp_distance_m * pose[:3, 2]
        with_object = self._checker(taken.grasp, taken.held, at_place=True)
        without = Checker(self.arm, self._after(motion), self._rules(taken.grasp, at_place=True))
        ways = (
            angles
            for angles in reach(self.arm, pose, taken.lift[-1]).solutions
            if (np.abs(angles - taken.lift[-1])[:-1].max() < NEAR_RAD) == near and with_object.free(angles)
        )
        for angles in islice(ways, WAYS):
            up = straight_path(with_object, angles, above)
            leave = None if up is None else straight_path(without, angles, back)
            if up is not None and leave is not None:
                return up[::-1], leave
        return None

    def _carried(self, taken: _Taken, motion: Floats, approach: Trajectory, put: tuple[Floats, Floats]) -> Motion | None:
        lower, leave = put
        carry = self._free(self._roomy(taken.grasp, (taken.lift[-1], lower[0]), taken.held))
        if carry is None:
            return None
        retire = self._free(self._roomy(taken.grasp, (leave[-1], self.rest), scene=self._after(motion)))
        if retire is None:
            return None
        pieces = (taken.enter, taken.lift, lower, leave)
        ways = (taken.grasp.pregrasp_distance_m, self.config.lift_m, self.config.lift_m, taken.grasp.pregrasp_distance_m)
        enter, lift, down, back = (timed(self.arm, piece, self.config, way) for piece, way in zip(pieces, ways))
        return Motion(taken.grasp, approach, enter, lift, carry, down, back, retire, motion)

    def _free(self, way: tuple[Checker, Floats, Floats]) -> Trajectory | None:
        checker, start, goal = way
        path = free_path(checker, start, [goal], self.config, min(self.config.path_time_s, self._left_s()))
        return None if path is None else _timed_freely(checker, path, self._gentle if checker.held else self.config)

    def _roomy(
        self, grasp: GraspTarget, ends: tuple[Floats, Floats], held: Held | None = None, scene: MotionScene | None = None
    ) -> tuple[Checker, Floats, Floats]:
        """What keeps its distance on a way, with its ends; half as much where it begins or ends nearer to something.

        What is held stays upright: swung overhead it creeps out of the pads.
        """
        up = None if held is None else tuple(self.arm.world_from_tip(ends[0])[2, :3].tolist())
        for share in (1.0, NEAR_SHARE):
            rules = Rules(share * self.config.clearance_m, grasp.opening_m or None, up_in_tip=up)
            checker = Checker(self.arm, scene or self.scene, rules, held)
            if all(checker.free(end) for end in ends):
                break
        return checker, *ends

    def _checker(self, grasp: GraspTarget, held: Held | None, *, at_place: bool = False) -> Checker:
        return Checker(self.arm, self.scene, self._rules(grasp, at_place=at_place), held)

    def _rules(self, grasp: GraspTarget, *, at_place: bool = False) -> Rules:
        touch = {self.task.instance_id}
        if at_place and self.task.onto:
            touch.add(self.task.onto)
        onto = frozenset({self.task.onto} if at_place and self.task.onto else ())
        return Rules(self.config.close_clearance_m, grasp.opening_m or None, frozenset(touch), onto, held_may_touch_support=True)

    def _held(self, world_from_tip: Floats) -> Held:
        return Held(self.task.instance_id, (self.target.corners - world_from_tip[:3, 3]) @ world_from_tip[:3, :3])

    def _after(self, motion: Floats) -> MotionScene:
        """The scene with the object at its place."""
        corners = self.target.corners @ motion[:3, :3].T + motion[:3, 3]
        left = self.scene.without(self.task.instance_id)
        moved = Obstacle(self.task.instance_id, corners, self.target.name)
        return MotionScene((*left.objects, moved), left.cells, left.support_height_m)

    def _left_s(self) -> float:
        return max(self.config.plan_time_s - (time.monotonic() - self.begun), 0.01)

    def _late(self) -> bool:
        return time.monotonic() - self.begun > self.config.plan_time_s

    def _answer(self, motion: Motion | None, reason: str) -> MotionPlan:
        return MotionPlan(motion, reason, dict(self.tried), time.monotonic() - self.begun)


def _timed_freely(checker: Checker, path: Floats, config: MotionConfig) -> Trajectory:
    """With times; the arm stops at every knot where a smooth way would touch something."""
    smooth = timed(checker.arm, path, config)
    if len(path) < 3 or is_free(checker, smooth.positions, config.step_rad):
        return smooth
    pieces = [timed(checker.arm, path[row : row + 2], config) for row in range(len(path) - 1)]
    times, begin = [], 0.0
    for piece in pieces:
        times.append(piece.times_s + begin)
        begin += piece.duration_s + 1e-3
    return Trajectory(checker.arm.joints, np.concatenate(times), np.concatenate([piece.positions for piece in pieces]))
