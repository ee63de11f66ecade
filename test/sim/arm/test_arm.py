"""The arm is one thing as URDF and as a MuJoCo model: links, pictures, and how its servos move it."""

import mujoco
import numpy as np
import pytest

from pan3d_core.body import parse_urdf, root_from_links
from pan3d_sim.arm import ARM, reach_down, urdf_text
from pan3d_sim.cell.robot_cell import CellConfig, RobotCell

SMALL = CellConfig(num_objects=2, num_cameras=2, width=160, height=120, arm=ARM)
ROBOT = parse_urdf(urdf_text(ARM))


@pytest.fixture(scope="module")
def cell():
    with RobotCell(0, SMALL) as made:
        yield made


def test_links_are_where_the_urdf_says(cell):
    rng = np.random.default_rng(0)
    for _ in range(5):
        cell.pose_arm({name: float(rng.uniform(-1, 1)) for name in ROBOT.told_joints[:6]} | {"finger_left_joint": 0.03})
        links = root_from_links(ROBOT, cell.arm.positions(cell.data)).numpy()
        for link in ARM.links:
            body = cell.model.body(f"arm_{link.name}").id
            place = links[ROBOT.index(link.name)]
            np.testing.assert_allclose(cell.data.xpos[body], place[:3, 3], atol=1e-6)
            np.testing.assert_allclose(cell.data.xmat[body].reshape(3, 3), place[:3, :3], atol=1e-6)


def test_it_waits_at_home_over_the_table_and_holds_itself(cell):
    cell.arm.go_home(cell.data)
    mujoco.mj_forward(cell.model, cell.data)
    before = cell.arm.world_from_tool(cell.data)
    assert np.abs(before[:2, 3]).max() < 0.1 and 0.2 < before[2, 3] < 0.3
    np.testing.assert_allclose(before[:3, 2], [0, 0, -1], atol=0.01)
    cell.step(1.0)
    np.testing.assert_allclose(cell.arm.world_from_tool(cell.data), before, atol=1e-3)


def test_servos_bring_it_where_it_is_told(cell):
    goal = reach_down(ARM, np.array([0.1, -0.1, 0.2]), 0.4)
    cell.arm.go_home(cell.data)
    cell.arm.command(cell.data, {**goal, "finger_left_joint": 0.01})
    cell.step(3.0)
    found = cell.arm.positions(cell.data)
    assert max(abs(found[name] - angle) for name, angle in goal.items()) < 0.01
    assert found["finger_left_joint"] == pytest.approx(0.01, abs=1e-3) == found["finger_right_joint"]
    np.testing.assert_allclose(cell.arm.world_from_tool(cell.data)[:3, 3], [0.1, -0.1, 0.2], atol=0.01)


def test_what_it_cannot_reach_and_joints_that_it_has_not(cell):
    assert reach_down(ARM, np.array([-2.0, 0.0, 0.2]), 0.0) is None
    with pytest.raises(ValueError, match="expected joints of shoulder_pan_joint.*got elbow"):
        cell.arm.teleport(cell.data, {"elbow": 1.0})
    with RobotCell(0, SMALL, arm=None) as bare:
        assert not bare.arm_pixels(bare.cameras[0]).any()
        with pytest.raises(ValueError, match="CellConfig.arm: expected an arm, got none"):
            bare.pose_arm({})


def test_cameras_see_it_and_it_is_no_object(cell):
    cell.arm.go_home(cell.data)
    mujoco.mj_forward(cell.model, cell.data)
    shares = []
    for camera in cell.cameras:
        _, _, ids = cell.render(camera)
        pixels = cell.arm_pixels(camera)
        assert not ids[pixels].any()
        shares.append(pixels.mean())
    assert max(shares) > 0.02


def test_objects_lie_as_they_would_without_it():
    with RobotCell(5, SMALL) as with_arm, RobotCell(5, SMALL, arm=None) as without:
        for index in range(2):
            np.testing.assert_allclose(with_arm.world_from_object(index), without.world_from_object(index), atol=1e-3)
