"""Grasps tried in twins of the perceived scene, round after round, until the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

import numpy as np

from pan3d_core.config import GripperConfig, RehearsalConfig
from pan3d_core.grasping.rehearsal import Rehearsal, RehearsalRequest, RehearsedGrasp, not_rehearsed
from pan3d_core.structures import GraspTarget, Panoptic3D
from pan3d_sim.cell.execution import CLEAN_DEG, CLEAN_M, Programme, TrialResult
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.grippers import hand_of
from pan3d_sim.rehearsal.perceived import (
    ALTERNATIVES,
    PARTS_OF_OTHERS,
    PARTS_OF_TARGET,
    Unseen,
    perceived_objects,
)
from pan3d_sim.rehearsal.twin import Twin, twin_model

SHORT = Programme(approach_s=0.4, close_s=0.4, lift_s=0.6, lift_m=0.10, shakes=0, hold_s=0.1)
MOST_SHIFT_M = 0.010  # that is drawn
LIFTED_VALUE = 0.3  # of a trial that lifted the object and moved others, beside 1 of a clean one
PRIOR_TRIALS = 0.3  # the planner's score counts like so many trials
LEAST_GOING_ON = 3  # grasps that are tried in the next round, at least
Clock = Callable[[], float]


@dataclass
class _Tally:
    """What became of one grasp so far."""

    grasp: GraspTarget
    results: list[TrialResult] = field(default_factory=list)

    @property
    def worth(self) -> float:
        """Mean value of its trials, among which the planner's word counts."""
        values = [_value(item) for item in self.results]
        return (sum(values) + PRIOR_TRIALS * self.grasp.score) / (len(values) + PRIOR_TRIALS)

    def told(self) -> RehearsedGrasp:
        """The same for others."""
        lifted, clean = (
            [item for item in self.results if item.lifted],
            [item for item in self.results if item.details.get("clean")],
        )
        failures = tuple(dict.fromkeys(item.failure for item in self.results if not item.lifted))
        return RehearsedGrasp(self.grasp, len(self.results), len(lifted), len(clean), self.worth, failures)


def _value(result: TrialResult) -> float:
    """1 for an object lifted without moving others; what moves a little in the twin may move a lot in the world."""
    if not result.lifted:
        return 0.0
    told = result.details
    moved = max(told["disturbance_m"] / CLEAN_M, told["disturbance_deg"] / CLEAN_DEG, float(told["co_lifted"] > 0))
    return 1.0 - (1.0 - LIFTED_VALUE) * min(moved, 1.0)


class GraspRehearser:
    """Tries grasps in a physics twin; see `pan3d_core.grasping.rehearsal.Rehearser`. For one thread at a time.

    Args:
        config: Time, rounds and what is drawn.
        gripper: Shape of the hand.
        clock: Seconds by which the budget counts; a benchmark on a machine that others use may count processor time instead.
    """

    def __init__(
        self, config: RehearsalConfig | None = None, gripper: GripperConfig | None = None, clock: Clock = time.monotonic
    ) -> None:
        self.config, self.clock = config or RehearsalConfig(), clock
        self.hand = hand_of(gripper or GripperConfig())

    def __call__(self, request: RehearsalRequest) -> Rehearsal:
        """Try grasps of one object, those that survive more often than others in further twins.

        Args:
            request: The grasps, and what is around the object.

        Returns:
            All of them, those that survived most first.
        """
        begun, targets, support_height_m = self.clock(), request.targets, request.support_height_m
        problem = _unable(targets, support_height_m)
        if problem or support_height_m is None:
            return not_rehearsed(targets, problem)
        ends = begun + min(self.config.budget_s, np.inf if request.budget_s is None else request.budget_s)
        rounds = _Rounds(self, request.panoptic, targets[0].instance_id, support_height_m, ends)
        if rounds.problem:
            return not_rehearsed(targets, rounds.problem)
        tallies = [_Tally(grasp) for grasp in targets]
        complete = rounds.run(tallies[: self.config.candidates])
        order = sorted(tallies, key=lambda tally: (not tally.results, -tally.worth))
        trials = sum(len(tally.results) for tally in tallies)
        return Rehearsal(tuple(tally.told() for tally in order), trials, self.clock() - begun, complete)

    def twins(self, panoptic: Panoptic3D, instance_id: int, support_height_m: float) -> list[tuple[Unseen, Twin]]:
        """Build one twin for each way in which unseen sides may go on, with every object where it was seen.

        Args:
            panoptic: What is perceived, metric.
            instance_id: The object to hold, number 0 in each twin.
            support_height_m: World z of what objects stand on.

        Returns:
            The twins; none where too few points of the object were seen.
        """
        rounds = _Rounds(self, panoptic, instance_id, support_height_m, np.inf)
        return [] if rounds.problem else [(unseen, rounds.placed(unseen, drawn=False)[0].cell) for unseen in ALTERNATIVES]


