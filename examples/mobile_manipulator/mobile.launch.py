"""A mobile manipulator: its description, and perception in the odometry's frame.

ros2 launch examples/mobile_manipulator/mobile.launch.py
ros2 launch examples/mobile_manipulator/mobile.launch.py standing:=true     # no base driver: odom is where it stands
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

HERE = Path(__file__).resolve().parent


def generate_launch_description() -> LaunchDescription:
    description = Node(
        package="robot_state_publisher",
        executable="robot_state_publisher",
        parameters=[{"robot_description": (HERE / "robot.urdf").read_text(encoding="utf-8")}],
    )
    # The driver of a base publishes this, from its wheels.
    odometry = Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        arguments=["--frame-id", "odom", "--child-frame-id", "base_link"],
        condition=IfCondition(LaunchConfiguration("standing")),
    )
    perception = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([FindPackageShare("pan3d_ros"), "launch", "perception.launch.py"])),
        launch_arguments=[("params_file", str(HERE / "mobile.param.yaml"))],
    )
    standing = DeclareLaunchArgument("standing", default_value="false", description="true: odom is where the base stands")
    return LaunchDescription([standing, description, odometry, perception])
