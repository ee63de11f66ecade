"""What a rehearsal of grasps is asked and answers; who has physics does it (`pan3d_sim.rehearsal`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pan3d_core.config import GraspConfig
from pan3d_core.structures import GraspTarget, Panoptic3D

WIDER_TILT_DEG = 85.0
WIDER_CLEARANCE_M = 0.006


@dataclass(frozen=True)
class RehearsedGrasp:
    """A grasp and what became of it in the twins."""

    grasp: GraspTarget
    trials: int
    lifted: int  # of these
    clean: int  # of the lifted, those in which no neighbour moved or came along
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


class Rehearser(Protocol):
    """Tries grasps of one object before anything moves."""

    def __call__(
        self, panoptic: Panoptic3D, targets: Sequence[GraspTarget], support_height_m: float | None
    ) -> Rehearsal:
        """Put grasps in the order in which they should be tried.

        Args:
            panoptic: What is perceived, metric.
            targets: Of one object, best first; none of them is left out of the answer.
            support_height_m: World z of what objects stand on; None = unknown, and nothing can be tried.
        """


def wider_search(config: GraspConfig, candidates: int) -> GraspConfig:
    """Ask for more grasps, and for such as the planner alone would not dare: closer to neighbours, and flatter.

    Args:
        config: Of the planner.
        candidates: Most grasps returned.

    Returns:
        Settings of a search whose grasps are to be rehearsed before one is taken.
    """
    return replace(
        config,
        collision_margin_m=0.0,
        max_tilt_deg=max(config.max_tilt_deg, WIDER_TILT_DEG),
        clearance_m=min(config.clearance_m, WIDER_CLEARANCE_M),
        num_pairs=2 * config.num_pairs,
        num_directions=round(1.5 * config.num_directions),
        max_targets=candidates,
    )
