"""Scripted grasps: good ones lift, bad ones fail for the right reason."""

import numpy as np
import pytest
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.structures import GraspTarget
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.hand import HandSpec
from pan3d_sim.cell.robot_cell import CellConfig, RobotCell
from pan3d_sim.objects.kinds import sample_object

CONFIG = CellConfig(width=64, height=48, num_cameras=1)


def cell_with(*kinds, seed=1, **changes):
    objects = [sample_object(np.random.default_rng(seed + i), kind) for i, kind in enumerate(kinds)]
    return RobotCell(seed, CONFIG, objects=objects, **changes)


def grasp_at(world_from_grasp, width_m):
    box = OrientedBox(torch.eye(4), torch.full((3,), 0.05))
    return GraspTarget(1, -1, 1.0, torch.as_tensor(world_from_grasp, dtype=torch.float32), width_m, 0.10, box)


def top_down(point, closing_deg):
    c, s = np.cos(np.deg2rad(closing_deg)), np.sin(np.deg2rad(closing_deg))
    pose = np.eye(4)
    pose[:3, :3] = [[c, s, 0], [s, -c, 0], [0, 0, -1]]
    pose[:3, 3] = point
    return pose


def ideal_pose(cell, index):
    """Straight down on the centre of mass, closing across the narrowest side. Returns pose and width of the object."""
    world = cell.world_from_object(index)
    vertices = cell.objects[index].vertices @ world[:3, :3].T + world[:3, 3]
    angles = np.arange(0.0, 180.0, 3.0)
    directions = np.stack([np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))], axis=1)
    along = vertices[:, :2] @ directions.T
    best = int(np.ptp(along, axis=0).argmin())
    center = cell.data.xipos[cell.bodies[index].body]
    middle = 0.5 * (along[:, best].min() + along[:, best].max())
    xy = center[:2] + directions[best] * (middle - center[:2] @ directions[best])
    height = max(vertices[:, 2].max() - 0.03, 0.014)
    if cell.objects[index].kind == "ball":
        height = center[2]
    return top_down([*xy, height], angles[best]), float(np.ptp(along[:, best]))


def ideal_grasp(cell, index=0):
    pose, width = ideal_pose(cell, index)
    return grasp_at(pose, min(width + 0.016, 0.08))


@pytest.mark.parametrize("kind", ["box", "can", "ball", "block", "bottle", "mug", "banana", "hammer"])
def test_ideal_grasps_lift_and_hold(kind):
    for seed in (1, 2):
        cell = cell_with(kind, "block", seed=seed)
        result = GraspTrials(cell).execute(ideal_grasp(cell), target=0)
        assert result.failure == "none" and result.lifted
        assert result.details["rise_m"] > 0.15
        assert 0.0 < result.details["contact_depth_m"] < 0.002
        assert result.details["slip_m"] < 0.015
        assert result.details["clean"] == 1.0


def test_results_repeat_and_leave_the_cell_as_it_was():
    cell = cell_with("can", "block")
    start = cell.save()
    trials = GraspTrials(cell)
    first = trials.execute(ideal_grasp(cell))
    np.testing.assert_array_equal(cell.save().physics, start.physics)
    assert trials.execute(ideal_grasp(cell)).details == first.details
    fresh = cell_with("can", "block")
    assert GraspTrials(fresh).execute(ideal_grasp(fresh)).details == first.details


def test_the_nearest_object_is_the_target():
    cell = cell_with("can", "block")
    for index in (0, 1):
        assert GraspTrials(cell).execute(ideal_grasp(cell, index)).lifted


def test_object_stays_in_the_hand_when_not_restored():
    cell = cell_with("can", "block")
    result = GraspTrials(cell).execute(ideal_grasp(cell), target=0, restore=False)
    assert result.lifted and cell.world_from_object(0)[2, 3] > 0.1
    assert cell.world_from_object(1)[2, 3] < 0.05


def test_phases_are_observed_in_order():
    cell = cell_with("can")
    phases, heights = [], []

    def observe(phase):
        phases.append(phase)
        heights.append(cell.world_from_object(0)[2, 3])

    GraspTrials(cell).execute(ideal_grasp(cell), observe=observe)
    assert phases == ["before", "pregrasp", "grasp", "closed", "lifted", "after"]
    assert heights[3] < 0.01 < 0.15 < heights[4]


