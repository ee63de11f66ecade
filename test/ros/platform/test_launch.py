"""The launch files: arguments, and what becomes of them. The files themselves run where launch is installed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from places import ROOT

from pan3d_ros.platform.launch_arguments import (
    PERCEPTION_PARAMETERS,
    camera_names,
    perception_overrides,
    refuse_unknown_arguments,
    simulated_camera_names,
)

LAUNCH = ROOT / "launch"
FILES = sorted(LAUNCH.glob("*.launch.py"))


def declared(path: Path) -> dict[str, str]:
    """Argument -> default of a launch file, from its source."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENTS":
            return {name: default for name, default, _ in ast.literal_eval(node.value)}
    raise AssertionError(f"{path} declares no ARGUMENTS")


def test_arguments_that_are_empty_leave_the_parameter_file_alone():
    assert perception_overrides({"cameras": "", "model": " ", "autostart": "true"}) == {"autostart": True}


def test_arguments_become_typed_parameters():
    values = {"cameras": "front, wrist", "use_depth": "False", "support_height": "-0.02", "model": "depth_clusters"}
    assert perception_overrides(values) == {
        "cameras": ["front", "wrist"],
        "input.use_depth": False,
        "workspace.support_height_m": -0.02,
        "model.name": "depth_clusters",
    }


@pytest.mark.parametrize(
    ("name", "text"), [("cameras", "front,,wrist"), ("cameras", "a,a"), ("use_depth", "yes"), ("support_height", "table")]
)
def test_an_argument_that_cannot_be_read_is_named(name, text):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        perception_overrides({name: text})


def test_an_unknown_launch_argument_is_refused_with_the_one_that_was_meant():
    command = ["ros2", "launch", "pan3d_ros", "perception.launch.py", "modle:=da3"]
    with pytest.raises(ValueError, match=r"modle: no such launch argument; did you mean model\?; there are model, device"):
        refuse_unknown_arguments("/share/perception.launch.py", ["modle:=da3"], ["model", "device"], command)
    refuse_unknown_arguments("/share/perception.launch.py", ["model:=da3", "--debug"], ["model"], command)
    # Included by another launch file, whose arguments these are.
    refuse_unknown_arguments(
        "/share/perception.launch.py", ["robot:=x"], ["model"], ["ros2", "launch", "mine", "robot.launch.py"]
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_launch_file_refuses_unknown_arguments(path):
    assert "refuse_unknown_arguments(__file__, context.argv, " in path.read_text()


def test_camera_names_of_yaml_style_lists_are_understood():
    assert camera_names("[front, wrist]") == ["front", "wrist"]


@pytest.mark.parametrize("count", ["0", "17", "four", "-1"])
def test_a_wrong_number_of_simulated_cameras_is_refused(count):
    with pytest.raises(ValueError, match="num_cameras"):
        simulated_camera_names(count)


def test_the_common_arguments_exist():
    names = declared(LAUNCH / "perception.launch.py")
    common = {"namespace", "params_file", "use_sim_time", "use_respawn", "autostart", "log_level", "rviz", "device", "model"}
    assert common <= set(names)
    assert set(PERCEPTION_PARAMETERS) <= set(names)


def test_what_the_demo_passes_on_is_known_to_perception():
    tree = ast.parse((LAUNCH / "sim_demo.launch.py").read_text())
    passed = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PASSED_ON"
    )
    assert set(passed) <= set(declared(LAUNCH / "perception.launch.py"))
    assert set(passed) <= set(declared(LAUNCH / "sim_demo.launch.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_launch_files_compile(path):
    compile(path.read_text(), str(path), "exec")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_launch_files_describe_something_where_launch_is_installed(path):
    # The folder of launch files makes `import launch` succeed as an empty package, so ask for a name in it.
    pytest.importorskip("launch.actions")
    pytest.importorskip("launch_ros.actions")
    from launch.actions import DeclareLaunchArgument
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    description = PythonLaunchDescriptionSource(str(path)).try_get_launch_description_without_context()
    names = {entity.name for entity in description.entities if isinstance(entity, DeclareLaunchArgument)}
    assert names == set(declared(path))
