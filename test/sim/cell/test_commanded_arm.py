"""The cell's arm follows a trajectory under physics as time goes on."""

import numpy as np
import pytest

from pan3d_core.motion import Trajectory
from pan3d_sim.arm import ARM
from pan3d_sim.cell import CellConfig, RobotCell
from pan3d_sim.cell.commanded_arm import CommandedArm

SMALL = {"num_objects": 1, "num_cameras": 1, "width": 64, "height": 64}


@pytest.fixture
def arm():
    cell = RobotCell(0, CellConfig(**SMALL, arm=ARM))
    yield CommandedArm(cell)
    cell.close()


def test_it_goes_where_it_is_told_and_stays_there(arm):
    assert arm.wanted == {} and arm.late_s == 0.0
    start = arm.positions
    assert start["elbow_joint"] == pytest.approx(ARM.away[2], abs=0.01)
    goal = start["shoulder_pan_joint"] + 0.3
    arm.follow(Trajectory(("shoulder_pan_joint",), np.array([0.0, 0.6]), np.array([[start["shoulder_pan_joint"]], [goal]])))
    arm.step(0.3)
    assert start["shoulder_pan_joint"] + 0.02 < arm.positions["shoulder_pan_joint"] < goal - 0.02 and arm.late_s == pytest.approx(
        -0.3
    )
    arm.step(0.9)
    assert arm.positions["shoulder_pan_joint"] == pytest.approx(goal, abs=0.01) and arm.late_s == pytest.approx(0.6)
    assert abs(arm.errors()["shoulder_pan_joint"]) < 0.01
    others = [name for name in start if name != "shoulder_pan_joint"]
    np.testing.assert_allclose([arm.positions[name] for name in others], [start[name] for name in others], atol=0.02)


def test_it_may_begin_later_and_stop_on_the_way(arm):
    here = arm.positions["elbow_joint"]
    arm.follow(Trajectory(("elbow_joint",), np.array([0.0, 1.0]), np.array([[here], [here + 0.5]])), elapsed_s=-0.3)
    arm.step(0.3)
    assert arm.positions["elbow_joint"] == pytest.approx(here, abs=0.01)
    arm.step(0.5)
    arm.stop()
    stopped = arm.positions["elbow_joint"]
    arm.step(0.5)
    assert here + 0.05 < stopped < here + 0.4 and arm.positions["elbow_joint"] == pytest.approx(stopped, abs=0.08)
    assert arm.wanted == {}


def test_a_cell_without_an_arm_has_none_to_command():
    cell = RobotCell(0, CellConfig(**SMALL))
    with pytest.raises(ValueError, match="CellConfig.arm: expected an arm, got none"):
        CommandedArm(cell)
    cell.close()
