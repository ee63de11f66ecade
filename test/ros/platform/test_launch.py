"""The launch files: arguments, and what becomes of them. The files themselves run where launch is installed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from places import ROOT

from pan3d_core.engines import ENGINES
from pan3d_ros.platform.launch_arguments import (
    PERCEPTION_PARAMETERS,
    camera_names,
    flag,
    misspelt_arguments,
    parameter_sources,
    perception_overrides,
    refuse_unknown_arguments,
    simulated_camera_names,
    whole_number,
)

LAUNCH = ROOT / "launch"
FILES = sorted(LAUNCH.glob("*.launch.py"))


def described(path: Path) -> dict[str, str]:
    """Argument -> description of a launch file, from its source."""
    source = next(
        line for line in ast.parse(path.read_text()).body if getattr(getattr(line, "targets", [0])[0], "id", "") == "ARGUMENTS"
    )
    return {name: text for name, _, text in ast.literal_eval(source.value)}


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


FILE = """
/**:
  ros__parameters:
    cameras: [front]
    use_sim_time: true
    autostart: false
    global_services: false
"""


def in_force(sources, folder) -> dict[str, object]:
    """What a node at /perception/pan3d has of these sources, written to its command line as launch_ros does."""
    from pan3d_ros.perception_node import PerceptionNode

    words = ["--ros-args", "-r", "__ns:=/perception"]
    for number, source in enumerate(sources):
        if isinstance(source, dict):  # launch_ros gives it the section of the node's full name
            path = folder / f"launch_params_{number}"
            path.write_text(yaml.dump({"/perception/pan3d": {"ros__parameters": source}}))
            source = str(path)
        words += ["--params-file", source]
    node = PerceptionNode(cli_args=words, use_global_arguments=False)
    try:
        names = ("use_sim_time", "autostart", "global_services", "cameras")
        return {name: node.get_parameter(name).value for name in names}
    finally:
        node.destroy_node()


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("", {}, (False, True, True, [])),
        (FILE, {}, (True, False, False, ["front"])),
        (FILE, {"autostart": "true", "cameras": "left", "use_sim_time": "false"}, (False, True, False, ["left"])),
    ],
    ids=["defaults", "file", "arguments"],
)
def test_a_parameter_file_wins_over_launch_defaults_and_arguments_over_both(ros_context, tmp_path, text, arguments, expected):
    (tmp_path / "mine.yaml").write_text(text)
    given = dict.fromkeys(PERCEPTION_PARAMETERS, "") | {"params_file": str(tmp_path / "mine.yaml") if text else ""} | arguments
    sources = parameter_sources(str(ROOT / "config" / "launch_defaults.param.yaml"), given)
    found = in_force(sources, tmp_path)
    assert tuple(found.values()) == (*expected[:3], expected[3])


def test_a_parameter_file_that_is_missing_is_refused_and_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(FILE)
    assert parameter_sources("defaults.yaml", {"params_file": "~/mine.yaml"}) == ["defaults.yaml", str(tmp_path / "mine.yaml")]
    with pytest.raises(ValueError, match=f"^params_file: expected a file, got {tmp_path}/nowhere.yaml, which does not exist$"):
        parameter_sources("defaults.yaml", {"params_file": "mine.yaml,nowhere.yaml"})
    with pytest.raises(ValueError, match="which is a folder$"):
        parameter_sources("defaults.yaml", {"params_file": "~"})


@pytest.mark.parametrize("text", ["yes", "1", ""])
def test_what_is_neither_true_nor_false_is_named(text):
    with pytest.raises(ValueError, match=f"^use_respawn: expected true or false, got '{text}'$"):
        flag("use_respawn", text)
    assert flag("use_respawn", " True ") and not flag("use_respawn", "false")


@pytest.mark.parametrize("text", ["six", "-1", "1.5"])
def test_what_is_no_whole_number_is_named(text):
    with pytest.raises(ValueError, match=f"^seed: expected a whole number, got '{text}'$"):
        whole_number("seed", text)


def test_a_misspelt_argument_of_an_included_file_is_told_and_those_of_the_including_one_are_not():
    names = list(declared(LAUNCH / "perception.launch.py"))
    given = ["modle", "model", "robot_ip", "robot_namespace", *declared(LAUNCH / "cameras.launch.py")]
    assert misspelt_arguments(given, names) == ["modle: no argument of this launch file; did you mean model?"]


def test_no_launch_argument_with_a_parameter_has_a_default_of_its_own():
    for path in FILES:
        given = {name: default for name, default in declared(path).items() if name in PERCEPTION_PARAMETERS}
        assert not any(given.values()), f"{path.name}: a default here would win over parameter files: {given}"


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_show_args_lists_every_engine(path):
    listed = described(path)["model"].partition(": ")[2].partition(" (")[0].replace(" or ", ", ").split(", ")
    assert sorted(listed) == sorted(ENGINES)


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


def test_real_launch_hands_over_defaults_then_the_file_then_arguments(ros_context, tmp_path, monkeypatch):
    pytest.importorskip("launch.actions")
    pytest.importorskip("launch_ros.actions")
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch.utilities import perform_substitutions

    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "pan3d_ros").touch()
    (tmp_path / "share" / "pan3d_ros").symlink_to(ROOT)
    (tmp_path / "lib" / "pan3d_ros").mkdir(parents=True)
    executable = tmp_path / "lib" / "pan3d_ros" / "perception_node"
    executable.touch(mode=0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path), prepend=":")
    (tmp_path / "mine.yaml").write_text(FILE)
    context = LaunchContext(argv=[])
    context.launch_configurations.update(declared(LAUNCH / "perception.launch.py"))
    context.launch_configurations.update(params_file=str(tmp_path / "mine.yaml"), cameras="left", namespace="perception")
    source = PythonLaunchDescriptionSource(str(LAUNCH / "perception.launch.py"))
    (action,) = [e for e in source.get_launch_description(context).entities if type(e).__name__ == "OpaqueFunction"]
    (node,) = action.execute(context)
    node._perform_substitutions(context)
    words = [perform_substitutions(context, part) for part in node.cmd if type(part[0]).__name__ == "TextSubstitution"]
    files = [following for word, following in zip(words, words[1:]) if word == "--params-file"]
    assert files[:2] == [str(tmp_path / "share/pan3d_ros/config/launch_defaults.param.yaml"), str(tmp_path / "mine.yaml")]
    assert tuple(in_force(files, tmp_path).values()) == (True, False, False, ["left"])
