"""Grasps of a cell's objects, tried in physics: each where it lies, or one after another until all are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pan3d_core.config import GraspConfig, GripperConfig
from pan3d_core.grasping.planner import select_grasps
from pan3d_core.pictures.files import write_moving
from pan3d_core.structures import GraspTarget
from pan3d_sim.cell.arrangement import fallen
from pan3d_sim.cell.execution import CLEAN_DEG, CLEAN_M
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.clouds import Look, SceneCloud

NO_GRASP, NOT_SEEN = "no grasp", "not seen"
MORE_ATTEMPTS = 3  # than objects: then a table counts as not cleared
CALM_S = 1.5  # after the hand let go
FILM_RATE = 1.5  # phases per second
Planner = Callable[[SceneCloud, int, float], tuple[GraspTarget | None, str]]
Chooser = Callable[[RobotCell, SceneCloud, Planner, Sequence[int]], dict[int, GraspTarget]]  # by index in `cell.objects`


@dataclass(frozen=True)
class Attempt:
    """What became of one object."""

    seed: int
    name: str
    kind: str
    outcome: str  # "none" = lifted; a failure of `TrialResult`; "no grasp: <reason>"; "not seen"
    clean: bool = False  # lifted, and no neighbour moved or came along
    plan_s: float = 0.0  # of processor time
    score: float = 0.0  # that the planner gave it
    hit: str = ""  # what a collision was with: support, neighbour or target
    disturbed: bool = False  # a neighbour moved or came along
    contact_depth_m: float = 0.0  # deepest dent of a pad

    @property
    def executed(self) -> bool:
        """Whether there was a grasp to try."""
        return not self.outcome.startswith((NO_GRASP, NOT_SEEN))


@dataclass(frozen=True)
class Clearing:
    """How one table was cleared."""

    seed: int
    objects: int
    cleared: int
    attempts: int
    ended: str  # "cleared", "no grasp", "fallen" or "attempts"
    clean: int = 0  # of the attempts, those that lifted their object and moved no other


def attempt_all(cell: RobotCell, cloud: SceneCloud, planner: Planner, films: Path | None = None) -> list[Attempt]:
    """Try one grasp of every object on the table, each from the same state of the cell.

    Args:
        cell: Is put back after every attempt.
        cloud: Of the cell, all that the planner knows.
        planner: Gives the grasp, or the reason why there is none.
        films: Folder for a film of every attempt that did not lift its object; None = none are made.

    Returns:
        One for each object on the table.
    """
    attempts, trials = [], GraspTrials(cell)
    for index, obj in enumerate(cell.objects):
        if index in cell.removed:
            continue
        grasp, reason, plan_s = _planned(cell, cloud, planner, index)
        if grasp is None:
            attempts.append(Attempt(cell.seed, obj.name, obj.kind, reason, plan_s=plan_s))
        else:
            attempts.append(_executed(trials, grasp, index, plan_s, films))
    return attempts


def clear_table(cell: RobotCell, look: Look, planner: Planner, choose: Chooser | None = None) -> Clearing:
    """Take the best grasp of any object, again and again, looking anew each time.

    An object that was not lifted is left alone until another one was. What falls off the table, or is lifted in another's place,
    is not cleared.

    Args:
        cell: Is left as it then is.
        look: Gives the cloud of what is there.
        planner: Gives grasps.
        choose: Gives the grasps of which the one with the best score is taken; None = one of each object that is left.

    Returns:
        What was cleared with how many attempts.
    """
    trials, failed = GraspTrials(cell), set[int]()
    present = len(cell.objects) - len(cell.removed)
    cleared, clean, attempts, ended = 0, 0, 0, "attempts"
    while attempts < present + MORE_ATTEMPTS:
        if len(cell.removed) == len(cell.objects):
            ended = "cleared" if cleared == present else "fallen"
            break
        cloud = look(cell)
        waiting = [index for index in cloud.id_of_object if index not in cell.removed | failed]
        grasps = (choose or _each)(cell, cloud, planner, waiting)
        if not grasps:
            ended = NO_GRASP
            break
        best = max(grasps, key=lambda index: grasps[index].score)
        result = trials.execute(grasps[best], target=best, restore=False)
        lifted = result.lifted
        attempts += 1
        clean += result.details.get("clean", 0.0) > 0
        cleared += lifted
        failed = set() if lifted else failed | {best}
        if lifted:
            cell.remove(best)
        _let_go(cell)
    return Clearing(cell.seed, present, cleared, attempts, ended, clean)


def _each(cell: RobotCell, cloud: SceneCloud, planner: Planner, waiting: Sequence[int]) -> dict[int, GraspTarget]:
    """The planner's grasp of every object that it has one for."""
    planned = {index: _planned(cell, cloud, planner, index)[0] for index in waiting}
    return {index: grasp for index, grasp in planned.items() if grasp is not None}


