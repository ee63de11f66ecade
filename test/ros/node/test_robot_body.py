"""The node hears the robot: its body is no object, and where it is not known nothing is passed on in silence."""

import pytest
import ros_support
from diagnostic_msgs.msg import DiagnosticStatus
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from robot_arms import BOX, gantry_urdf
from std_msgs.msg import String

from pan3d_core.memory import ObjectState
from pan3d_ros.messages.clouds import cloud_from_message
from pan3d_ros.perception_node import FAILURE, SUCCESS

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
BLUE_AT = 0.15  # x of the blue block, which is the robot here: rows 22 to 33, columns 46 to 55 at 0.55 m
URDF = gantry_urdf().replace(BOX.format(xyz="0 0 0.2", size="0.04 0.5 0.3"), BOX.format(xyz="0 0 0.025", size="0.1 0.12 0.05"))


@pytest.fixture
def urdf(tmp_path):
    path = tmp_path / "robot.urdf"
    path.write_text(URDF)
    return str(path)


def colors(bench):
    seen = [item for item in bench.instances()[-1].instances if item.state != item.LOST]
    return sorted("red" if item.color_rgb[0] > item.color_rgb[2] else "blue" for item in seen)


def started(spinner, monkeypatch, joint="slide", **overrides):
    bench = ros_support.Bench(spinner, monkeypatch, robot__timeout_s=2.0, **overrides)
    robot = ros_support.Joints(bench.rig, {joint: BLUE_AT})
    return bench.start(), robot


def test_the_robot_is_no_object_and_no_obstacle(spinner, monkeypatch, urdf):
    bench, robot = started(spinner, monkeypatch, robot__urdf=urdf)
    bench.until(lambda: len(bench.instances()) > 2, "results")
    assert colors(bench) == ["red"]
    bench.until(lambda: bench.listener.shows("robot", OK, "the robot's body is taken out: "), "the robot in /diagnostics")
    points = cloud_from_message(bench.listener.received["points"][-1])
    near = (abs(points["x"] - BLUE_AT) < 0.05) & (abs(points["y"]) < 0.06) & (points["z"] > 0.02)
    assert not near.any()

    # It moves away: what it hid is the table, and the blue block is an object.
    robot.positions["slide"] = -0.6
    bench.until(lambda: colors(bench) == ["blue", "red"], "the blue block is seen beside the robot")

    # Its joint states stop: no view is used, who asks is told why, and so is /diagnostics.
    robot.silent = True
    bench.until(lambda: bench.listener.shows("robot", ERROR, "joint states on /joint_states: silent for"), "silence is told")
    assert "its views are dropped" in bench.listener.status("robot").message
    count = len(bench.instances())
    answer = bench.call(SegmentObject, "segment_object", publish=True, prompt="the block", timeout=3.0)
    assert answer.error_code == ErrorCode.TF_FAILURE and "front: joint states: the newest position of slide is" in answer.message
    assert len(bench.instances()) <= count + 1
    robot.silent = False
    bench.until(lambda: len(bench.instances()) > count + 3, "results again")
    bench.until(lambda: bench.listener.shows("robot", OK, "taken out"), "all is well again")


def test_a_joint_of_which_nobody_tells_is_named(spinner, monkeypatch, urdf):
    bench, _ = started(spinner, monkeypatch, joint="wheel", robot__urdf=urdf)
    words = "joint states: expected positions of slide, got none of slide but of wheel"
    bench.until(lambda: bench.listener.shows("robot", ERROR, words), "the missing joint is told")
    assert not bench.instances()


def test_a_robot_that_is_not_required_is_passed_on_with_words(spinner, monkeypatch, urdf):
    bench, robot = started(spinner, monkeypatch, robot__urdf=urdf, robot__required=False)
    robot.silent = True
    bench.node.set_parameters([Parameter("robot.timeout_s", value=0.0)])
    bench.until(lambda: bench.instances() and colors(bench) == ["blue", "red"], "results with the robot in them")
    words = "; it is not taken out, and may be an object or an obstacle"
    bench.until(lambda: bench.listener.shows("robot", ERROR, words), "a word of it")


def test_the_description_comes_on_a_topic(spinner, monkeypatch):
    bench, _ = started(spinner, monkeypatch, robot__description_topic="robot_description")
    bench.until(lambda: bench.listener.shows("robot", ERROR, "no description has come on /robot_description"), "it is missed")
    assert not bench.instances()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = bench.rig.create_publisher(String, "robot_description", latched)
    publisher.publish(String(data="<robot name='r'><link name='a'/></robot>"))
    bench.until(lambda: bench.listener.shows("robot", ERROR, "expected a visual or collision geometry"), "a bad one is told")
    publisher.publish(String(data=URDF))
    bench.until(lambda: bench.instances() and colors(bench) == ["red"], "results without the robot")


def test_what_it_holds_belongs_to_it(spinner, monkeypatch, urdf):
    bench, robot = started(spinner, monkeypatch, robot__urdf=urdf)
    bench.until(lambda: bench.instances() and colors(bench) == ["red"], "results")
    red = bench.instances()[-1].instances[0].id
    bench.hold(red, "hand")
    bench.until(lambda: bench.listener.shows("robot", ERROR, "got 'hand'"), "an unknown link is told")
    bench.hold(red + 50, "carriage")
    bench.until(lambda: bench.listener.shows("robot", ERROR, f"got {red + 50}"), "an unknown object is told")
    bench.hold(red, "carriage")
    bench.until(lambda: colors(bench) == [], "what is held is no object")
    bench.until(lambda: bench.listener.shows("robot", OK, "taken out"), "all is well")
    memory = bench.node.models.memory()
    assert [item.state for item in memory.world.objects] == [ObjectState.HELD]
    bench.hold(0, "")
    bench.until(lambda: colors(bench) == ["red"], "what was let go is one again")
    assert robot.positions == {"slide": BLUE_AT}


def test_a_bad_description_is_a_failure_to_configure(spinner, monkeypatch, tmp_path):
    path = tmp_path / "robot.urdf"
    path.write_text("<robot name='r'><link name='a'/></robot>")
    bench = ros_support.Bench(spinner, monkeypatch, robot__urdf=str(path))
    assert bench.node.trigger_configure() == FAILURE
    assert f"{path}: expected a visual or collision geometry at some link" in bench.node.problem
    mesh = '<geometry><mesh filename="package://arm/gone.stl"/></geometry>'
    path.write_text(URDF.replace('<geometry><box size="0.1 0.12 0.05"/></geometry>', mesh))
    assert bench.node.trigger_configure() == FAILURE
    assert f"{path}: link carriage.geometry.mesh: expected the file package://arm/gone.stl, got none" in bench.node.problem
    path.write_text(URDF)
    assert bench.node.trigger_configure() == SUCCESS
    both = ros_support.Bench(spinner, monkeypatch, robot__urdf=str(path), robot__description_topic="robot_description")
    assert both.node.trigger_configure() == FAILURE
    assert "robot.description_topic: expected none beside robot.urdf" in both.node.problem
