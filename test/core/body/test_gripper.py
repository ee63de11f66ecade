"""A gripper's opening, boxes and grasp frame are measured on its URDF; what is no pair of jaws is refused by name."""

import numpy as np
import pytest
import trimesh
from robot_arms import LIMIT, MIMIC, TURNING_URDF, four_bar_urdf, gantry_urdf, gripper_urdf

from pan3d_core.body import GripperNames, find_gripper, measure_gripper, parse_urdf
from pan3d_core.config import FingertipConfig
from pan3d_sim.arm import ARM, urdf_text

FOLLOWING = LIMIT.format(lower=0, upper=0.05) + MIMIC


def measured(text, folders=(), **given):
    return measure_gripper(parse_urdf(text, folders), **given)


@pytest.mark.parametrize(
    ("limits", "joints", "opened"),
    [
        ({}, ("left_joint", "right_joint"), {"left_joint": 0.05, "right_joint": 0.05}),
        ({"right": FOLLOWING}, ("left_joint",), {"left_joint": 0.05}),
        (
            {"axis": 1, "right": LIMIT.format(lower=-0.05, upper=0)},
            ("left_joint", "right_joint"),
            {"left_joint": 0.05, "right_joint": -0.05},
        ),
    ],
)
def test_two_sliding_fingers(limits, joints, opened):
    found = measured(gripper_urdf(**limits))
    assert found.links.hand == "hand" and found.links.fingers == ("left", "right") and found.links.joints == joints
    assert found.joints_at(0.1) == pytest.approx(opened) and found.joints_at(0.0) == pytest.approx(dict.fromkeys(joints, 0.0))
    assert found.joints_at(0.05) == pytest.approx({name: value / 2 for name, value in opened.items()})
    assert found.joints_at(0.3) == pytest.approx(found.joints_at(0.1))
    config = found.config
    assert (config.max_width_m, config.min_width_m) == pytest.approx((0.1, 0.0))
    fingers = config.finger_thickness_m, config.finger_breadth_m, config.finger_length_m, config.tip_beyond_tcp_m
    assert fingers == pytest.approx((0.012, 0.024, 0.06, 0.01))
    assert (config.palm_width_m, config.palm_breadth_m, config.palm_length_m) == pytest.approx((0.14, 0.05, 0.05))
    assert config.fingertip == FingertipConfig() and not found.notes
    assert np.allclose(found.hand_from_grasp, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.1], [0, 0, 0, 1]], atol=1e-3)
    assert found.message.startswith("left and right at hand open from 0.0 to 100.0 mm by left_joint")


def test_the_cells_arm_has_the_gripper_that_it_is_simulated_with():
    config = measured(urdf_text(ARM), frame=("tool0", np.eye(4))).config
    assert (config.max_width_m, config.finger_thickness_m, config.finger_breadth_m) == (0.08, 0.01, 0.02)
    assert (config.finger_length_m, config.tip_beyond_tcp_m, config.palm_width_m) == (0.05, 0.01, 0.12)


@pytest.mark.parametrize("shape", ["mesh", "cylinder", "sphere"])
def test_fingers_of_every_geometry(tmp_path, shape):
    trimesh.creation.box((12.0, 24.0, 60.0)).export(tmp_path / "finger.stl")
    geometry = {
        "mesh": '<mesh filename="finger.stl" scale="0.001 0.001 0.001"/>',
        "cylinder": '<cylinder radius="0.006" length="0.06"/>',
        "sphere": '<sphere radius="0.006"/>',
    }[shape]
    up = 0.03 if shape != "sphere" else 0.04
    config = measured(gripper_urdf(f"<geometry>{geometry}</geometry>", up), [tmp_path]).config
    breadth, length = {"mesh": (0.024, 0.06), "cylinder": (0.012, 0.06), "sphere": (0.012, 0.046)}[shape]
    assert config.max_width_m == pytest.approx(0.1, abs=2e-4)
    assert config.finger_thickness_m == pytest.approx(0.012, abs=3e-4)
    assert config.finger_breadth_m == pytest.approx(breadth, abs=4e-4) and config.finger_length_m == pytest.approx(
        length, abs=3e-4
    )