def _let_go(cell: RobotCell) -> None:
    """Take the hand away and let everything come to rest."""
    cell.hand.park(cell.data)
    cell.step(CALM_S)
    for index in fallen(cell.data, cell.bodies, support_height_m=cell.config.support_height_m):
        if index not in cell.removed:
            cell.remove(index)


def _planned(cell: RobotCell, cloud: SceneCloud, planner: Planner, index: int) -> tuple[GraspTarget | None, str, float]:
    """The grasp of an object or the reason why there is none, and the processor time that it took."""
    if index not in cloud.id_of_object:
        return None, NOT_SEEN, 0.0
    start = time.process_time()
    grasp, reason = planner(cloud, cloud.id_of_object[index], cell.config.support_height_m)
    return grasp, reason, time.process_time() - start


def _executed(trials: GraspTrials[RobotCell], grasp: GraspTarget, index: int, plan_s: float, films: Path | None) -> Attempt:
    cell, pictures = trials.cell, list[np.ndarray]()

    def show(_: str) -> None:
        pictures.append(cell.picture(cell.overview_camera()))

    obj, result = cell.objects[index], trials.execute(grasp, target=index, observe=None if films is None else show)
    if films is not None and pictures and not result.lifted:
        write_moving(films / f"{cell.seed}-{obj.name.replace(' ', '-')}-{result.failure}.gif", iter(pictures), FILM_RATE)
    told = result.details
    moved = told.get("disturbance_m", 0.0) > CLEAN_M or told.get("disturbance_deg", 0.0) > CLEAN_DEG
    return Attempt(
        cell.seed,
        obj.name,
        obj.kind,
        result.failure,
        clean=told.get("clean", 0.0) > 0,
        plan_s=plan_s,
        score=grasp.score,
        hit=next((key[4:] for key, value in told.items() if key.startswith("hit_") and value), ""),
        disturbed=moved or told.get("co_lifted", 0.0) > 0,
        contact_depth_m=told.get("contact_depth_m", 0.0),
    )


def plan_pan3d(
    cloud: SceneCloud, instance_id: int, support_height_m: float, config: GraspConfig | None = None
) -> tuple[GraspTarget | None, str]:
    """The best grasp of the product's planner."""
    result = select_grasps(cloud.panoptic, instance_id, config, support_height_m, is_metric=cloud.is_metric)
    return (result.targets[0], "found") if result.targets else (None, f"{NO_GRASP}: {result.reason}")


def plan_obb(cloud: SceneCloud, instance_id: int, support_height_m: float) -> tuple[GraspTarget | None, str]:
    """Baseline: straight down at the centre of the box, across its shorter horizontal side, without any look at collisions."""
    box = cloud.panoptic.segment(instance_id).box
    width = float(box.size_m[1])
    if not cloud.is_metric:
        return None, f"{NO_GRASP}: not_metric"
    if width > 0.08:
        return None, f"{NO_GRASP}: too_wide"
    pose = box.world_from_box.clone()
    closing, down = box.world_from_box[:3, 1], torch.tensor([0.0, 0.0, -1.0])
    pose[:3, :3] = torch.stack([closing, torch.linalg.cross(down, closing), down], dim=1)
    top = float(box.world_from_box[2, 3] + box.size_m[2] / 2)
    pose[2, 3] = max(top - 0.025, support_height_m + 0.013)
    return GraspTarget(instance_id, -1, 0.5, pose, min(width + 0.02, 0.08), 0.10, box), "found"


def plan_box_top(cloud: SceneCloud, instance_id: int, support_height_m: float) -> tuple[GraspTarget | None, str]:
    """Baseline for a cup: straight down on the middle of the box's top, whatever is there."""
    box = cloud.panoptic.segment(instance_id).box
    if not cloud.is_metric:
        return None, f"{NO_GRASP}: not_metric"
    upright = int(box.world_from_box[2, :3].abs().argmax())
    top = float(box.world_from_box[2, 3] + box.size_m[upright] / 2)
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[:3, 3] = torch.tensor([float(box.world_from_box[0, 3]), float(box.world_from_box[1, 3]), top])
    return GraspTarget(instance_id, -1, 0.5, pose, 0.0, 0.10, box, kind="suction"), "found"


SUCTION = GraspConfig(gripper=GripperConfig(kind="suction"))
PLANNERS: dict[str, dict[str, Planner]] = {  # by kind of gripper
    "parallel": {"pan3d": plan_pan3d, "learnt": partial(plan_pan3d, config=GraspConfig(order="learnt")), "obb": plan_obb},
    "suction": {"pan3d": partial(plan_pan3d, config=SUCTION), "obb": plan_box_top},
}
