"""The arm as a robot: it follows trajectories by servos, and what it really touches is written down."""

import numpy as np
import pytest

from pan3d_core.config import MotionConfig
from pan3d_core.motion import Arm, Checker, MotionScene, Rules, Trajectory, reach, straight_path, timed
from pan3d_sim.arm import ARM
from pan3d_sim.cell.arm_robot import ArmRobot
from pan3d_sim.cell.robot_cell import CellConfig, RobotCell
from pan3d_sim.cell.touches import ITSELF, SUPPORT

SMALL = CellConfig(num_objects=1, kinds=("block",), num_cameras=2, width=160, height=120, arm=ARM)
FAST = MotionConfig(speed_share=0.6, acceleration=6.0)


@pytest.fixture
def cell():
    with RobotCell(3, SMALL) as made:
        yield made


def at(model: Arm, robot: ArmRobot, place: np.ndarray) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.diag([1.0, -1.0, -1.0]), place
    return reach(model, pose, robot.angles()).solutions[0]


def go(model: Arm, robot: ArmRobot, goal: np.ndarray, phase: str = "approach") -> None:
    robot.follow(timed(model, np.stack([robot.angles(), goal]), FAST), phase)


def test_it_follows_and_arrives_without_touching_anything(cell):
    robot = ArmRobot(cell)
    model = Arm(robot.urdf)
    assert model.joints == robot.joints
    np.testing.assert_allclose(robot.angles(), robot.rest, atol=1e-3)
    assert robot.opening_m() == pytest.approx(robot.max_opening_m, abs=1e-3)
    goal = robot.rest + 0.3
    go(model, robot, goal)
    np.testing.assert_allclose(robot.angles(), goal, atol=0.01)
    assert robot.touches.collisions() == ()
    assert all(view.world_from_links is not None and view.depth is None for view in robot.views())


def test_a_film_sees_every_phase(cell):
    phases = []
    robot = ArmRobot(cell, lambda shown, phase: phases.append(phase), period_s=0.05)
    robot.follow(Trajectory(robot.joints, np.array([0.0, 0.5]), np.stack([robot.rest, robot.rest])), "carry")
    robot.open_to(0.05)
    assert phases.count("carry") >= 10 and phases[-1] == "release"


def test_what_is_hit_is_told(cell):
    robot = ArmRobot(cell)
    model = Arm(robot.urdf)
    x, y, z = cell.world_from_object(0)[:3, 3]
    robot.touches.begin()
    go(model, robot, at(model, robot, np.array([x, y, z + 0.15])))
    assert robot.touches.collisions() == ()
    go(model, robot, at(model, robot, np.array([x - 0.10, y, 0.03])))
    go(model, robot, at(model, robot, np.array([x + 0.04, y, 0.03])), "enter")
    assert 0 in {touch.thing for touch in robot.touches.collisions()}
    robot.touches.begin()
    go(model, robot, at(model, robot, np.array([x - 0.10, y, -0.01])))
    assert SUPPORT in {touch.thing for touch in robot.touches.collisions()}
    robot.touches.begin()
    go(model, robot, robot.rest)
    go(model, robot, np.array([0.0, -1.57, 3.0, 0.0, 0.0, 0.0]))
    assert ITSELF in {touch.thing for touch in robot.touches.collisions()}


def test_an_object_that_is_held_is_meant_and_a_push_on_the_way_is_not(cell):
    robot = ArmRobot(cell)
    model = Arm(robot.urdf)
    pose = cell.world_from_object(0)
    place = pose[:3, 3]
    tip = np.eye(4)
    tip[:3, 0], tip[:3, 2] = pose[:3, 0] * [1, 1, 0] / np.linalg.norm(pose[:2, 0]), [0.0, 0.0, -1.0]
    tip[:3, 1], tip[:3, 3] = np.cross(tip[:3, 2], tip[:3, 0]), place + [0.0, 0.0, 0.02]
    above = tip.copy()
    above[2, 3] += 0.12
    robot.touches.begin()
    go(model, robot, reach(model, above, robot.angles()).solutions[0])
    empty = Checker(model, MotionScene((), np.zeros((0, 3)), None), Rules(0.0))
    robot.follow(timed(model, straight_path(empty, robot.angles(), tip), FAST), "enter")
    assert robot.close() > 0.01
    go(model, robot, reach(model, above, robot.angles()).solutions[0], "lift")
    assert cell.world_from_object(0)[2, 3] > place[2] + 0.08 and robot.touches.target == 0
    assert robot.touches.collisions() == ()


def test_a_cell_without_an_arm_is_no_robot():
    with RobotCell(3, SMALL, arm=None) as bare, pytest.raises(ValueError, match="expected an arm, got none"):
        ArmRobot(bare)
