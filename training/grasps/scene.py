"""Trials of one seeded scene: what planners would be given of it, grasps good and bad, and what physics says of each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from pan3d_core.config import GraspConfig, ModelConfig, PipelineConfig, WorkspaceConfig
from pan3d_core.engines import build_engine
from pan3d_core.grasping.answers import best_apart
from pan3d_core.grasping.contacts import find_pairs
from pan3d_core.grasping.hand_views import HandViews, hand_views
from pan3d_core.grasping.hands import Hands, contact_of
from pan3d_core.grasping.object_cloud import ObjectCloud, build_object_cloud
from pan3d_core.grasping.placing import MIN_SCORE, place_hands
from pan3d_core.grasping.scoring import hand_scores
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import GraspTarget
from pan3d_sim.cameras.depth_sensors import DEPTH_SENSORS
from pan3d_sim.cell.arrangement import ARRANGEMENTS
from pan3d_sim.cell.execution import Programme, TrialResult
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.motion import rotation
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.clouds import SceneCloud, cloud_from_views, ids_of_objects, true_cloud
from pan3d_sim.library.bank import ObjectLibrary

log = logging.getLogger("pan3d.training.grasps")

QUICK = Programme(approach_s=0.4, close_s=0.4, lift_s=0.5, lift_m=0.10, shakes=2, hold_s=0.1, steps_at_once=2, ends_empty=True)
TIMESTEP_S = 0.004
ARRANGED = dict(zip(ARRANGEMENTS, (0.3, 0.4, 0.3)))  # separated, pile, packed
OBJECTS = (4, 8)  # of a scene, fewest and most
MODEL_SHARES = (0.0, 0.5, 1.0)  # of modelled objects, one of these in each scene
INPUTS = ("true", "views", "colour")
BEST, ANY, MOVED = range(3)  # how a grasp was chosen
CHOSEN = (5, 8, 5)  # grasps of each of these, of an object in an input
MOVED_M, MOVED_DEG = 0.006, 8.0  # standard deviations, times one of
MOVED_TIMES = (0.5, 1.0, 4.0)
OUTCOMES = ("none", "collision", "missed", "slipped", "wrong_object")


@dataclass(frozen=True)
class SceneTrials:
    """T trials of one scene."""

    views: HandViews
    clean: np.ndarray  # (T,) bool: lifted, and nothing else moved or came along
    outcome: np.ndarray  # (T,) uint8, of `OUTCOMES`
    disturbed_m: np.ndarray  # (T,) float32: how far a neighbour was moved
    disturbed_deg: np.ndarray  # (T,) float32: how far it was turned
    given: np.ndarray  # (T,) uint8, of `INPUTS`
    target: np.ndarray  # (T,) uint8, index of the object
    chosen: np.ndarray  # (T,) uint8: `BEST`, `ANY` or `MOVED`


class SceneMaker:
    """Makes trials, scene by scene; the same seed gives the same ones.

    Args:
        models: Modelled objects of the training split; None = procedural ones alone.
        inputs: What planners are given, some of `INPUTS`.
        config: Settings of the search.

    Raises:
        ValueError: The models are held-out ones, or an input is unknown.
    """

    def __init__(self, models: ObjectLibrary | None, inputs: tuple[str, ...] = INPUTS, config: GraspConfig | None = None) -> None:
        if models is not None and models.split != "train":
            raise ValueError(f"models: expected those of the training split, got {models.split}")
        if unknown := set(inputs) - set(INPUTS):
            raise ValueError(f"inputs: expected some of {', '.join(INPUTS)}, got {', '.join(sorted(unknown))}")
        self.models, self.inputs, self.config = models, inputs, config or GraspConfig()
        colour = PipelineConfig(workspace=WorkspaceConfig(support_height_m=0.0))
        self._pipeline = PerceptionPipeline(build_engine(ModelConfig()), colour) if "colour" in inputs else None

    def trials(self, seed: int) -> list[SceneTrials]:
        """Make the trials of one scene, by input and object.

        Args:
            seed: Decides everything.

        Returns:
            The trials; none where the objects do not come to rest or nothing can be held.
        """
        rng = np.random.default_rng([seed, 91])
        cell = self._cell(seed, rng)
        if cell is None:
            return []
        with cell:
            looks = {name: self._look(name, cell, rng) for name in self.inputs}
            cell.let_rest_sleep(TIMESTEP_S)
            tried = GraspTrials(cell, QUICK)
            return [part for name, cloud in looks.items() for part in self._of_input(name, cloud, tried, rng)]

    def _cell(self, seed: int, rng: np.random.Generator) -> RobotCell | None:
        arrangement = str(rng.choice(list(ARRANGED), p=list(ARRANGED.values())))
        share = float(rng.choice(MODEL_SHARES))
        number = int(rng.integers(OBJECTS[0], OBJECTS[1] + 1))
        models = self.models if share else None
        try:
            return RobotCell(seed, arrangement=arrangement, num_objects=number, models=models, model_share=share)
        except RuntimeError as error:
            log.info("%s", error)
            return None

    def _look(self, name: str, cell: RobotCell, rng: np.random.Generator) -> SceneCloud:
        if name == "true":
            return true_cloud(cell)
        if self._pipeline is None or name == "views":
            return cloud_from_views(cell, DEPTH_SENSORS[str(rng.choice(list(DEPTH_SENSORS)))])
        result = self._pipeline.fresh().process(cell.views(depth=False))
        return SceneCloud(result.panoptic, ids_of_objects(cell, result.panoptic), result.is_metric)

    def _of_input(
        self, name: str, cloud: SceneCloud, tried: GraspTrials[RobotCell], rng: np.random.Generator
    ) -> Iterator[SceneTrials]:
        if not cloud.is_metric:
            return
        for index, instance_id in sorted(cloud.id_of_object.items()):
            own = build_object_cloud(cloud.panoptic, instance_id, tried.cell.support_height_m)
            if len(own.points) == 0:
                continue
            hands, views, chosen = candidates(own, self.config, rng)
            targets = [_target(hands, row, cloud, instance_id, self.config) for row in range(len(hands))]
            results = [tried.execute(target, target=index) for target in targets]
            rows = np.array([k for k, result in enumerate(results) if result.failure in OUTCOMES], int)
            if len(rows):
                given = (INPUTS.index(name), index)
                yield _told(views[rows], [results[k] for k in rows], given, chosen[rows])


def candidates(cloud: ObjectCloud, config: GraspConfig, rng: np.random.Generator) -> tuple[Hands, HandViews, np.ndarray]:
    """Choose grasps to try: the best ones apart from each other, any that were settled, and some that are moved a little.

    Args:
        cloud: The object and what is around it.
        config: Settings of the search.
        rng: Source of all chance.

    Returns:
        K hands, what each has before it, and (K,) how each was chosen.
    """
    placed = place_hands(find_pairs(cloud, config)[0], cloud, config)
    hands, scores = placed.hands, placed.scores
    best = best_apart(hands.position, hands.rotation[:, :, 2], hands.rotation[:, :, 0], scores, MIN_SCORE, config.max_targets)
    first = best[: CHOSEN[BEST] // 2]
    first += list(rng.permutation(best[len(first) :])[: CHOSEN[BEST] - len(first)])
    others = rng.permutation(np.setdiff1d(np.arange(len(hands)), first))[: CHOSEN[ANY]]
    moved = rng.permutation(len(hands))[: CHOSEN[MOVED]]
    rows = np.concatenate([first, others, moved]).astype(int)
    chosen = np.repeat([BEST, ANY, MOVED], [len(first), len(others), len(moved)]).astype(np.uint8)
    hands = _shaken(hands[rows], chosen == MOVED, rng)
    contact = contact_of(hands, cloud, config)
    scores = hand_scores(hands, contact, cloud, config.gripper)
    return hands, hand_views(hands, contact, scores, cloud, config.gripper), chosen


def _shaken(hands: Hands, which: np.ndarray, rng: np.random.Generator) -> Hands:
    """The hands, some of them elsewhere and turned."""
    position, turned = hands.position.copy(), hands.rotation.copy()
    for row in np.flatnonzero(which):
        times, axis = rng.choice(MOVED_TIMES), rng.normal(size=3)
        position[row] += times * rng.normal(0, MOVED_M, 3)
        angle = times * np.radians(rng.normal(0, MOVED_DEG))
        turned[row] = rotation(axis / np.linalg.norm(axis), angle) @ turned[row]
    return replace(hands, position=position.astype(np.float32), rotation=turned.astype(np.float32))


def _target(hands: Hands, row: int, cloud: SceneCloud, instance_id: int, config: GraspConfig) -> GraspTarget:
    pose = torch.eye(4)
    pose[:3, :3], pose[:3, 3] = torch.from_numpy(hands.rotation[row]), torch.from_numpy(hands.position[row])
    opening = float(min(hands.opening[row], config.gripper.max_width_m))
    box = cloud.panoptic.segment(instance_id).box
    return GraspTarget(instance_id, -1, 0.0, pose, opening, config.approach_distance_m, box, opening_m=opening)


def _told(views: HandViews, results: list[TrialResult], given: tuple[int, int], chosen: np.ndarray) -> SceneTrials:
    def column(name: str) -> np.ndarray:
        return np.array([result.details[name] for result in results], np.float32)

    count = len(results)
    return SceneTrials(
        views,
        column("clean") > 0,
        np.array([OUTCOMES.index(result.failure) for result in results], np.uint8),
        column("disturbance_m"),
        column("disturbance_deg"),
        np.full(count, given[0], np.uint8),
        np.full(count, given[1], np.uint8),
        chosen,
    )
