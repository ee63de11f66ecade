"""Grasps that are rehearsed in a twin of what is perceived before one is taken."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from pan3d_core.config import GraspConfig, RehearsalConfig
from pan3d_core.grasping.planner import GraspResult, select_grasps
from pan3d_core.grasping.rehearsal import RehearsalRequest, RehearsedGrasp, rehearse_objects
from pan3d_core.structures import GraspTarget
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.clouds import SceneCloud
from pan3d_sim.rehearsal.trials import GraspRehearser
from pan3d_tools.bench.grasp.attempts import NO_GRASP, Planner


class RehearsedPlanning:
    """The product's planner, and a rehearsal of what it finds.

    The time counts as processor time over the number of threads, so that a machine that others use, too, gives the same figures.

    Args:
        config: Time and rounds.
        grasp: Settings of the search, and the gripper.
    """

    def __init__(self, config: RehearsalConfig, grasp: GraspConfig) -> None:
        self.config = config
        self.rehearser = GraspRehearser(config, grasp.gripper, lambda: time.process_time() / config.threads)
        self._search = replace(grasp, max_targets=config.candidates)

    def plan(self, cloud: SceneCloud, instance_id: int, support_height_m: float) -> tuple[GraspTarget | None, str]:
        """The grasp that survives most."""
        found = self._found(cloud, instance_id, support_height_m)
        if not found.targets:
            return None, f"{NO_GRASP}: {found.reason}"
        return _scored(self.rehearser(RehearsalRequest(cloud.panoptic, found.targets, support_height_m)).grasps[0]), "found"

    def choose(self, cell: RobotCell, cloud: SceneCloud, planner: Planner, waiting: Sequence[int]) -> dict[int, GraspTarget]:
        """The best grasps of the objects that were rehearsed, all within the time of one rehearsal; `planner` is this one."""
        index_of = {cloud.id_of_object[index]: index for index in waiting}
        height_m = cell.config.support_height_m
        targets = {key: self._found(cloud, key, height_m).targets for key in index_of}
        rehearsed = rehearse_objects(self.rehearser, cloud.panoptic, targets, height_m, self.config.budget_s)
        return {index_of[key]: _scored(rehearsal.grasps[0]) for key, rehearsal in rehearsed.items()}

    def _found(self, cloud: SceneCloud, instance_id: int, support_height_m: float) -> GraspResult:
        return select_grasps(cloud.panoptic, instance_id, self._search, support_height_m, is_metric=cloud.is_metric)


def _scored(rehearsed: RehearsedGrasp) -> GraspTarget:
    """The grasp with the rehearsal's word in the place of the planner's."""
    return replace(rehearsed.grasp, score=rehearsed.worth)
