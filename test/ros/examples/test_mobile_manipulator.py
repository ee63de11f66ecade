"""The mobile manipulator: one tree of frames, cameras that look where they should, and a launch file that fits it."""

from __future__ import annotations

import ast
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import yaml
from places import ROOT

from pan3d_core.config import PipelineConfig
from pan3d_core.settings import nested_names, read_settings, walk_settings
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.parameters.unknown import unknown_to_perception

FOLDER = ROOT / "examples" / "mobile_manipulator"
JOINTS = {joint.find("child").get("link"): joint for joint in ElementTree.parse(FOLDER / "robot.urdf").getroot().iter("joint")}
LINKS = {link.get("name") for link in ElementTree.parse(FOLDER / "robot.urdf").getroot().iter("link")}
GIVEN = yaml.safe_load((FOLDER / "mobile.param.yaml").read_text())["/**"]["ros__parameters"]


def turned(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rotation of URDF's roll, pitch and yaw: about fixed axes, in this order."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(angle), math.sin(angle)) for angle in (roll, pitch, yaw))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    return np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ about_y @ about_x


def base_from(link: str) -> np.ndarray:
    """4x4 pose of a link in base_link, all joints at zero."""
    if link == "base_link":
        return np.eye(4)
    joint, pose = JOINTS[link], np.eye(4)
    origin = joint.find("origin")
    pose[:3, :3] = turned(*map(float, origin.get("rpy", "0 0 0").split()))
    pose[:3, 3] = [float(word) for word in origin.get("xyz", "0 0 0").split()]
    return base_from(joint.find("parent").get("link")) @ pose


def test_every_frame_hangs_on_the_base_alone():
    assert LINKS - set(JOINTS) == {"base_link"}, "a tree has one root"
    assert {f"{camera}_optical_frame" for camera in GIVEN["cameras"]} | {GIVEN["arm"]["tip_link"]} <= LINKS
    assert GIVEN["reference_frame"] not in LINKS, "the odometry moves the base in it"


def test_the_camera_on_the_mast_looks_down_onto_a_table_in_front():
    pose = base_from("head_optical_frame")
    forward, down = pose[:3, 2], pose[:3, 1]
    assert forward[0] > 0.5 and forward[2] < -0.5 and abs(forward[1]) < 1e-6, "z of an optical frame goes into the scene"
    assert down[2] < 0 and np.allclose(pose[:3, 0], [0, -1, 0], atol=1e-6), "x goes to the right"
    met = pose[:3, 3] + forward * (pose[2, 3] - 0.7) / -forward[2]  # where its middle meets a table of 0.7 m
    assert 0.3 < met[0] < 1.2


def test_its_parameters_are_read_by_the_node():
    def dotted(values, prefix=""):
        for name, value in values.items():
            yield from dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]

    given = dict(dotted(GIVEN))
    assert unknown_to_perception(given, GIVEN["cameras"]) == []
    for config in (NodeConfig(), PipelineConfig()):
        names = {name for name, _, _ in walk_settings(config)}
        read_settings(config, nested_names({name: value for name, value in given.items() if name in names}))


def test_the_launch_file_names_files_that_are_there():
    text = (FOLDER / "mobile.launch.py").read_text()
    compile(text, "mobile.launch.py", "exec")
    words = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert {name for name in words if name.endswith((".urdf", ".yaml"))} == {"robot.urdf", "mobile.param.yaml"}
    assert all((FOLDER / name).is_file() for name in ("robot.urdf", "mobile.param.yaml"))


def test_the_real_launch_starts_the_description_and_perception():
    pytest.importorskip("launch.actions")
    pytest.importorskip("launch_ros.actions")
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(FOLDER / "mobile.launch.py"))
    entities = source.try_get_launch_description_without_context().entities
    assert [type(entity).__name__ for entity in entities] == [
        "DeclareLaunchArgument", "Node", "Node", "IncludeLaunchDescription",
    ]  # fmt: skip
