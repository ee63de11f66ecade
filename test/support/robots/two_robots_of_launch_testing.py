"""For launch_testing's own program: perception of two robots in one launch file, which both answer and end without an error."""

import time
import unittest

import launch_testing
import rclpy
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
from lifecycle_msgs.srv import GetState

ROBOTS = ("left", "right")
PATIENCE_S = 120.0


def generate_test_description() -> LaunchDescription:
    """Each robot with arguments of its own, and no global names."""
    path = PathJoinSubstitution([FindPackageShare("pan3d_ros"), "launch", "perception.launch.py"])
    common = {"model": "depth_clusters", "use_depth": "true", "global_services": "false", "cameras": "front"}
    groups = [
        GroupAction([
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(path), launch_arguments=list((common | {"namespace": robot}).items())
            )
        ])
        for robot in ROBOTS
    ]  # fmt: skip
    return LaunchDescription([*groups, ReadyToTest()])


class TestRobots(unittest.TestCase):
    """While both run."""

    def test_both_become_active(self) -> None:
        rclpy.init()
        node = rclpy.create_node("asker")
        self.addCleanup(rclpy.shutdown)
        self.addCleanup(node.destroy_node)
        deadline = time.monotonic() + PATIENCE_S
        for robot in ROBOTS:
            client, label = node.create_client(GetState, f"/{robot}/pan3d/get_state"), ""
            while label != "active":
                self.assertLess(time.monotonic(), deadline, f"{robot} is {label or 'not there'}")
                if client.wait_for_service(0.2):
                    future = client.call_async(GetState.Request())
                    rclpy.spin_until_future_complete(node, future, timeout_sec=5.0)
                    label = future.result().current_state.label if future.done() else label
        names = [name for name, _ in node.get_service_names_and_types()]
        self.assertNotIn("/segment_object", names)
        self.assertLessEqual({f"/{robot}/pan3d/segment_object" for robot in ROBOTS}, set(names))


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """When launch has ended them."""

    def test_both_ended_well(self, proc_info) -> None:
        assertExitCodes(proc_info)
