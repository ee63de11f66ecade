"""`pan3d bench pick`: an arm picks every object of seeded scenes and puts it elsewhere, by colour pictures alone.

The picker sees, plans and judges by its cameras; what it really touched and where objects really came to is the simulator's word.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from dataclasses import dataclass

import numpy as np

from pan3d_core.config import PipelineConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.grasping.rehearsal import Rehearser
from pan3d_core.picking import Picker, PickerConfig, PickReport, Seen, build_picker
from pan3d_sim.arm import ARM
from pan3d_sim.cell.arm_robot import ArmRobot
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.cell.touches import ITSELF, SUPPORT, Touch
from pan3d_sim.objects.kinds import GRASPABLE_KINDS
from pan3d_sim.rehearsal import build_rehearser
from pan3d_tools.bench.options import add_device_option, add_engine_options, pipeline_on_ground
from pan3d_tools.bench.shares import rate

log = logging.getLogger("pan3d.bench.pick")

PLACED_M = 0.05  # further from its place: not placed
FELL_M = 0.015  # nor where its highest point is so much higher or lower over its lowest than it was: it tipped over
ROUNDS = 2  # an object that the arm could not go for has its turn again when others stand elsewhere
SAME_OBJECT_M = 0.06  # a segment whose middle is further from a true object's is not that object


@dataclass(frozen=True)
class Picked:
    """What became of one true object."""

    seed: int
    name: str
    outcome: str  # the picker's word
    placed: bool  # the simulator's
    off_m: float  # from where it was to go; NaN = it was not moved
    closings: int
    collisions: tuple[str, ...]
    plan_s: tuple[float, ...]
    message: str


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pan3d bench pick", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=20, help="seeded scenes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=700, help="first seed (default: %(default)s)")
    parser.add_argument("--objects", type=int, default=5, help="objects of each scene (default: %(default)s)")
    parser.add_argument("--cameras", type=int, default=4, help="cameras (default: %(default)s)")
    parser.add_argument(
        "--kinds", nargs="+", default=list(GRASPABLE_KINDS), metavar="KIND", help="of objects (default: what the hand can hold)"
    )
    parser.add_argument("--rehearse", action="store_true", help="grasps are tried in a physics twin of what is seen first")
    add_engine_options(parser)
    add_device_option(parser)
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Run the benchmark; returns shares with 95 % intervals, collisions, attempts, times, and every object."""
    arguments = parse(argv)
    config = pipeline_on_ground(arguments)
    engine = build_engine(config.model)
    picked: list[Picked] = []
    for seed in range(arguments.seed, arguments.seed + arguments.scenes):
        with RobotCell(
            seed, num_objects=arguments.objects, num_cameras=arguments.cameras, kinds=arguments.kinds, arm=ARM
        ) as cell:
            picked += clear_table(cell, engine, config, build_rehearser() if arguments.rehearse else None)
        log.info("scene %d: %d of %d placed so far", seed, sum(item.placed for item in picked), len(picked))
    return {**vars(arguments), **summarize(picked)}


def clear_table(cell: RobotCell, engine: Engine, config: PipelineConfig, rehearse: Rehearser | None = None) -> list[Picked]:
    """Have every object of a cell picked and placed elsewhere; those that the arm could not go for are tried again at the end.

    Args:
        cell: With an arm.
        engine: Loaded.
        config: Of the pipeline.
        rehearse: Tries grasps first; None = nothing is tried.

    Returns:
        What became of each object on the table.
    """
    robot = ArmRobot(cell)
    picker = build_picker(robot, robot.urdf, engine, PickerConfig(config), rehearse)
    waiting = [index for index in range(len(cell.objects)) if index not in cell.removed]
    found: dict[int, Picked] = {}
    for _ in range(ROUNDS):
        for index in waiting:
            found[index] = _pick(cell, index, robot, picker)
            log.info("  %s", found[index])
        waiting = [index for index in waiting if not found[index].closings]
    return list(found.values())


