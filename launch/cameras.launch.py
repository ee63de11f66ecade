"""Drivers, mountings and perception: `ros2 launch pan3d_ros cameras.launch.py cameras:=left,right drivers:=realsense`."""

import sys
import tempfile
from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from pan3d_ros.platform.camera_drivers import Camera, camera_parameters, mountings, read_cameras
from pan3d_ros.platform.launch_arguments import flag, misspelt_arguments, perception_overrides, refuse_unknown_arguments

ARGUMENTS = (
    ("cameras", "", "names of the cameras, separated by commas; frames and topics are named after them"),
    ("drivers", "realsense", "realsense, orbbec, zed, depthai or usb_cam: one for all, or one for each camera"),
    ("serials", "", "serial number of each camera, wanted when there are several of a kind; of usb_cam the device, /dev/video0"),
    ("models", "", "camera_model of zed and depthai, launch file of orbbec (gemini_330_series), calibration file of usb_cam"),
    ("mountings", "", "YAML file with where cameras are mounted, as config/camera_mountings.yaml; empty: the robot's /tf has it"),
    ("perception", "true", "false: the drivers and mountings alone"),
    ("params_file", "", "YAML file with parameters of perception; they win over those that follow from the cameras"),
    ("reference_frame", "", "frame of everything that is published"),
    (
        "model",
        "",
        "engine: pan3d-mini, pan3d-mini-fast3dis, pan3d-mini-eps3d, eps3d, fast3dis, segvggt, da3, mapanything or "
        "depth_clusters (depth)",
    ),
    ("device", "", "auto, cpu, cuda or cuda:N"),
    ("use_depth", "", "false: depth is not used although the cameras have it"),
    ("compressed", "false", "true: take images and depth as image_transport compresses them"),
    ("support_height", "", "height of the table in the reference frame, metres"),
    ("enclave", "", "of the perception node in the keystore, as /pan3d/perception, where security (SROS 2) is on"),
    ("log_level", "info", "debug, info, warn or error"),
    ("rviz", "false", "start RViz"),
)
PASSED_ON = ("reference_frame", "model", "device", "support_height", "enclave", "log_level", "rviz")


def written(content: object) -> str:
    """Path of a new parameter file."""
    folder = Path(tempfile.mkdtemp(prefix="pan3d_cameras_"))
    (folder / "cameras.param.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(folder / "cameras.param.yaml")


def driver(camera: Camera) -> Node | GroupAction:
    """What starts a camera."""
    kind = camera.driver
    parameters = camera.filled(kind.parameters)
    if kind.executable:
        return Node(
            package=kind.package, executable=kind.executable, name="driver", namespace=camera.name, parameters=[parameters]
        )
    arguments = {**kind.arguments, **(kind.serial_argument if camera.serial else {})}
    if parameters:
        arguments["params_file"] = written({"/**": {"ros__parameters": parameters}})
    source = PathJoinSubstitution([FindPackageShare(kind.package), "launch", camera.filled(kind.launch)])
    included = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(source), launch_arguments=list(camera.filled(arguments).items())
    )
    # A scope of its own, so that the arguments of one camera's driver, and ours, are not taken for those of the next.
    return GroupAction([included], scoped=True, forwarding=False)


def started(context: LaunchContext) -> list[Node | GroupAction | IncludeLaunchDescription]:
    names = [name for name, _, _ in ARGUMENTS]
    refuse_unknown_arguments(__file__, context.argv, names, sys.argv)
    for sentence in misspelt_arguments(context.launch_configurations, names):
        get_logger("cameras.launch.py").warning(sentence)
    values = {name: context.perform_substitution(LaunchConfiguration(name)) for name, _, _ in ARGUMENTS}
    cameras = read_cameras(values)
    actions: list[Node | GroupAction | IncludeLaunchDescription] = [driver(camera) for camera in cameras]
    if values["mountings"]:
        for words in mountings(Path(values["mountings"]), cameras, get_logger("cameras").warning):
            actions.append(Node(package="tf2_ros", executable="static_transform_publisher", arguments=words))
    if flag("perception", values["perception"]):
        compressed = flag("compressed", values["compressed"])
        depth = perception_overrides({"use_depth": values["use_depth"]})
        parameters = camera_parameters(cameras, use_depth=bool(depth.get("input.use_depth", True)), compressed=compressed)
        arguments = {name: values[name] for name in PASSED_ON}
        arguments["params_file"] = ",".join(filter(None, (written(parameters), values["params_file"])))
        source = PathJoinSubstitution([FindPackageShare("pan3d_ros"), "launch", "perception.launch.py"])
        actions.insert(0, IncludeLaunchDescription(PythonLaunchDescriptionSource(source), launch_arguments=arguments.items()))
    return actions


def generate_launch_description() -> LaunchDescription:
    declared = [DeclareLaunchArgument(name, default_value=default, description=text) for name, default, text in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=started)])