def test_slim_tips_of_thick_fingers_are_boxes_of_their_own():
    thick = '<visual><origin xyz="{sign}0.014 0 0.015"/><geometry><box size="0.02 0.03 0.03"/></geometry></visual>'
    config = measured(gripper_urdf('<geometry><box size="0.012 0.016 0.03"/></geometry>', 0.045, thick)).config
    assert config.fingertip == FingertipConfig(0.03, 0.012, 0.016)
    assert (config.finger_thickness_m, config.finger_breadth_m, config.finger_length_m) == pytest.approx((0.024, 0.03, 0.06))


def test_turning_fingers_that_follow_one_joint_are_named_and_told_how_their_tips_travel():
    text = four_bar_urdf()
    found = measured(text)  # each finger is all that hangs from its arm
    assert found.links.fingers == ("left_arm", "right_arm") and found.links.joints == ("left_arm_joint",)
    tips = measured(text, names=GripperNames(fingers=("left_tip", "right_tip")))
    for each in (found, tips):
        assert each.config.max_width_m == pytest.approx(2 * (0.06 * np.sin(0.7)), abs=2e-4)
        assert each.joints_at(0.04) == pytest.approx({"left_arm_joint": np.arcsin(0.02 / 0.06)}, abs=1e-3)
        assert each.notes == ("tips move by 14 mm along the approach as they open; the furthest counts",)
        assert each.hand_from_grasp[2, 3] + each.config.tip_beyond_tcp_m == pytest.approx(0.12, abs=1e-4)
    assert tips.config.palm_width_m > 0.1, "the arms swing outwards, and belong to the palm"
    assert tips.config.finger_length_m < found.config.finger_length_m


def test_pads_that_turn_are_told_or_refused():
    held = four_bar_urdf(upper=0.5).replace("</robot>", "</robot>")
    for side in ("left", "right"):  # tips that do not turn back
        held = held.replace(f'name="{side}_tip_joint" type="revolute"', f'name="{side}_tip_joint" type="fixed"')
    found = measured(held)
    assert any("pads turn by 29 degrees" in note for note in found.notes)
    with pytest.raises(ValueError, match="expected pads that turn by at most 45 degrees from closed to open, got 57"):
        measured(held.replace('upper="0.5"', 'upper="1.0"'))


def test_a_gripper_that_does_not_close_has_a_smallest_opening():
    config = measured(gripper_urdf(left=LIMIT.format(lower=0.01, upper=0.05), right=LIMIT.format(lower=0.01, upper=0.05))).config
    assert (config.min_width_m, config.max_width_m) == pytest.approx((0.02, 0.1))


def test_a_given_grasp_frame_counts_and_is_compared():
    hand_from_tool = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0.105], [0, 0, 0, 1]])
    tool = '<link name="tool"/><joint name="tool_mount" type="fixed"><parent link="hand"/><child link="tool"/>{}</joint>'
    text = gripper_urdf(parts=tool.format('<origin xyz="0 0 0.105"/>'))
    assert measured(text, frame=("tool", np.eye(4))).config.tip_beyond_tcp_m == pytest.approx(0.005)
    with pytest.raises(ValueError, match=r"grasp frame on hand: expected \+x along the closing direction, .* 90 degrees off"):
        measured(text, frame=("hand", hand_from_tool))
    with pytest.raises(
        ValueError, match=r"grasp frame on tool: .* they are -0.0200 m along x, and reach from -0.0550 to 0.0050 m along z"
    ):
        aside = np.eye(4)
        aside[0, 3] = 0.02
        measured(text, frame=("tool", aside))
    with pytest.raises(ValueError, match="expected a link that is fixed to hand, got left, which a joint moves against it"):
        measured(text, frame=("left", np.eye(4)))


THIRD = """<link name="third"><visual><geometry><sphere radius="0.01"/></geometry></visual></link>
  <joint name="third_joint" type="prismatic"><origin xyz="0 0.05 0.08"/><parent link="hand"/><child link="third"/>
  <axis xyz="0 1 0"/><limit lower="0" upper="0.05" effort="1" velocity="1"/></joint>"""
