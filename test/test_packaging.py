"""What colcon and pip make of the two packages."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_colcon_sees_both_packages_with_their_ros_types():
    pytest.importorskip("colcon_core")
    # A manifest that catkin_pkg rejects silently turns the type into plain "python", and the nodes are not found.
    run = subprocess.run(
        [sys.executable, "-m", "colcon", "--log-base", "/dev/null", "list", "--base-paths", ".", "pan3d_interfaces"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, env={**os.environ, "COLCON_LOG_LEVEL": "error"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = {line.split("\t")[0]: line.split("\t")[2] for line in run.stdout.splitlines()}
    assert found == {"pan3d_ros": "(ros.ament_python)", "pan3d_interfaces": "(ros.ament_cmake)"}


def manifest(folder: str) -> ElementTree.Element:
    return ElementTree.parse(ROOT / folder / "package.xml").getroot()


def setup_arguments() -> dict[str, ast.expr]:
    tree = ast.parse((ROOT / "setup.py").read_text())
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup")
    return {keyword.arg: keyword.value for keyword in call.keywords}


def test_versions_agree():
    versions = {manifest("").findtext("version"), manifest("pan3d_interfaces").findtext("version")}
    assert versions == {ast.literal_eval(setup_arguments()["version"])}


def test_every_message_package_that_is_imported_is_a_dependency():
    declared = {element.text for element in manifest("").iter("exec_depend")}
    imported = set()
    for path in (ROOT / "pan3d_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    messages = {name for name in imported if name.endswith(("_msgs", "_interfaces", "_srvs"))}
    assert messages - declared == set()


def test_every_interface_file_is_generated():
    listed = set(re.findall(r'"((?:msg|srv|action)/\w+\.\w+)"', (ROOT / "pan3d_interfaces/CMakeLists.txt").read_text()))
    files = [path for kind in ("msg", "srv", "action") for path in (ROOT / "pan3d_interfaces" / kind).iterdir()]
    there = {f"{path.parent.name}/{path.name}" for path in files}
    assert listed == there


def test_installed_files_exist_and_the_resource_marker_is_among_them():
    run = subprocess.run(
        [sys.executable, "-c", PRINT_DATA_FILES], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    files = ast.literal_eval(run.stdout)
    assert files["share/ament_index/resource_index/packages"] == ["resource/pan3d_ros"]
    assert files["share/pan3d_ros"] == ["package.xml"]
    assert "launch/perception.launch.py" in files["share/pan3d_ros/launch"]
    assert "rviz/pan3d.rviz" in files["share/pan3d_ros/rviz"]
    assert all((ROOT / name).is_file() for names in files.values() for name in names)


def test_everything_that_is_not_python_is_installed_too(tmp_path):
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    packages = ("pan3d_core", "pan3d_sim", "pan3d_ros")
    needed = [p.relative_to(ROOT) for name in packages for p in (ROOT / name).rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert [str(path) for path in needed if not (tmp_path / path).is_file()] == []


PRINT_DATA_FILES = """
import setuptools
found = {}
setuptools.setup = lambda **arguments: found.update(arguments)
exec(compile(open("setup.py").read(), "setup.py", "exec"), {"__file__": "setup.py", "__name__": "__main__"})
print(dict(found["data_files"]))
"""


def test_console_scripts_exist():
    scripts = ast.literal_eval(setup_arguments()["entry_points"])["console_scripts"]
    for script in scripts:
        module, function = script.split(" = ")[1].split(":")
        place = ROOT / module.replace(".", "/")
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        assert path.is_file(), script
        names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert function in names, script


def test_exact_pins_cover_every_ros_wheel():
    pinned = set((ROOT / "requirements/pins.txt").read_text().splitlines())
    ros = [line for line in (ROOT / "requirements/ros_jazzy.txt").read_text().splitlines() if line.startswith("ros-")]
    assert len(ros) > 80
    assert {line.replace("[fastrtps]", "") for line in ros} <= pinned
    assert not any(line.startswith("torchvision") for line in pinned)


def test_the_licence_is_the_whole_apache_licence():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert manifest("").findtext("license") == "Apache-2.0"
