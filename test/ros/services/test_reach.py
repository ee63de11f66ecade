"""Where only grasps are wanted that the arm reaches, the node offers those, and says why not of others."""

import pytest
import ros_support
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import GetGraspTargets
from rclpy.parameter import Parameter

from pan3d_ros.perception_node import FAILURE
from pan3d_sim.arm import ARM, urdf_text

pytest.importorskip("pinocchio", reason="needs the extra [arm]")
STANDS_AT = 'xyz="0.6 0 0"'


JOINTS = {joint.name: angle for joint, angle in zip(ARM.arm_joints, ARM.away)}
FINGERS = {"finger_left_joint": 0.04, "finger_right_joint": 0.04}


def bench_with_arm(spinner, monkeypatch, path, urdf, **overrides):
    path.write_text(urdf)
    values = {"robot__urdf": str(path), "robot__timeout_s": 2.0, "arm__tip_link": "tool0", "arm__reachable_only": True}
    values |= {"grasp__gripper__max_width_m": 0.2, "grasp__num_pairs": 30, "grasp__num_directions": 4, "grasp__max_targets": 4}
    bench = ros_support.Bench(spinner, monkeypatch, **values | overrides)
    ros_support.Joints(bench.rig, JOINTS | FINGERS)
    bench.start()
    bench.until(lambda: bench.instances() and bench.instances()[-1].instances, "results")
    return bench


def ask(bench):
    blue = next(item for item in bench.instances()[-1].instances if item.color_rgb[2] > 0.5)
    return bench.call(GetGraspTargets, "get_grasp_targets", publish=True, instance_id=blue.id)


def test_grasps_within_reach_are_offered_and_others_are_counted(spinner, monkeypatch, tmp_path):
    text = urdf_text(ARM)
    assert STANDS_AT in text
    bench = bench_with_arm(spinner, monkeypatch, tmp_path / "arm.urdf", text)
    answer = ask(bench)
    assert answer.success and answer.targets and "out of reach" not in answer.message, answer.message
    every = bench.node.set_parameters([Parameter("arm.reachable_only", value=False)])[0]
    assert every.successful and len(ask(bench).targets) >= len(answer.targets)


def test_targets_out_of_reach_are_none_with_the_reason(spinner, monkeypatch, tmp_path):
    far = urdf_text(ARM).replace(STANDS_AT, 'xyz="1.9 0 0"')
    bench = bench_with_arm(spinner, monkeypatch, tmp_path / "arm.urdf", far)
    answer = ask(bench)
    assert answer.error_code == ErrorCode.NOT_FOUND and not answer.targets and not answer.success
    assert "grasps were found" in answer.message and "of these 0 for this arm, out of reach: " in answer.message


def test_an_arm_whose_place_is_not_known_is_no_arm_out_of_reach(spinner, monkeypatch, tmp_path):
    path = tmp_path / "arm.urdf"
    path.write_text(urdf_text(ARM))
    bench = ros_support.Bench(
        spinner, monkeypatch, robot__urdf=str(path), robot__required=False, robot__timeout_s=0.0, arm__reachable_only=True,
        arm__tip_link="tool0", grasp__gripper__max_width_m=0.2,
    ).start()  # fmt: skip
    bench.until(lambda: bench.instances() and bench.instances()[-1].instances, "results")
    answer = ask(bench)
    assert answer.error_code == ErrorCode.TF_FAILURE and not answer.targets
    assert answer.message.startswith("arm.reachable_only: where the robot stands is not known: joint states: ")


def test_a_link_that_the_robot_has_not_is_named(spinner, monkeypatch, tmp_path):
    bench = bench_with_arm(spinner, monkeypatch, tmp_path / "arm.urdf", urdf_text(ARM), arm__tip_link="hand")
    answer = ask(bench)
    assert answer.error_code == ErrorCode.INVALID_REQUEST
    assert answer.message.startswith("arm.reachable_only: ArmNames.tip: expected a link of the URDF (")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"arm__reachable_only": True}, "arm.tip_link: expected a link of the robot"),
        ({"arm__reachable_only": True, "arm__tip_link": "tool0"}, "arm.reachable_only: expected robot.urdf or"),
        ({"arm__tip_from_grasp": [0.0, 0.0, 0.1]}, "arm.tip_from_grasp: expected 6 numbers, got 3"),
    ],
)
def test_settings_that_cannot_be(spinner, monkeypatch, values, words):
    bench = ros_support.Bench(spinner, monkeypatch, **values)
    assert bench.node.trigger_configure() == FAILURE
    assert words in bench.node.problem