def test_closing_on_air_is_missed():
    cell = cell_with("block")
    pose, _ = ideal_pose(cell, 0)
    pose[2, 3] += 0.12
    assert GraspTrials(cell).execute(grasp_at(pose, 0.08), target=0).failure == "missed"


def test_slippery_pads_slip():
    cell = cell_with("box", hand=HandSpec(finger_friction=0.02))
    result = GraspTrials(cell).execute(ideal_grasp(cell), target=0)
    assert result.failure == "slipped" and not result.lifted


def test_lifting_a_neighbour_is_the_wrong_object():
    cell = cell_with("box", "block")
    result = GraspTrials(cell).execute(ideal_grasp(cell, 1), target=0)
    assert result.failure == "wrong_object" and result.details["clean"] == 0.0


def test_going_into_the_table_collides():
    cell = cell_with("block")
    pose, width = ideal_pose(cell, 0)
    pose[2, 3] = 0.002
    assert GraspTrials(cell).execute(grasp_at(pose, width + 0.02), target=0).failure == "collision"


def test_fingers_on_top_of_the_target_collide():
    cell = cell_with("box")
    pose, width = ideal_pose(cell, 0)
    assert GraspTrials(cell).execute(grasp_at(pose, width - 0.015), target=0).failure == "collision"


def test_starting_inside_a_neighbour_collides():
    cell = cell_with("block", "bottle", arrangement="packed")
    pose, width = ideal_pose(cell, 0)
    toward = cell.data.xipos[cell.bodies[1].body] - pose[:3, 3]
    angle = np.rad2deg(np.arctan2(toward[1], toward[0]))
    sideways = top_down(pose[:3, 3], angle)
    # Approach horizontally through the bottle that stands next to the block.
    back = -toward / np.linalg.norm(toward)
    back[2] = 0.0
    back /= np.linalg.norm(back)
    sideways[:3, 2] = back
    sideways[:3, 0] = [0.0, 0.0, 1.0]
    sideways[:3, 1] = np.cross(sideways[:3, 2], sideways[:3, 0])
    sideways[2, 3] = 0.05
    assert GraspTrials(cell).execute(grasp_at(sideways, 0.08), target=0).failure == "collision"


def test_out_of_reach_and_nothing_there():
    cell = cell_with("block")
    pose, width = ideal_pose(cell, 0)
    from_below = pose.copy()
    from_below[:3, :3] = np.eye(3)
    far = pose.copy()
    far[0, 3] = 0.9
    empty = pose.copy()
    empty[:2, 3] = [0.4, -0.4]
    assert GraspTrials(cell).execute(grasp_at(from_below, 0.06), target=0).failure == "unreachable"
    assert GraspTrials(cell).execute(grasp_at(far, 0.06), target=0).failure == "unreachable"
    assert GraspTrials(cell).execute(grasp_at(pose, 0.12), target=0).failure == "unreachable"
    assert GraspTrials(cell).execute(grasp_at(empty, 0.06)).failure == "no_target"
    assert GraspTrials(cell).execute(grasp_at(pose, 0.06), target=5).failure == "no_target"


def test_lifting_what_carries_another_object_is_not_clean():
    cell = cell_with("block", "block")
    world = cell.world_from_object(0)
    address = cell.bodies[1].qpos
    top = (cell.objects[0].vertices @ world[:3, :3].T + world[:3, 3])[:, 2].max()
    cell.data.qpos[address : address + 7] = [*world[:2, 3], top + 0.001, *cell.data.qpos[cell.bodies[0].qpos + 3 :][:4]]
    cell.step(0.3)
    pose, width = ideal_pose(cell, 0)
    closing = pose[:3, 0]
    from_the_side = pose.copy()
    from_the_side[:3, 2] = np.cross(closing, [0.0, 0.0, 1.0])
    from_the_side[:3, 1] = np.cross(from_the_side[:3, 2], closing)
    from_the_side[2, 3] = 0.023
    result = GraspTrials(cell).execute(grasp_at(from_the_side, width + 0.02), target=0)
    assert result.lifted and result.details["clean"] == 0.0
    assert result.details["co_lifted"] == 1.0 or result.details["disturbance_m"] > 0.02


def test_lifting_alone_is_clean():
    cell = cell_with("can", "block")
    result = GraspTrials(cell).execute(ideal_grasp(cell), target=0)
    assert result.details["clean"] == 1.0 and result.details["disturbance_m"] < 1e-3