def _pick(cell: RobotCell, index: int, robot: ArmRobot, picker: Picker) -> Picked:
    seen = picker.look()
    instance_id = _id_of(cell, index, seen)
    if instance_id is None:
        return Picked(cell.seed, cell.objects[index].name, "not_found", False, np.nan, 0, (), (), "no segment is where it stands")
    robot.touches.begin()
    report = picker.pick_and_place(instance_id, seen=seen)
    # The last motion moves the object from where an attempt before it may have left it.
    return _judged(cell, index, robot.touches.start[index], report, robot.touches.collisions())


def _id_of(cell: RobotCell, index: int, seen: Seen) -> int | None:
    """The segment that shows an object; the judge's way to name one."""
    middle, _ = _middle_and_height(cell, index, cell.world_from_object(index))
    middles = {item.instance_id: item.box.world_from_box[:3, 3].numpy() for item in seen.result.panoptic.segments}
    apart = {key: float(np.linalg.norm(place[:2] - middle[:2])) for key, place in middles.items()}
    nearest = min(apart, key=apart.__getitem__, default=None)
    return nearest if nearest is not None and apart[nearest] < SAME_OBJECT_M else None


def _judged(cell: RobotCell, index: int, before: np.ndarray, report: PickReport, touches: tuple[Touch, ...]) -> Picked:
    after, motions = cell.world_from_object(index), [item.motion for item in report.attempts if item.motion is not None]
    off_m, standing = float("nan"), False
    if motions:
        middle, height = _middle_and_height(cell, index, after)
        wanted, wanted_height = _middle_and_height(cell, index, motions[-1].world_from_was @ before)
        off_m, standing = float(np.linalg.norm(middle[:2] - wanted[:2])), abs(height - wanted_height) < FELL_M
    names = {SUPPORT: "support", ITSELF: "itself", **{k: item.name for k, item in enumerate(cell.objects)}}
    hits = tuple(f"{item.phase}: {item.part} and {names[item.thing]} {1000 * item.depth_m:.1f} mm" for item in touches)
    placed = bool(motions) and off_m < PLACED_M and standing
    plan_s = tuple(item.plan_s for item in report.attempts if item.plan_s > 0)
    return Picked(
        cell.seed, cell.objects[index].name, report.outcome.value, placed, off_m, report.closings, hits, plan_s, report.message
    )  # fmt: skip


def _middle_and_height(cell: RobotCell, index: int, pose: np.ndarray) -> tuple[np.ndarray, float]:
    """(3,) middle of an object's upright extent at a pose, and its height."""
    corners = cell.objects[index].vertices @ pose[:3, :3].T + pose[:3, 3]
    return (corners.min(0) + corners.max(0)) / 2, float(np.ptp(corners[:, 2]))


def summarize(picked: list[Picked]) -> dict:
    """Shares of all objects, and what happened on the way."""
    tried = [item for item in picked if item.closings]
    plan_s = [value for item in picked for value in item.plan_s] or [0.0]
    said = [item for item in tried if item.outcome == "placed"]
    return {
        "objects": len(picked),
        "placed": rate(sum(item.placed for item in picked), len(picked)),
        "objects_with_collisions": rate(sum(bool(item.collisions) for item in picked), len(picked)),
        "collisions": sum(len(item.collisions) for item in picked),
        "attempts_per_object": float(np.mean([item.closings for item in tried])) if tried else 0.0,
        "outcomes": dict(Counter(item.outcome for item in picked).most_common()),
        "said_placed_and_was": rate(sum(item.placed for item in said), len(said)),
        "off_p50_mm": 1000 * float(np.nanmedian([item.off_m for item in picked if item.placed] or [np.nan])),
        "plan_p50_s": float(np.percentile(plan_s, 50)),
        "plan_p95_s": float(np.percentile(plan_s, 95)),
        "each": [
            {"seed": item.seed, "object": item.name, "outcome": item.outcome, "placed": item.placed, "closings": item.closings,
             "off_mm": round(1000 * item.off_m, 1), "collisions": list(item.collisions), "message": item.message}
            for item in picked
        ],
    }  # fmt: skip
