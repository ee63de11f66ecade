"""Closed loop without a network: rendered depth and true labels, planned grasps, physics as the judge."""

import pytest

from pan3d_core.config import GraspConfig
from pan3d_core.grasping import select_grasps
from pan3d_sim.bench_grasp import cloud_from_views
from pan3d_sim.cell import RobotCell
from pan3d_sim.depth_noise import DepthNoise

KINDS = ("can", "bottle", "block", "banana", "hammer", "mug", "ball", "tape")


@pytest.mark.parametrize("seed", [1, 2])
def test_chosen_grasps_lift_their_objects(seed):
    with RobotCell(seed, num_objects=4, kinds=KINDS, width=320, height=240) as cell:
        panoptic, id_of_object = cloud_from_views(cell, DepthNoise(sigma_m=0.001))
        outcomes = {}
        for index, instance_id in id_of_object.items():
            result = select_grasps(panoptic, instance_id, GraspConfig(), cell.config.support_height_m)
            name = cell.objects[index].name
            outcomes[name] = cell.execute(result.targets[0], target=index).failure if result.targets else result.reason
    assert len(outcomes) == 4
    lifted = [name for name, outcome in outcomes.items() if outcome == "none"]
    assert len(lifted) >= 3, outcomes


def test_hand_of_the_planner_is_the_hand_of_the_cell():
    """The planner's default gripper describes the simulated hand."""
    with RobotCell(1, num_objects=1) as cell:
        hand, gripper = cell.config.hand, GraspConfig().gripper
    assert (hand.opening_m, hand.finger_thickness_m) == (gripper.max_width_m, gripper.finger_thickness_m)
    assert (hand.finger_width_m, hand.finger_length_m) == (gripper.finger_breadth_m, gripper.finger_length_m)
    assert hand.tip_beyond_tcp_m == gripper.tip_beyond_tcp_m
    assert hand.palm_size_m == (gripper.palm_width_m, gripper.palm_breadth_m, gripper.palm_length_m)
