"""The cell's arm over ROS: trajectories on the topic, and where control_msgs is installed as goals of the action."""

import os
import subprocess
import sys
import time

import pytest
from places import ROOT
from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from pan3d_ros.platform.stand_ins import control_actions
from pan3d_sim.arm import ARM

SimNode = pytest.importorskip("pan3d_ros.sim_node", reason="needs the extra [sim]").SimNode
needs_control = pytest.mark.skipif(control_actions is None, reason="needs control_msgs, see docs/planning.md")
SETTINGS = {"arm": True, "arm_commands": True, "num_objects": 1, "num_cameras": 1, "width": 64, "height": 64, "rate_hz": 1.0}
PAN, ELBOW = "shoulder_pan_joint", "elbow_joint"


class Driver(Node):
    """Commands the arm and hears where it is."""

    def __init__(self):
        super().__init__("driver")
        self.cell = SimNode(parameter_overrides=[Parameter(name, value=value) for name, value in SETTINGS.items()])
        self.executor_ = SingleThreadedExecutor()
        for node in (self, self.cell):
            self.executor_.add_node(node)
        self.heard = {}
        self.create_subscription(JointState, "joint_states", self.hear, 10)
        self.topic = self.create_publisher(JointTrajectory, "joint_trajectory", 10)

    def hear(self, message):
        self.heard = dict(zip(message.name, message.position))

    def until(self, done, what, seconds=60.0):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"never happened: {what}; {self.heard}"
            self.executor_.spin_once(timeout_sec=0.05)

    def near(self, name, value):
        return abs(self.heard.get(name, 9.0) - value) < 0.02

    def close(self):
        self.executor_.shutdown()
        self.cell.close()
        for node in (self.cell, self):
            node.destroy_node()


@pytest.fixture
def driver(ros_context):
    driver = Driver()
    driver.until(lambda: driver.heard, "joint states")
    yield driver
    driver.close()


def way(name, *points):
    steps = [JointTrajectoryPoint(positions=[v], time_from_start=Duration(seconds=t).to_msg()) for t, v in points]
    return JointTrajectory(joint_names=[name], points=steps)


def test_a_trajectory_on_the_topic_is_followed_and_a_bad_one_is_not(driver):
    assert driver.near(ELBOW, ARM.away[2])
    driver.until(lambda: driver.topic.get_subscription_count(), "the cell listens")
    driver.topic.publish(way(PAN, (0.5, 0.2)))
    driver.until(lambda: driver.near(PAN, 0.2), "it went there")
    driver.topic.publish(way(PAN, (0.01, 3.0)))  # too fast for its joint
    driver.topic.publish(way("finger_left_joint", (0.5, 0.01)))
    driver.until(lambda: abs(driver.heard["finger_left_joint"] - 0.01) < 0.003, "the gripper closes")
    assert driver.near(PAN, 0.2) and abs(driver.heard["finger_right_joint"] - 0.01) < 0.004


@pytest.mark.slow
def test_the_example_brings_a_joint_somewhere(driver):
    program = [sys.executable, str(ROOT / "examples" / "manipulation" / "command_an_arm.py"), PAN, "0.3"]
    child = subprocess.Popen(program, env={**os.environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    driver.until(lambda: child.poll() is not None, "the example ends")
    said, errors = child.communicate()
    assert child.returncode == 0 and said == f"{PAN} is at 0.30\n", errors


class Goals:
    """One action client."""

    def __init__(self, driver):
        self.driver, self.feedback = driver, []
        self.client = ActionClient(driver, control_actions.FollowJointTrajectory, "follow_joint_trajectory")
        driver.until(self.client.server_is_ready, "the action is there")

    def send(self, trajectory, **fields):
        goal = control_actions.FollowJointTrajectory.Goal(trajectory=trajectory, **fields)
        sent = self.client.send_goal_async(goal, feedback_callback=lambda message: self.feedback.append(message.feedback))
        self.driver.until(sent.done, "the goal is taken")
        assert sent.result().accepted
        return sent.result(), sent.result().get_result_async()

    def result(self, answer):
        self.driver.until(answer.done, "the goal is over")
        return answer.result().status, answer.result().result


SUCCEEDED, CANCELED, ABORTED = 4, 5, 6


@needs_control
def test_goals_end_as_those_of_a_controller_do(driver):
    from control_msgs.msg import JointTolerance

    goals, kinds = Goals(driver), control_actions.FollowJointTrajectory.Result
    _, answer = goals.send(way(PAN, (0.5, 0.2)))
    status, result = goals.result(answer)
    assert (status, result.error_code) == (SUCCEEDED, kinds.SUCCESSFUL) and driver.near(PAN, 0.2)
    assert goals.feedback and list(goals.feedback[-1].joint_names) == [PAN]
    last = goals.feedback[-1]
    assert last.error.positions[0] == pytest.approx(last.desired.positions[0] - last.actual.positions[0])

    _, answer = goals.send(way("wheel", (0.5, 0.2)))
    status, result = goals.result(answer)
    assert (status, result.error_code) == (ABORTED, kinds.INVALID_JOINTS) and "got ['wheel']" in result.error_string

    old = way(PAN, (0.5, 0.0))
    old.header.stamp.sec = 1
    status, result = goals.result(goals.send(old)[1])
    assert (status, result.error_code) == (ABORTED, kinds.OLD_HEADER_TIMESTAMP)

    handle, answer = goals.send(way(PAN, (5.0, -1.0)))
    driver.until(lambda: driver.heard[PAN] < 0.15, "it is on its way")
    handle.cancel_goal_async()
    status, result = goals.result(answer)
    assert status == CANCELED and "stays where it is" in result.error_string and driver.heard[PAN] > -0.9

    _, first = goals.send(way(PAN, (5.0, -1.0)))
    _, second = goals.send(way(PAN, (0.5, driver.heard[PAN])))
    assert goals.result(first)[1].error_string == "another goal has come"
    assert goals.result(second)[0] == SUCCEEDED

    strict = [JointTolerance(name=ELBOW, position=1e-5)]
    _, answer = goals.send(way(ELBOW, (0.5, driver.heard[ELBOW] + 0.3)), path_tolerance=strict)
    status, result = goals.result(answer)
    assert (status, result.error_code) == (ABORTED, kinds.PATH_TOLERANCE_VIOLATED)
    assert f"{ELBOW} is off by " in result.error_string and "allowed are 0.000" in result.error_string
    strict = [JointTolerance(name=ELBOW, position=1e-7)]
    late = Duration(seconds=0.2).to_msg()
    _, answer = goals.send(way(ELBOW, (0.3, driver.heard[ELBOW] + 0.1)), goal_tolerance=strict, goal_time_tolerance=late)
    assert goals.result(answer)[1].error_code == kinds.GOAL_TOLERANCE_VIOLATED
