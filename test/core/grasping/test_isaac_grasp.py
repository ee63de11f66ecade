"""isaac_grasp files: what is written can be read for an object that has been moved, and has the numbers of the format."""

import dataclasses

import pytest
import torch
import yaml

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.grasping.isaac_grasp import FRANKA, SUCTION_CUP, IsaacGripper, isaac_grasp_text, read_isaac_grasps
from pan3d_core.structures import GraspTarget

# As the format's documentation shows one, with frames and joints of another gripper.
PUBLISHED = """
format: isaac_grasp
format_version: 1.0
object_frame_link: /World/mug
gripper_frame_link: /World/panda_hand
grasps:
  "grasp_0":
    confidence: 0.5
    position: [0.0, 0.0, 0.1534]
    orientation: {w: 0.0, xyz: [1.0, 0.0, 0.0]}
    cspace_position: {panda_finger_joint1: 0.01}
    pregrasp_cspace_position: {panda_finger_joint1: 0.04}
  "grasp_1":
    confidence: 1.0
    position: [0.0, 0.0, 0.2]
    orientation: {w: 0.0, xyz: [1.0, 0.0, 0.0]}
"""


def pose(position, quat_xyzw=(0.0, 0.0, 0.0, 1.0)):
    matrix = torch.eye(4)
    matrix[:3, :3] = matrix_from_quat_xyzw(torch.tensor(quat_xyzw))
    matrix[:3, 3] = torch.tensor(position)
    return matrix


def box(position=(0.4, 0.1, 0.05), quat_xyzw=(0.0, 0.0, 0.3826834, 0.9238795)):
    return OrientedBox(pose(position, quat_xyzw), torch.tensor([0.06, 0.04, 0.1]))


def target(score=0.9, **changes):
    grasp = pose((0.41, 0.1, 0.08), (1.0, 0.0, 0.0, 0.0))  # from above
    made = GraspTarget(3, 0, score, grasp, 0.05, 0.1, box(), opening_m=0.07, object_width_m=0.04)
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize("gripper", [IsaacGripper(joints=("left", "right")), FRANKA], ids=["own", "franka"])
def test_what_is_written_is_read_for_the_object_where_it_is_now(gripper):
    text = isaac_grasp_text([target(), target(0.4)], gripper, "mug")
    content = yaml.safe_load(text)
    assert (content["format"], content["format_version"], content["object_frame"]) == ("isaac_grasp", 1.0, "mug")
    assert content["grasps"]["grasp_0"]["pregrasp_cspace_position"][gripper.joints[0]] == pytest.approx(0.035)
    first, second = read_isaac_grasps(text, box(), 3, gripper)
    assert (first.score, second.score, first.instance_id) == (0.9, 0.4, 3)
    assert torch.allclose(first.world_from_grasp, target().world_from_grasp, atol=1e-5)
    assert (first.width_m, first.opening_m) == (pytest.approx(0.04), pytest.approx(0.07))
    moved = box((0.2, -0.3, 0.25), (0.0, 0.0, 1.0, 0.0))
    there = read_isaac_grasps(text, moved, 3, gripper)[0]
    expected = moved.world_from_box @ torch.linalg.inv(box().world_from_box) @ target().world_from_grasp
    assert torch.allclose(there.world_from_grasp, expected, atol=1e-5)


def test_a_file_of_somebody_else_is_read_most_confident_first():
    upright = OrientedBox(pose((0.5, 0.0, 0.1)), torch.tensor([0.05, 0.05, 0.1]))
    best, other = read_isaac_grasps(PUBLISHED, upright, 7, FRANKA)
    assert (best.score, other.score, best.opening_m) == (1.0, 0.5, 0.0)
    # The hand's origin is 103.4 mm behind the middle between the finger tips, which comes from above.
    assert other.world_from_grasp[:3, 3].tolist() == pytest.approx([0.5, 0.0, 0.15], abs=1e-5)
    assert other.world_from_grasp[:3, 2].tolist() == pytest.approx([0.0, 0.0, -1.0], abs=1e-6)
    assert abs(float(other.world_from_grasp[1, 0])) == pytest.approx(1.0, abs=1e-6)  # it closes along the hand's y
    assert (other.object_width_m, other.opening_m) == (pytest.approx(0.02), pytest.approx(0.08))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format: isaac_grasp", "format: other", "expected format: isaac_grasp"),
        ("format_version: 1.0", "format_version: 2.0", "format_version: 1.0"),
        ("confidence: 0.5", "confidence: 5", "grasps.grasp_0.confidence: expected 0 to 1, got 5"),
        ("position: [0.0, 0.0, 0.1534]", "position: [0.0, .nan, 0.1]", "grasps.grasp_0.position: expected 3 finite numbers"),
        ("xyz: [1.0, 0.0, 0.0]", "xyz: [3.0, 0.0, 0.0]", "grasps.grasp_0.orientation: expected a quaternion of length 1"),
        ("{panda_finger_joint1: 0.01}", "{thumb: 0.01}", "grasp_0.cspace_position: expected the joint panda_finger_joint1"),
        ("grasps:\n", "others:\n", "grasps: expected grasps by name"),
        ("format:", "[format:", "expected an isaac_grasp file in YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(old, new, message):
    with pytest.raises(ValueError, match=message):
        read_isaac_grasps(PUBLISHED.replace(old, new, 1), box(), 1, FRANKA)


def test_grasps_of_several_objects_do_not_fit_into_one_file():
    for targets in ([], [target(), target(instance_id=4)]):
        with pytest.raises(ValueError, match="expected grasps of one object"):
            isaac_grasp_text(targets, FRANKA)


def test_a_cup_has_no_joints_and_its_grasps_are_its_own():
    cup = target(width_m=0.0, opening_m=0.0, object_width_m=0.0, kind="suction")
    text = isaac_grasp_text([cup], SUCTION_CUP)
    content = yaml.safe_load(text)
    assert content["gripper_frame"] == "suction_cup" and content["grasps"]["grasp_0"]["cspace_position"] == {}
    (back,) = read_isaac_grasps(text, box(), 3, SUCTION_CUP)
    assert back.kind == "suction" and back.width_m == back.opening_m == 0.0
    assert torch.allclose(back.world_from_grasp, cup.world_from_grasp, atol=1e-5)
    with pytest.raises(ValueError, match="targets: expected grasps for a gripper of kind parallel, got suction"):
        isaac_grasp_text([cup], FRANKA)
    with pytest.raises(ValueError, match="targets: expected grasps for a gripper of kind suction, got parallel"):
        isaac_grasp_text([target(), cup], SUCTION_CUP)
