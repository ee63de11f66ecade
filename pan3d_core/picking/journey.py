"""From pictures to an object at its place: look, choose, plan around what is seen, look once more, pick, place, look again."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.grasping import select_grasps
from pan3d_core.grasping.rehearsal import RehearsalRequest, Rehearser
from pan3d_core.language.prompts import PromptResult, resolve_prompt
from pan3d_core.lessons import LessonFolder
from pan3d_core.memory import Space
from pan3d_core.motion import (
    Motion,
    MotionPlanner,
    MotionScene,
    Task,
    free_places,
    in_the_arm,
    motion_scene,
    off_the_arm,
    place_on,
)
from pan3d_core.picking.lessons import learnt
from pan3d_core.picking.reports import Attempt, Outcome, PickReport, Seen
from pan3d_core.picking.robot import PickingRobot
from pan3d_core.picking.wishes import Wish
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import GraspTarget, Segment

Floats = npt.NDArray[np.float64]
log = logging.getLogger("pan3d.picking")

OWN_MARGIN_M = 0.10  # what is seen this near to the arm, and is no object, is the arm seen badly
HELD_M = 0.004  # pads closer than this have nothing between them
STILL_M = 0.02  # an object that moved by more since the plan was made is planned for anew
AT_PLACE_M = 0.05  # an object seen this near to where it was to go is there
SAME_GRASP_M = 0.015  # one that failed is not tried again this near
RISEN = 0.4  # share of its height by which what it stands on has to have grown, where both are seen as one
REPLANS = 3


class Picker:
    """Picks with one robot. Not for two threads at once."""

    def __init__(
        self,
        pipeline: PerceptionPipeline,
        planner: MotionPlanner,
        robot: PickingRobot,
        area_m: tuple[Sequence[float], Sequence[float]],
        attempts: int,
        rehearse: Rehearser | None = None,
        lessons: LessonFolder | None = None,
    ) -> None:
        """Bring the parts together.

        Args:
            pipeline: With the robot's body, so that the arm is no obstacle to itself.
            planner: For the robot's arm.
            robot: That is commanded.
            area_m: Lowest and highest x and y of the support on which things may be put, world.
            attempts: How often the arm goes for one object, at most.
            rehearse: Tries grasps before a motion is planned for them; None = they stay in the grasp planner's order.
            lessons: That each time the gripper closes is written to; None = nothing is learnt.
        """
        self.rehearse, self.lessons = rehearse, lessons
        self.pipeline, self.planner, self.robot, self.attempts = pipeline, planner, robot, attempts
        self.area_m = (np.asarray(area_m[0], np.float64), np.asarray(area_m[1], np.float64))

    def look(self) -> Seen:
        """See what stands where now. Raises `ValueError` where pictures give no metres."""
        begun = time.monotonic()
        views = tuple(self.robot.views())
        result = self.pipeline.process(views)
        memory, config = self.pipeline.memory, self.planner.config
        unknown = memory.space.cells(Space.UNKNOWN).double().numpy() if config.avoid_unknown else None
        arm, angles = self.planner.arm, self.robot.angles()
        believed = (result, config, result.views.support_height_m, memory.world.objects, unknown)
        scene = motion_scene(*believed)
        if ghosts := in_the_arm(arm, angles, scene):
            scene = motion_scene(*believed, no_objects=ghosts)
        cells = off_the_arm(arm, angles, scene.cells, OWN_MARGIN_M)
        return Seen(result, replace(scene, cells=cells), time.monotonic() - begun, views)

    def find(self, words: str, seen: Seen) -> PromptResult:
        """Find what words mean among what is seen."""
        return resolve_prompt(words, seen.result.panoptic, self.pipeline.namer)

    def fulfil(self, wish: Wish) -> PickReport:
        """Do what was asked for in words; `Outcome.NOT_FOUND` where a part of it is not seen. The arm does not move then."""
        seen, ids = self.look(), []
        for words in filter(None, (wish.what, wish.onto)):
            found = self.find(words, seen)
            if found.best is None:
                return PickReport(0, (Attempt(Outcome.NOT_FOUND, f"{words}: {found.message}", looks_s=seen.seconds),))
            ids.append(found.best.instance_id)
        return self.pick_and_place(ids[0], ids[1] if wish.onto else 0, seen)

    def pick_and_place(self, instance_id: int, onto: int = 0, seen: Seen | None = None) -> PickReport:
        """Bring an object to another place.

        Args:
            instance_id: Of the object, as `look` numbers it.
            onto: The id of what it shall be put on; 0 = a free place on the support.
            seen: The newest look; None = it is looked first.

        Returns:
            What was tried, and how it ended.
        """
        attempts: list[Attempt] = []
        failed: list[GraspTarget] = []
        seen = seen or self.look()
        known = {item.instance_id for item in seen.result.panoptic.segments}
        for _ in range(self.attempts):
            attempt = self._attempt(instance_id, onto, failed, seen)
            attempts.append(attempt)
            if attempt.motion is not None:
                failed.append(attempt.motion.grasp)
            if attempt.outcome not in (Outcome.MISSED, Outcome.LOST, Outcome.NOT_AT_PLACE):
                break
            seen = self.look()
            instance_id = _same_or_newcomer(seen, instance_id, known)
        return PickReport(instance_id, tuple(attempts))

    # --- one attempt -------------------------------------------------------------------------------------------

    def _attempt(self, instance_id: int, onto: int, failed: Sequence[GraspTarget], seen: Seen) -> Attempt:
        plan_s, looks_s = 0.0, 0.0
        for _ in range(REPLANS):
            looks_s += seen.seconds
            begun = time.monotonic()
            found = self._plan(instance_id, onto, seen, failed)
            plan_s += time.monotonic() - begun
            if found.motion is None:
                return replace(found, plan_s=plan_s, looks_s=looks_s)
            before, seen = seen.segment(instance_id), self.look()
            now = seen.segment(instance_id)
            if now is None:
                words = f"object {instance_id} was there when its motion was planned, and is no longer seen"
                return Attempt(Outcome.TARGET_GONE, words, None, plan_s, looks_s + seen.seconds)
            if before is not None and _apart(before.box, now.box) < STILL_M:
                done = self._learnt(self._carry_out(found.motion, instance_id, onto, seen), seen, instance_id)
                return replace(done, plan_s=plan_s, looks_s=looks_s + seen.seconds, rehearsal=found.rehearsal)
        return Attempt(
            Outcome.NO_PATH, f"object {instance_id} moved again and again while it was planned for", None, plan_s, looks_s
        )

    def _learnt(self, done: Attempt, before: Seen, instance_id: int) -> Attempt:
        """The attempt with what it taught, for which it is looked once more; whatever becomes of that, picking goes on."""
        if self.lessons is None:
            return done
        after = None
        try:
            after = self.look()
        except ValueError as error:
            log.warning("nobody could look after a pick: %s", error)
        return learnt(self.lessons, self.pipeline.body, done, before, after, instance_id)

    def _plan(self, instance_id: int, onto: int, seen: Seen, failed: Sequence[GraspTarget]) -> Attempt:
        for wanted in (instance_id, *((onto,) if onto else ())):
            if seen.segment(wanted) is None or all(item.instance_id != wanted for item in seen.scene.objects):
                return Attempt(Outcome.NOT_FOUND, f"object {wanted} is not seen")
        answer = select_grasps(seen.result.panoptic, instance_id, self.pipeline.config.grasp, seen.scene.support_height_m)
        lower_m = self.planner.config.deeper_m
        grasps = [grasp for grasp in answer.targets if all(_other(grasp, bad, lower_m) for bad in failed)]
        if not grasps:
            return Attempt(Outcome.NO_GRASP, answer.message)
        asked = RehearsalRequest(seen.result.panoptic, grasps, seen.scene.support_height_m)
        rehearsal = None if self.rehearse is None else self.rehearse(asked)
        grasps = grasps if rehearsal is None else list(rehearsal.targets)
        if onto:
            places = place_on(seen.scene, instance_id, onto, seen.points(onto))
        else:
            places = free_places(seen.scene, instance_id, self.area_m, self.planner.config)
        task = Task(instance_id, grasps, places, onto)
        plan = self.planner.plan(task, seen.scene, self.robot.angles(), self.robot.rest)
        outcome = Outcome.PLACED if plan.motion is not None else Outcome(plan.reason)
        return Attempt(outcome, plan.message, plan.motion, rehearsal=rehearsal)

    def _carry_out(self, motion: Motion, instance_id: int, onto: int, before: Seen) -> Attempt:
        robot, memory, scene = self.robot, self.pipeline.memory, before.scene
        robot.open_to(motion.grasp.opening_m or robot.max_opening_m)
        robot.follow(motion.approach, "approach")
        robot.follow(motion.enter, "enter")
        left_m = robot.close()
        if left_m < HELD_M:
            return self._retreat(motion, scene, Attempt(Outcome.MISSED, "the gripper closed on nothing", motion, closed_m=left_m))
        memory.hold(instance_id)
        try:
            robot.follow(motion.lift, "lift")
            if robot.opening_m() < HELD_M:
                return self._retreat(
                    motion, scene, Attempt(Outcome.LOST, "it fell out while it was lifted", motion, closed_m=left_m)
                )
            robot.follow(motion.carry, "carry")
            held = robot.opening_m() >= HELD_M
            robot.follow(motion.lower, "lower")
            robot.open_to(motion.grasp.opening_m or robot.max_opening_m)
            robot.follow(motion.leave, "leave")
            robot.follow(motion.retire, "retire")
        finally:
            memory.release(instance_id)
        return replace(self._judged(motion, instance_id, onto, held, before), closed_m=left_m)

    def _judged(self, motion: Motion, instance_id: int, onto: int, held: bool, before: Seen) -> Attempt:
        """Look whether the object is where it was to go."""
        seen = self.look()
        place = _moved(motion)
        others = [item for item in seen.result.panoptic.segments if item.instance_id != onto]
        apart = {item.instance_id: float(np.linalg.norm(_middle(item.box)[:2] - place[:2])) for item in others}
        nearest = min(apart, key=apart.__getitem__, default=0)
        if nearest and apart[nearest] <= AT_PLACE_M:
            return Attempt(Outcome.PLACED, f"it is seen {100 * apart[nearest]:.1f} cm from the middle of its place", motion)
        if (
            held
            and onto
            and instance_id not in apart
            and (higher := _grown(before, seen, place, onto)) > RISEN * _height(before, instance_id)
        ):
            words = f"what is seen at its place is {100 * higher:.1f} cm higher than before: the two are seen as one"
            return Attempt(Outcome.PLACED, words, motion)
        if not held:
            return Attempt(Outcome.LOST, "it fell out while it was carried", motion)
        where = f"it is seen {100 * apart[instance_id]:.0f} cm from its place" if instance_id in apart else "it is not seen"
        return Attempt(Outcome.NOT_AT_PLACE, where, motion)

    def _retreat(self, motion: Motion, scene: MotionScene, attempt: Attempt) -> Attempt:
        """Open, go back out the way that the gripper came, and to where the arm waits."""
        robot = self.robot
        if attempt.outcome is Outcome.MISSED:
            robot.open_to(motion.grasp.opening_m or robot.max_opening_m)
            robot.follow(motion.enter.reversed(), "leave")
        way = self.planner.way(scene, robot.angles(), robot.rest)
        if way is None:
            return replace(attempt, outcome=Outcome.STUCK, message=f"{attempt.message}; no free way back was found")
        robot.follow(way, "retire")
        robot.open_to(robot.max_opening_m)
        return attempt


def _middle(box: OrientedBox) -> Floats:
    middle: Floats = box.world_from_box[:3, 3].double().cpu().numpy()
    return middle


def _apart(first: OrientedBox, second: OrientedBox) -> float:
    return float(np.linalg.norm(_middle(first) - _middle(second)))


def _moved(motion: Motion) -> Floats:
    """(3,) where the middle of the object is to be."""
    place: Floats = motion.world_from_was[:3, :3] @ _middle(motion.grasp.box) + motion.world_from_was[:3, 3]
    return place


def _other(grasp: GraspTarget, failed: GraspTarget, lower_m: float) -> bool:
    """Whether a grasp, as it is offered and as much lower as the planner may take it, is elsewhere than one that failed."""
    way = failed.world_from_grasp[:3, 3] - grasp.world_from_grasp[:3, 3]
    way[2] += (-way[2]).clamp(0.0, lower_m)
    return float(way.norm()) > SAME_GRASP_M


def _same_or_newcomer(seen: Seen, instance_id: int, known: set[int]) -> int:
    """The id under which an object is seen after it fell: its own, or that of the only thing that was not there before."""
    ids = {item.instance_id for item in seen.result.panoptic.segments}
    strangers = ids - known
    return strangers.pop() if instance_id not in ids and len(strangers) == 1 else instance_id


def _height(seen: Seen, instance_id: int) -> float:
    segment = seen.segment(instance_id)
    return 0.0 if segment is None else float(segment.box.size_m[2])


def _top(segment: Segment) -> float:
    return float(segment.box.world_from_box[2, 3] + segment.box.size_m[2] / 2)


def _grown(before: Seen, after: Seen, place: Floats, onto: int) -> float:
    """By how many metres what stands at a place is higher than it was; 0 where nothing is seen there."""
    base = before.segment(onto)
    near = [item for item in after.result.panoptic.segments if np.linalg.norm(_middle(item.box)[:2] - place[:2]) < AT_PLACE_M]
    return 0.0 if base is None or not near else max(0.0, max(map(_top, near)) - _top(base))
