"""What a rehearsal of grasps is asked and answers; who has physics does it (`pan3d_sim.rehearsal`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pan3d_core.structures import GraspTarget, Panoptic3D

SHARE_OF_ONE, LEAST_SHARE = 0.4, 0.1  # of the time, when several objects are rehearsed
SURE = 0.85  # worth from which no other object is looked at


@dataclass(frozen=True)
class RehearsedGrasp:
    """A grasp and what became of it in the twins."""

    grasp: GraspTarget
    trials: int
    lifted: int  # of these
    clean: int  # of the lifted, those in which no neighbour moved or came along
    worth: float = 0.0  # 0..1: how trials went on the mean, less where neighbours moved a little, with the planner's word
    failures: tuple[str, ...] = ()  # of the others, why, once each

    @property
    def survived(self) -> float:
        """Share of the trials after which it hung in the hand and nothing else had moved; 0 of no trials."""
        return self.clean / self.trials if self.trials else 0.0


@dataclass(frozen=True)
class Rehearsal:
    """Grasps in the order in which they should be tried, and how that was found out."""

    grasps: tuple[RehearsedGrasp, ...]  # best first
    trials: int
    seconds: float
    complete: bool  # False: the time was over before all rounds were
    problem: str = ""  # why nothing could be tried; empty = something was

    @property
    def targets(self) -> tuple[GraspTarget, ...]:
        """The grasps alone, best first."""
        return tuple(item.grasp for item in self.grasps)

    @property
    def message(self) -> str:
        """How it went, in words."""
        if self.problem:
            return f"not rehearsed: {self.problem}"
        words = f"{self.trials} trials of {sum(item.trials > 0 for item in self.grasps)} grasps in {self.seconds:.1f} s"
        words += "" if self.complete else ", until the time was over"
        if not self.grasps or not self.grasps[0].trials:
            return f"{words}; none was tried to the end"
        best = self.grasps[0]
        told = f"the best one held in {best.lifted} of {best.trials}, in {best.clean} without moving anything else"
        return f"{words}; {told}"


@dataclass(frozen=True)
class RehearsalRequest:
    """Which grasps are to be put in the order in which they should be tried."""

    panoptic: Panoptic3D  # what is perceived, metric
    targets: Sequence[GraspTarget]  # of one object, best first; none of them is left out of the answer
    support_height_m: float | None  # world z of what objects stand on; None = unknown, and nothing can be tried
    budget_s: float | None = None  # time at most, if it is less than what is set


Rehearser = Callable[[RehearsalRequest], Rehearsal]  # tries grasps of one object before anything moves


def not_rehearsed(targets: Sequence[GraspTarget], problem: str) -> Rehearsal:
    """Answer without a trial.

    Args:
        targets: Best first.
        problem: Why there was none, in words.

    Returns:
        The grasps in the order in which they came.
    """
    return Rehearsal(tuple(RehearsedGrasp(grasp, 0, 0, 0) for grasp in targets), 0, 0.0, False, problem)


def rehearse_objects(
    rehearser: Rehearser,
    panoptic: Panoptic3D,
    targets: Mapping[int, Sequence[GraspTarget]],
    support_height_m: float | None,
    budget_s: float,
) -> dict[int, Rehearsal]:
    """Rehearse grasps of several objects, to take the one first that can be taken without moving others.

    Args:
        rehearser: Tries the grasps of one object.
        panoptic: What is perceived, metric.
        targets: Of each object by its id, best first.
        support_height_m: World z of what objects stand on; None = unknown.
        budget_s: Time for all together.

    Returns:
        By id, the object whose best grasp is worth most first: objects in the order of the planner's score, until one is sure or
        the time is over.
    """
    found: dict[int, Rehearsal] = {}
    left_s = budget_s
    for key in sorted((key for key in targets if targets[key]), key=lambda key: -targets[key][0].score):
        if left_s < LEAST_SHARE * budget_s:
            break
        budget = min(left_s, SHARE_OF_ONE * budget_s)
        found[key] = rehearser(RehearsalRequest(panoptic, targets[key], support_height_m, budget))
        left_s -= found[key].seconds
        if found[key].grasps[0].worth >= SURE:
            break
    return dict(sorted(found.items(), key=lambda item: -item[1].grasps[0].worth))
