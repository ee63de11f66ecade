"""The perception node: `ros2 launch pan3d_ros perception.launch.py cameras:=front,wrist`."""

import os
import sys

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from pan3d_ros.platform.launch_arguments import flag, in_enclave, misspelt_arguments, parameter_sources, refuse_unknown_arguments

SHARE = FindPackageShare("pan3d_ros")
ARGUMENTS = (
    (
        "namespace",
        "",
        "of the node and of camera topics, as most drivers publish without one; each of several robots needs its own",
    ),
    (
        "params_file",
        "",
        "YAML files with parameters, separated by commas, later ones win; launch arguments that are not empty win over them",
    ),
    ("cameras", "", "names of the cameras, separated by commas"),
    ("reference_frame", "", "frame of everything that is published"),
    (
        "model",
        "",
        "engine: pan3d-mini, pan3d-mini-fast3dis, pan3d-mini-eps3d, eps3d, fast3dis, segvggt, da3, mapanything or depth_clusters",
    ),
    ("weights", "", "checkpoint file"),
    ("device", "", "auto, cpu, cuda or cuda:N"),
    ("use_depth", "", "true: subscribe to depth images"),
    ("static_extrinsics", "", "YAML file with the poses of fixed cameras"),
    ("support_height", "", "height of the table in the reference frame, metres"),
    ("global_services", "", "offer /segment_object and the other services without namespace too; true unless params_file says"),
    ("autostart", "", "configure and activate at once; true unless params_file says"),
    ("use_sim_time", "", "take the time from /clock; false unless params_file says"),
    ("use_respawn", "false", "start the node again when it dies"),
    ("enclave", "", "of the node in the keystore, as /pan3d/perception, where security (SROS 2) is on"),
    ("log_level", "info", "debug, info, warn or error"),
    ("rviz", "false", "start RViz"),
    (
        "cloud_transport",
        "",
        "a plugin of point_cloud_transport, as draco or zstd: ~/points is there as ~/points/draco too, for thin networks",
    ),
)


def perception(context: LaunchContext) -> list[Node]:
    names = [name for name, _, _ in ARGUMENTS]
    refuse_unknown_arguments(__file__, context.argv, names, sys.argv)
    for sentence in misspelt_arguments(context.launch_configurations, names):
        get_logger("perception.launch.py").warning(sentence)
    values = {name: context.perform_substitution(LaunchConfiguration(name)) for name, _, _ in ARGUMENTS}
    defaults = context.perform_substitution(PathJoinSubstitution([SHARE, "config", "launch_defaults.param.yaml"]))
    parameters = parameter_sources(defaults, values)
    node = Node(
        package="pan3d_ros",
        executable="perception_node",
        name="pan3d",
        namespace=values["namespace"],
        parameters=parameters,
        respawn=flag("use_respawn", values["use_respawn"]),
        respawn_delay=2.0,
        arguments=["--ros-args", "--log-level", values["log_level"], *in_enclave(values["enclave"])],
        output="screen",
    )
    if not (plugin := values["cloud_transport"].strip()):
        return [node]
    # The plugin publishes below the name of its output, which a remapping of that name does not reach.
    topics = {"in": "pan3d/points", f"out/{plugin}": f"pan3d/points/{plugin}"}
    clouds = Node(
        package="point_cloud_transport",
        executable="republish",
        name="pan3d_points",
        namespace=values["namespace"],
        parameters=[{"in_transport": "raw", "out_transport": plugin}],
        remappings=list(topics.items()),
        output="screen",
    )
    return [node, clouds]


def generate_launch_description() -> LaunchDescription:
    actions = [DeclareLaunchArgument(name, default_value=default, description=text) for name, default, text in ARGUMENTS]
    profile = PathJoinSubstitution([SHARE, "config", "fastdds_large.xml"])
    for variable in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        if variable not in os.environ:
            actions.append(SetEnvironmentVariable(variable, profile))
    # Threads that wait should sleep, not spin: beside other busy processes spinning makes the network ten times slower.
    if "OMP_WAIT_POLICY" not in os.environ:
        actions.append(SetEnvironmentVariable("OMP_WAIT_POLICY", "PASSIVE"))
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", PathJoinSubstitution([SHARE, "rviz", "pan3d.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
        output="screen",
    )
    return LaunchDescription([*actions, OpaqueFunction(function=perception), rviz])