UNEQUAL = LIMIT.format(lower=0, upper=0.001)


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [
        (gantry_urdf(), {}, "fingers: expected two links that move against the same hand, got none; links that move: carriage"),
        (gripper_urdf(parts=THIRD), {}, "fingers: expected two links that move against hand, got 3: left, right, third"),
        (
            gripper_urdf(parts=THIRD),
            {"fingers": ("left", "right", "third")},
            "expected two links, got left, right, third: a hand of other than two jaws is not planned for",
        ),
        (
            gripper_urdf(parts=THIRD.replace("0.05 0.08", "0.05 0.10")),
            {"fingers": ("left", "right")},
            "left and right to reach at least 0.005 m ahead of hand, third, got 0.000",
        ),
        (gripper_urdf(), {"fingers": ("left",)}, "fingers: expected two links, got left"),
        (gripper_urdf(), {"fingers": ("left", "thumb")}, "fingers: expected of base, wrist, hand, left, right, got thumb"),
        (gripper_urdf(), {"fingers": ("left", "hand")}, "expected two links side by side, got left, which hangs from hand"),
        (gripper_urdf(), {"joints": ("turn",)}, "expected those that move the fingers (left: left_joint; right: right_joint)"),
        (gripper_urdf(), {"joints": ("left_joint",)}, "expected one that opens right, or that others follow, got left_joint"),
        (gripper_urdf(), {"hand": "palm"}, "hand: expected of base, wrist, hand, left, right, got palm"),
        (gripper_urdf(), {"hand": "left"}, "fingers: expected two links that move against the same hand below left, got none"),
        (gripper_urdf(), {"hand": "base"}, "a link that is fixed to hand, against which the fingers move, got base"),
        (gripper_urdf(left=""), {}, "joint left_joint.limit: expected a lower and a higher one, by which the gripper"),
        (gripper_urdf(right=UNEQUAL), {}, "by equal shares, got a middle between them that goes 0.0245 m aside"),
        (gripper_urdf(left=LIMIT.format(lower=0.02, upper=0.02)), {}, "limit: expected a lower and a higher one"),
        (gripper_urdf(right=FOLLOWING, axis=1), {}, "to move the fingers apart by 0.001 m or more"),
    ],
)  # fmt: skip
def test_what_is_no_pair_of_jaws_is_refused(text, names, words):
    with pytest.raises(ValueError) as error:
        measured(text, names=GripperNames(**names))
    assert words in str(error.value)


def test_fingers_without_a_surface_and_meshes_that_are_missing(tmp_path):
    bare = gripper_urdf(pad='<geometry><mesh filename="gone.stl"/></geometry>')
    with pytest.raises(ValueError, match="link left.geometry.mesh: expected the file gone.stl, got none"):
        measured(bare, [tmp_path])
    lacking = gripper_urdf().replace('<link name="left"><visual>', '<link name="left"/><link name="ignored"><visual>')
    lacking = lacking.replace(
        "</robot>", '<joint name="i" type="fixed"><parent link="base"/><child link="ignored"/></joint></robot>'
    )
    with pytest.raises(ValueError, match="fingers: expected a surface of left or of what hangs from it, got none"):
        measured(lacking)


def test_fingers_beside_the_hand_do_not_reach_ahead_of_it():
    guard = '<visual><origin xyz="0 0.1 0.1"/><geometry><box size="0.1 0.01 0.2"/></geometry></visual></link>'
    text = gripper_urdf().replace('</visual></link>\n  <joint name="mount"', f'</visual>{guard}\n  <joint name="mount"')
    with pytest.raises(ValueError, match="left and right to reach at least 0.005 m ahead of hand, got -"):
        measured(text)


def test_of_two_grippers_one_is_named():
    arm = TURNING_URDF  # one finger follows the other, both hang from `arm`
    assert find_gripper(parse_urdf(arm)).hand == "arm"
    twice = gripper_urdf().replace("</robot>", "")
    other = gripper_urdf()[gripper_urdf().index('<link name="wrist">') :]
    for name in ("wrist", "hand", "left", "right", "turn", "mount", "left_joint", "right_joint"):
        other = other.replace(f'"{name}"', f'"other_{name}"')
    robot = parse_urdf(twice + other)
    with pytest.raises(ValueError, match="hand: expected the name of one of hand, other_hand, which all have fingers, got none"):
        find_gripper(robot)
    found = find_gripper(robot, GripperNames(hand="other_hand"))
    assert found.fingers == ("other_left", "other_right") and found.palm_links == ("other_hand",)
