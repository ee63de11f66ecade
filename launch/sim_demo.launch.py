"""The simulated robot cell and the perception node: `ros2 launch pan3d_ros sim_demo.launch.py seed:=3 use_depth:=true`."""

import sys

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from pan3d_ros.platform.launch_arguments import (
    flag,
    in_enclave,
    misspelt_arguments,
    refuse_unknown_arguments,
    simulated_camera_names,
    whole_number,
)

ARGUMENTS = (
    ("namespace", "", "namespace of both nodes"),
    ("seed", "0", "scene"),
    ("arrangement", "separated", "separated, pile or packed"),
    ("num_objects", "6", "objects on the table"),
    ("num_cameras", "4", "fixed cameras around the table"),
    ("rate", "2.0", "view sets per second"),
    ("use_depth", "", "true: depth cameras, and perception subscribes to them"),
    ("support_height", "", "what perception is told of the table's height: empty = the true 0.0, nan = unknown"),
    ("params_file", "", "YAML file with parameters of perception"),
    (
        "model",
        "",
        "engine: pan3d-mini, pan3d-mini-fast3dis, pan3d-mini-eps3d, eps3d, fast3dis, segvggt, da3, mapanything or "
        "depth_clusters (depth)",
    ),
    ("weights", "", "checkpoint file"),
    ("device", "", "auto, cpu, cuda or cuda:N"),
    ("autostart", "", "configure and activate perception at once; true unless params_file says"),
    ("enclave", "", "of the perception node in the keystore, as /pan3d/perception, where security (SROS 2) is on"),
    ("cell_enclave", "", "of the simulated cell, as /pan3d/cell"),
    ("log_level", "info", "debug, info, warn or error"),
    ("rviz", "false", "start RViz"),
)
PASSED_ON = ("namespace", "use_depth", "params_file", "model", "weights", "device", "autostart", "enclave", "log_level", "rviz")


def cell_and_perception(context: LaunchContext) -> list[Node | IncludeLaunchDescription]:
    names = [name for name, _, _ in ARGUMENTS]
    refuse_unknown_arguments(__file__, context.argv, names, sys.argv)
    for sentence in misspelt_arguments(context.launch_configurations, names):
        get_logger("sim_demo.launch.py").warning(sentence)
    values = {name: context.perform_substitution(LaunchConfiguration(name)) for name, _, _ in ARGUMENTS}
    cameras = simulated_camera_names(values["num_cameras"])
    cell = Node(
        package="pan3d_ros",
        executable="sim_node",
        name="pan3d_cell",
        namespace=values["namespace"],
        parameters=[
            {
                "seed": whole_number("seed", values["seed"]),
                "arrangement": values["arrangement"],
                "num_objects": whole_number("num_objects", values["num_objects"]),
                "num_cameras": len(cameras),
                "rate_hz": float(values["rate"]),
                "publish_depth": flag("use_depth", values["use_depth"] or "false"),
            }
        ],
        arguments=["--ros-args", *in_enclave(values["cell_enclave"])],
        output="screen",
    )
    arguments = {name: values[name] for name in PASSED_ON}
    arguments |= {
        "cameras": ",".join(cameras),
        "reference_frame": "base_link",
        "support_height": values["support_height"] or "0.0",
    }
    source = PathJoinSubstitution([FindPackageShare("pan3d_ros"), "launch", "perception.launch.py"])
    perception = IncludeLaunchDescription(PythonLaunchDescriptionSource(source), launch_arguments=arguments.items())
    # The perception launch file sets the DDS profile, so it comes first: both processes need it.
    return [perception, cell]


def generate_launch_description() -> LaunchDescription:
    declared = [DeclareLaunchArgument(name, default_value=default, description=text) for name, default, text in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=cell_and_perception)])
