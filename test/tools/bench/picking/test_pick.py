"""An arm picks what pictures show: done, nothing there any more, nothing between the fingers, nothing meant."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from pan3d_core.config import MotionConfig, PipelineConfig
from pan3d_core.engines import build_engine
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.lessons import LessonFolder, Shown
from pan3d_core.picking import Outcome, PickerConfig, Wish, build_picker
from pan3d_core.views.scene_folder import read_scene
from pan3d_sim.arm import ARM
from pan3d_sim.cell.arm_robot import ArmRobot
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_tools.bench.picking.pick import Picked, clear_table, parse, summarize

CONFIG = PipelineConfig.from_dict({"workspace": {"support_height_m": 0.0}})
SEED = 2
STANDS_AT_M = (0.6, 0.0)  # the arm


@pytest.fixture(scope="module")
def engine():
    return build_engine(CONFIG.model)


@pytest.fixture
def cell():
    with RobotCell(SEED, num_objects=2, kinds=("can", "block"), arm=ARM) as made:
        yield made


@pytest.fixture
def robot(cell):
    return ArmRobot(cell)


@pytest.fixture
def picker(robot, engine):
    return build_picker(robot, robot.urdf, engine, PickerConfig(CONFIG))


def test_objects_are_placed_and_nothing_is_touched(cell, engine):
    picked = clear_table(cell, engine, CONFIG)
    assert [item.outcome for item in picked] == ["placed", "placed"] and all(item.placed for item in picked)
    assert all(item.collisions == () and item.off_m < 0.03 for item in picked)
    figures = summarize(picked)
    assert figures["placed"]["share"] == 1.0 and figures["collisions"] == 0 and figures["attempts_per_object"] >= 1.0


def test_an_object_taken_away_while_planned_for(cell, robot, picker, monkeypatch):
    seen = picker.look()
    target = seen.result.panoptic.segments[0].instance_id
    plan = picker.planner.plan

    def plan_and_take_away(*arguments):
        found = plan(*arguments)
        for index in range(len(cell.objects)):
            cell.remove(index)
        return found

    monkeypatch.setattr(picker.planner, "plan", plan_and_take_away)
    before = robot.angles()
    report = picker.pick_and_place(target)
    assert report.outcome is Outcome.TARGET_GONE and report.closings == 0 and "no longer seen" in report.message
    np.testing.assert_allclose(robot.angles(), before, atol=1e-3)


def test_the_arm_seen_as_an_object_is_no_object(robot, picker, monkeypatch):
    process, (x, y) = picker.pipeline.process, STANDS_AT_M
    ring = torch.tensor([[np.cos(a), np.sin(a)] for a in np.linspace(0, 6.28, 60)]) * 0.12

    def process_and_see_a_ghost(views):
        result = process(views)
        seen = result.panoptic
        points = torch.cat([torch.cat([ring + torch.tensor([x, y]), torch.full((60, 1), z)], dim=1) for z in (0.0, 0.08)])
        box = OrientedBox(torch.eye(4), torch.tensor([0.24, 0.24, 0.16]))
        box.world_from_box[:2, 3] = torch.tensor([x, y])
        ghost = replace(seen.segments[0], instance_id=77, box=box)
        panoptic = replace(
            seen,
            segments=(*seen.segments, ghost),
            points=torch.cat([seen.points, points.to(seen.points)]),
            point_instance_id=torch.cat([seen.point_instance_id, torch.full((120,), 77)]),
        )
        return replace(result, panoptic=panoptic)

    before = {item.instance_id for item in picker.look().scene.objects}
    monkeypatch.setattr(picker.pipeline, "process", process_and_see_a_ghost)
    seen = picker.look()
    assert {item.instance_id for item in seen.scene.objects} == before and seen.segment(77) is not None
    assert picker.pick_and_place(77, seen=seen).outcome is Outcome.NOT_FOUND
    target = next(iter(before))
    plan = picker.planner.way(seen.scene, robot.angles(), robot.rest + 0.1)
    assert target and plan is not None, "it is not in its own way"


def test_where_an_object_was_when_the_gripper_set_out_last(cell, robot):
    robot.touches.begin()
    cell.data.qpos[cell.bodies[1].qpos] += 0.05
    mujoco.mj_forward(cell.model, cell.data)
    moved = cell.world_from_object(1)[0, 3] - robot.touches.start[1][0, 3]
    robot.touches.approach()
    assert moved == pytest.approx(0.05) and robot.touches.start[1][0, 3] == pytest.approx(cell.world_from_object(1)[0, 3])


@pytest.mark.slow
def test_a_gripper_that_closed_on_nothing_tries_elsewhere_and_both_are_lessons(robot, picker, monkeypatch, tmp_path):
    close, closings = robot.close, []
    picker.lessons = LessonFolder(tmp_path, ("can", "block"))

    def close_on_nothing_at_first():
        closings.append(close())
        if len(closings) == 1:
            robot.open_to(robot.max_opening_m)
            return 0.0
        return closings[-1]

    monkeypatch.setattr(robot, "close", close_on_nothing_at_first)
    report = picker.pick_and_place(picker.look().result.panoptic.segments[0].instance_id)
    assert [attempt.outcome for attempt in report.attempts] == [Outcome.MISSED, Outcome.PLACED] and report.closings == 2
    first, second = (attempt.motion.grasp.world_from_grasp[:3, 3] for attempt in report.attempts)
    assert (first - second).norm() > 0.01
    failed, placed = (read_scene(attempt.lesson.folder).known_truth() for attempt in report.attempts)
    assert report.attempts[1].lesson.taken.shown is Shown.ONE_OBJECT and placed.objects[0].name in ("can", "block", "thing")
    assert all(item.is_void for item in failed.objects) or report.attempts[0].lesson.taken.shown is Shown.ONE_OBJECT
    assert report.attempts[0].closed_m == 0.0 and report.attempts[1].closed_m > 0.02
    np.testing.assert_allclose(robot.angles(), robot.rest, atol=0.02)
    assert robot.touches.collisions() == ()  # that the first attempt moved it is no push of the second


def test_without_time_or_object_the_arm_stays(robot, engine):
    hasty = build_picker(robot, robot.urdf, engine, PickerConfig(CONFIG, MotionConfig(plan_time_s=0.01)))
    before = robot.angles()
    assert hasty.fulfil(Wish("the banana")).outcome is Outcome.NOT_FOUND
    assert hasty.pick_and_place(999).outcome is Outcome.NOT_FOUND
    report = hasty.pick_and_place(hasty.look().result.panoptic.segments[0].instance_id)
    assert report.outcome is Outcome.NO_PATH and report.closings == 0
    np.testing.assert_allclose(robot.angles(), before, atol=1e-3)


@pytest.mark.slow
def test_out_of_reach_or_out_of_sight_the_arm_stays(robot, engine, picker, monkeypatch):
    before = robot.angles()
    target = picker.look().result.panoptic.segments[0].instance_id
    stands_at = 'xyz="0.6 0 0"'
    assert stands_at in robot.urdf
    far = build_picker(robot, robot.urdf.replace(stands_at, 'xyz="1.9 0 0"'), engine, PickerConfig(CONFIG))
    report = far.pick_and_place(far.look().result.panoptic.segments[0].instance_id)
    assert report.outcome is Outcome.UNREACHABLE and report.closings == 0 and report.message
    views = robot.views
    covered = [replace(view, image=torch.full_like(view.image, 0.5)) for view in views()]
    monkeypatch.setattr(robot, "views", lambda: covered)
    hidden = picker.pick_and_place(target)
    assert hidden.outcome is Outcome.NOT_FOUND and hidden.message == f"object {target} is not seen"
    np.testing.assert_allclose(robot.angles(), before, atol=1e-3)


def test_figures_of_nothing_and_of_failures():
    lost = Picked(0, "red can", "lost", False, 0.3, 3, ("carry: held and blue box 1.0 mm",), (1.0, 2.0), "it fell out")
    unseen = Picked(0, "blue box", "not_found", False, float("nan"), 0, (), (), "")
    figures = summarize([lost, unseen])
    assert figures["placed"]["share"] == 0.0 and figures["collisions"] == 1 and figures["attempts_per_object"] == 3.0
    assert figures["outcomes"] == {"lost": 1, "not_found": 1} and figures["plan_p95_s"] == pytest.approx(1.95)
    assert parse(["--scenes", "2"]).scenes == 2