def _unable(targets: Sequence[GraspTarget], support_height_m: float | None) -> str:
    if not targets:
        return "there is no grasp to try"
    if support_height_m is None:
        return "the height of the support is not known"
    if len({target.instance_id for target in targets}) > 1:
        raise ValueError(f"targets: expected grasps of one object, got {sorted({item.instance_id for item in targets})}")
    return ""


class _Rounds:
    """The state of one rehearsal."""

    def __init__(
        self, rehearser: GraspRehearser, panoptic: Panoptic3D, instance_id: int, support_height_m: float, ends: float
    ) -> None:
        self.config, self.clock, self.hand = rehearser.config, rehearser.clock, rehearser.hand
        self.support_height_m, self.ends = support_height_m, ends
        self.objects = perceived_objects(panoptic, instance_id, support_height_m)
        seen = bool(self.objects) and self.objects[0].instance_id == instance_id
        self.problem = "" if seen else "too few points of the object were seen"
        self.rng = np.random.default_rng(self.config.seed)
        self.longest_s = {"trial": 0.0, "twin": 0.0}
        self._trials: dict[Unseen, list[GraspTrials[Twin]]] = {}

    def run(self, tallies: list[_Tally]) -> bool:
        """Try grasps in twin after twin; False when the time was over before the last."""
        with ThreadPoolExecutor(self.config.threads) as pool:
            for number in range(self.config.rounds):
                if not self._time_for("twin"):
                    return False
                begun = self.clock()
                free: SimpleQueue[GraspTrials[Twin]] = SimpleQueue()
                for trials in self.placed(ALTERNATIVES[number % len(ALTERNATIVES)], drawn=number > 0):
                    free.put(trials)
                self._took("twin", begun)
                if not all(list(pool.map(partial(self._try, free), tallies))):
                    return False
                count = max(LEAST_GOING_ON, (len(tallies) + 1) // 2)
                tallies = sorted(tallies, key=lambda tally: -tally.worth)[:count]
        return True

    def placed(self, unseen: Unseen, *, drawn: bool) -> list[GraspTrials[Twin]]:
        """As many twins in the same state as there are threads; with `drawn`, objects stand a little elsewhere than seen."""
        if unseen not in self._trials:
            self._trials[unseen] = self._built(unseen)
        first, *others = (trials.cell for trials in self._trials[unseen])
        shifts = self._shifts() if drawn else np.zeros((len(self.objects), 3))
        first.place(shifts, SHORT.total_s)
        for other in others:
            other.restore(first.save())
        return self._trials[unseen]

    def _try(self, free: SimpleQueue[GraspTrials[Twin]], tally: _Tally) -> bool:
        """One trial, if there is time for it."""
        if not self._time_for("trial"):
            return False
        begun, trials = self.clock(), free.get()
        try:
            tally.results.append(trials.execute(tally.grasp, target=0))
        finally:
            free.put(trials)
        self._took("trial", begun)
        return True

    def _time_for(self, what: str) -> bool:
        return self.clock() + self.longest_s[what] <= self.ends

    def _took(self, what: str, begun: float) -> None:
        self.longest_s[what] = max(self.longest_s[what], self.clock() - begun)

    def _built(self, unseen: Unseen) -> list[GraspTrials[Twin]]:
        most = [PARTS_OF_TARGET if index == 0 else PARTS_OF_OTHERS for index in range(len(self.objects))]
        parts = [item.parts(unseen, at_most) for item, at_most in zip(self.objects, most)]
        model = twin_model(parts, self.hand, self.support_height_m)
        return [GraspTrials(Twin(model, self.hand, parts, self.support_height_m), SHORT) for _ in range(self.config.threads)]

    def _shifts(self) -> np.ndarray:
        """(N, 3) metres by which objects stand elsewhere than they were seen."""
        spread = self.config.place_sigmas**2
        drawn = [self.rng.multivariate_normal(np.zeros(3), spread * item.covariance) for item in self.objects]
        return np.clip(np.array(drawn), -MOST_SHIFT_M, MOST_SHIFT_M)
