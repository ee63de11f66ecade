"""The node's grasps are for the jaws that the robot's description has, where that is wanted, and it says which jaws those are."""

import pytest
import ros_support
from diagnostic_msgs.msg import DiagnosticStatus
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import GetGraspTargets
from rclpy.qos import DurabilityPolicy, QoSProfile
from robot_arms import TURNING_URDF, gantry_urdf
from std_msgs.msg import String

from pan3d_ros.perception_node import FAILURE
from pan3d_sim.arm import ARM, urdf_text

OK, ERROR = DiagnosticStatus.OK, DiagnosticStatus.ERROR
WIDE_M = 0.2  # both blocks are wider than the 0.08 m of the gripper that is set
WIDE_ARM = urdf_text(ARM).replace('upper="0.04"', f'upper="{WIDE_M / 2}"')
FEW = {"grasp__num_pairs": 30, "grasp__num_directions": 4, "grasp__max_targets": 4}


def bench_of(spinner, monkeypatch, **overrides):
    values = {"arm__gripper_from_urdf": True, "robot__required": False, "robot__timeout_s": 0.0} | FEW | overrides
    return ros_support.Bench(spinner, monkeypatch, **values)


def ask(bench):
    bench.until(lambda: bench.instances() and bench.instances()[-1].instances, "results")
    blue = next(item for item in bench.instances()[-1].instances if item.color_rgb[2] > 0.5)
    return bench.call(GetGraspTargets, "get_grasp_targets", publish=True, instance_id=blue.id)


def test_jaws_of_the_description_take_what_those_that_are_set_do_not(spinner, monkeypatch, tmp_path):
    path = tmp_path / "arm.urdf"
    path.write_text(WIDE_ARM)
    bench = bench_of(spinner, monkeypatch, robot__urdf=str(path), arm__tip_link="tool0").start()
    answer = ask(bench)
    assert answer.success and 0.08 < max(target.opening for target in answer.targets) < WIDE_M + 1e-6, answer.message
    words = "finger_left and finger_right at gripper open from 0.0 to 200.0 mm by finger_left_joint"
    bench.until(lambda: bench.listener.shows("gripper", OK, words), "the gripper in /diagnostics")


def test_a_description_that_comes_by_topic(spinner, monkeypatch):
    bench = bench_of(spinner, monkeypatch, robot__description_topic="robot_description").start()
    answer = ask(bench)
    none = "arm.gripper_from_urdf: no description of the robot has come on robot_description"
    assert answer.error_code == ErrorCode.INVALID_REQUEST and answer.message == none
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = bench.rig.create_publisher(String, "robot_description", latched)
    publisher.publish(String(data=gantry_urdf()))
    words = "arm.gripper_from_urdf: fingers: expected two links that move against the same hand, got none"
    bench.until(lambda: bench.listener.shows("gripper", ERROR, words), "a robot without fingers is told")
    answer = ask(bench)
    assert answer.error_code == ErrorCode.INVALID_REQUEST and answer.message.startswith(words) and not answer.targets
    publisher.publish(String(data=WIDE_ARM))
    bench.until(lambda: bench.listener.shows("gripper", OK, "open from 0.0 to 200.0 mm"), "one with fingers is taken")
    assert ask(bench).success


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ("", {}, "arm.gripper_from_urdf: expected robot.urdf or robot.description_topic, got neither"),
        (WIDE_ARM, {"grasp__gripper__kind": "suction"}, "grasp.gripper.kind parallel, whose jaws are measured, got suction"),
        (gantry_urdf(), {}, "move against the same hand, got none; links that move: carriage (hand is arm.hand_link"),
        (WIDE_ARM, {"arm__finger_links": ["finger_left"]}, "fingers: expected two links, got finger_left"),
        (WIDE_ARM, {"arm__hand_link": "palm"}, "hand: expected of base_link, arm_base, shoulder"),
        (WIDE_ARM, {"arm__tip_link": "wrist_3"}, "grasp frame on wrist_3: expected an origin between the pads of finger"),
        (TURNING_URDF, {}, "fingers: expected left and right to open by equal shares"),
    ],
)  # fmt: skip
def test_a_node_without_jaws_to_measure_is_not_configured(spinner, monkeypatch, tmp_path, text, values, words):
    path = tmp_path / "arm.urdf"
    path.write_text(text)
    bench = bench_of(spinner, monkeypatch, **({"robot__urdf": str(path)} if text else {}), **values)
    assert bench.node.trigger_configure() == FAILURE
    assert words in bench.node.problem
