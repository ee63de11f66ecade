"""`pan3d gripper`: what it writes is what the node takes, and what it refuses it names."""

import pytest
import yaml
from robot_arms import four_bar_urdf, gantry_urdf, gripper_urdf

from pan3d_core.config import GripperConfig, PipelineConfig
from pan3d_core.settings import read_settings
from pan3d_tools.cli import main


@pytest.fixture
def urdf(tmp_path):
    path = tmp_path / "gripper.urdf"
    path.write_text(gripper_urdf(parts='<link name="tool"/><joint name="tool_mount" type="fixed"><origin xyz="0 0 0.11" '
                                       'rpy="0 0 1.5707963"/><parent link="hand"/><child link="tool"/></joint>'))  # fmt: skip
    return path


def parameters(text):
    return yaml.safe_load(text)["/**"]["ros__parameters"]


def test_what_is_shown_are_parameters(urdf, capsys):
    assert main(["gripper", str(urdf)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# left and right at hand open from 0.0 to 100.0 mm by left_joint and right_joint\n")
    found = parameters(shown)
    assert found["arm"]["tip_link"] == "hand" and found["arm"]["fingers"] == ["left_joint", "right_joint"]
    assert found["arm"]["tip_from_grasp"] == pytest.approx([0, 0, 0.1, 0, 0, 0], abs=1e-4)
    gripper = read_settings(PipelineConfig(), {"grasp": found["grasp"]}).grasp.gripper
    assert gripper == GripperConfig(
        max_width_m=0.1, finger_thickness_m=0.012, finger_breadth_m=0.024, finger_length_m=0.06, palm_width_m=0.14,
        palm_breadth_m=0.05, palm_length_m=0.05,
    )  # fmt: skip


def test_it_is_written_whole_and_told_on_the_link_that_is_planned_for(urdf, tmp_path, capsys):
    out = tmp_path / "jaws.yaml"
    assert main(["gripper", str(urdf), "--tip", "tool", "-o", str(out)]) == 0
    assert f"written to {out}" in capsys.readouterr().out
    assert parameters(out.read_text())["arm"]["tip_from_grasp"] == pytest.approx([0, 0, -0.01, 0, 0, -1.5708], abs=1e-4)


def test_turning_fingers_have_no_joints_that_open_by_shares(tmp_path, capsys):
    path = tmp_path / "four_bar.urdf"
    path.write_text(four_bar_urdf())
    assert main(["gripper", str(path), "--fingers", "left_tip", "right_tip"]) == 0
    assert parameters(capsys.readouterr().out)["arm"]["fingers"] == []


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        (gantry_urdf(), [], "fingers: expected two links that move against the same hand, got none; links that move: carriage"),
        (gripper_urdf(), ["--tip", "wrist_9"], "link: expected one of base, wrist, hand, left, right, got 'wrist_9'"),
        (gripper_urdf(), ["--tip", "base"], "grasp frame: expected a link that is fixed to hand, got base, which a joint moves"),
        (gripper_urdf(), ["--joints", "turn"], "joints: expected those that move the fingers (left: left_joint; right:"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path, capsys, text, arguments, words):
    path = tmp_path / "robot.urdf"
    path.write_text(text)
    assert main(["gripper", str(path), *arguments]) == 2
    assert words in capsys.readouterr().err
