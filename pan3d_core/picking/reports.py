"""What a picker saw, tried and came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from pan3d_core.grasping.rehearsal import Rehearsal
from pan3d_core.lessons import Lesson
from pan3d_core.motion import Motion, MotionScene
from pan3d_core.structures import CameraView, PerceptionResult, Segment

Floats = npt.NDArray[np.float64]


class Outcome(str, Enum):
    """How it went."""

    PLACED = "placed"  # seen where it was to go
    NOT_FOUND = "not_found"  # nothing that is seen is meant
    NOT_METRIC = "not_metric"  # pictures without metres: nothing may move by them
    NO_GRASP = "no_grasp"  # the gripper does not fit
    UNREACHABLE = "unreachable"  # the arm gets to none of the grasps
    BLOCKED = "blocked"  # it would touch something at each
    NO_PLACE = "no_place"  # there is none that the arm reaches
    NO_PATH = "no_path"  # no free way was found in time; the arm did not move
    TARGET_GONE = "target_gone"  # it was there, and is no longer; the arm did not move
    MISSED = "missed"  # the gripper closed on nothing
    LOST = "lost"  # it was held and fell out
    NOT_AT_PLACE = "not_at_place"  # it was let go, and is not seen where it was to be
    STUCK = "stuck"  # the arm found no free way back and stays where it is


MOVED_NOTHING = frozenset(
    {Outcome.NOT_FOUND, Outcome.NOT_METRIC, Outcome.NO_GRASP, Outcome.UNREACHABLE, Outcome.BLOCKED, Outcome.NO_PLACE}
    | {Outcome.NO_PATH, Outcome.TARGET_GONE}
)


@dataclass(frozen=True)
class Attempt:
    """One time that the gripper closed, or the reason that it did not."""

    outcome: Outcome
    message: str
    motion: Motion | None = None  # what was done, or begun
    plan_s: float = 0.0
    looks_s: float = 0.0
    rehearsal: Rehearsal | None = None  # of the grasps, where there was one
    closed_m: float | None = None  # that was left between the pads when they had closed; None = they did not
    lesson: Lesson | None = None  # what was learnt of it; None = nothing was to be learnt, or it could not be written


@dataclass(frozen=True)
class PickReport:
    """What became of one wish."""

    instance_id: int
    attempts: tuple[Attempt, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Of the last attempt."""
        return self.attempts[-1].outcome

    @property
    def message(self) -> str:
        """Of the last attempt, in words."""
        return self.attempts[-1].message

    @property
    def closings(self) -> int:
        """How often the arm went for it."""
        return sum(attempt.outcome not in MOVED_NOTHING for attempt in self.attempts)


@dataclass(frozen=True)
class Seen:
    """A look at the table."""

    result: PerceptionResult
    scene: MotionScene
    seconds: float
    views: tuple[CameraView, ...] = ()  # as the robot gave them

    def segment(self, instance_id: int) -> Segment | None:
        """An object that is seen now; None = it is not."""
        return next((item for item in self.result.panoptic.segments if item.instance_id == instance_id), None)

    def points(self, instance_id: int) -> Floats:
        """(N, 3) metres, world: what is seen of an object."""
        panoptic = self.result.panoptic
        points: Floats = panoptic.points[panoptic.point_instance_id == instance_id].double().cpu().numpy()
        return points
