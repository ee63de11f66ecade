"""Launch files in other launch files, with programs that only write down how they were called.

They are started by the real launch where it is installed, and by the stand-in of the tests, which does the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from launched import launch_command, launch_environment, package_index, real_launch_is_here
from places import ROOT

NEEDS_REAL = pytest.mark.skipif(not real_launch_is_here(), reason="launch and launch_ros are not installed")
PROGRAM = """#!/bin/sh
# What a node was called with, and the parameter files as long as they are there.
out=$(mktemp "$CALLS/call_XXXXXX")
echo "$(basename "$0")" "$FASTDDS_DEFAULT_PROFILES_FILE" "$OMP_WAIT_POLICY" "$@" > "$out"
for word in "$@"; do case "$word" in *.yaml | */launch_params_*) echo "---" >> "$out"; cat "$word" >> "$out" ;; esac; done
"""
PROGRAMS = {
    "pan3d_ros": ("perception_node", "sim_node"),
    "usb_cam": ("usb_cam_node_exe",),
    "point_cloud_transport": ("republish",),
    "tf2_ros": ("static_transform_publisher",),
}


class ListLoader(yaml.SafeLoader):
    """launch_ros writes lists as tuples of Python, which the nodes' own parser takes for lists."""


ListLoader.add_constructor("tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node))


class Runs:
    """Starts launch files by `by`, "real" or "stand-in", in packages whose programs only write down how they were called."""

    def __init__(self, folder: Path, by: str) -> None:
        programs = {package: dict.fromkeys(names, PROGRAM) for package, names in PROGRAMS.items()}
        self._folder, self._by = folder / by, by
        self.said: list[str] = []
        self._environment = os.environ | {
            "AMENT_PREFIX_PATH": package_index(self._folder, programs),
            "CALLS": str(self._folder / "calls"),
            "ROS_LOG_DIR": str(self._folder / "log"),
            "TMPDIR": str(self._folder),  # for the parameter files that launch leaves
        }
        for variable in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "OMP_WAIT_POLICY"):
            self._environment.pop(variable, None)
        (self._folder / "calls").mkdir()

    def __call__(self, *included: str) -> list[tuple[list[str], dict[str, object]]]:
        """Included launch files -> the calls that came of them, each words and parameters."""
        command = launch_command(included, real=self._by == "real")
        finished = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=200)
        self.said.append(finished.stdout + finished.stderr)
        assert finished.returncode == 0, self.said[-1]
        calls = []
        for path in sorted((self._folder / "calls").iterdir()):
            words, *files = path.read_text().split("---\n")
            parameters: dict[str, object] = {}
            for text in files:
                (section,) = yaml.load(text, Loader=ListLoader).values()
                parameters |= section["ros__parameters"]
            calls.append((words.split(), parameters))
        return calls


@pytest.fixture(params=[pytest.param("real", marks=NEEDS_REAL), "stand-in"])
def run(tmp_path: Path, request) -> Runs:
    return Runs(tmp_path, request.param)


def test_perception_of_two_robots_is_included_twice_with_arguments_of_its_own(run):
    calls = run(
        'included("perception", namespace="left", cameras="front", support_height="0.1", global_services="false")',
        'included("perception", namespace="right", cameras="front,wrist")',
    )
    found = {next(word for word in words if word.startswith("__ns:=")): parameters for words, parameters in calls}
    left, right = found["__ns:=/left"], found["__ns:=/right"]
    assert (left["cameras"], left["workspace.support_height_m"], left["global_services"]) == (["front"], 0.1, False)
    assert (right["cameras"], right["global_services"]) == (["front", "wrist"], True)
    assert "workspace.support_height_m" not in right and len(calls) == 2


def test_the_cell_and_perception_are_included_together(run):
    calls = run('included("sim_demo", seed="5", num_cameras="2")')
    found = {words[0]: parameters for words, parameters in calls}
    assert not any("--enclave" in words for words, _ in calls)
    assert found["sim_node"]["seed"] == 5 and found["perception_node"]["cameras"] == ["camera_0", "camera_1"]


def test_each_node_is_put_into_its_enclave_where_one_is_named(run):
    calls = run('included("sim_demo", num_cameras="2", enclave="/pan3d/perception", cell_enclave="/pan3d/cell")')
    enclaves = {words[0]: words[words.index("--enclave") + 1] for words, _ in calls}
    assert enclaves == {"sim_node": "/pan3d/cell", "perception_node": "/pan3d/perception"}


def test_perception_beside_drivers_is_put_into_its_enclave(run):
    driven = 'cameras="web", drivers="usb_cam", serials="0", models="/a.yaml"'
    calls = run(f'included("cameras", {driven}, enclave="/pan3d/perception")')
    enclaves = {words[0]: words[words.index("--enclave") + 1] for words, _ in calls if "--enclave" in words}
    assert len(calls) == 2 and enclaves == {"perception_node": "/pan3d/perception"}


def test_cameras_are_included_with_their_driver_mountings_and_perception(run, tmp_path):
    (tmp_path / "mine.yaml").write_text("web: {parent: tool0, xyz: [0, 0, 0.1], xyzw: [0, 0, 0, 1]}")
    arguments = 'cameras="web", drivers="usb_cam", serials="/dev/video3", models="/home/me/web.yaml"'
    calls = run(f'included("cameras", {arguments}, mountings="{tmp_path}/mine.yaml", support_height="0.2")')
    found = {words[0]: (words, parameters) for words, parameters in calls}
    assert set(found) == {"perception_node", "usb_cam_node_exe", "static_transform_publisher"}
    _, camera = found["usb_cam_node_exe"]
    assert (camera["video_device"], camera["camera_info_url"]) == ("/dev/video3", "file:///home/me/web.yaml")
    assert camera["frame_id"] == "web_optical_frame" and "__ns:=/web" in found["usb_cam_node_exe"][0]
    words, _ = found["static_transform_publisher"]
    assert words[words.index("--child-frame-id") + 1] == "web_optical_frame"
    _, perception = found["perception_node"]
    assert perception["camera"] == {"web": {"image_topic": "/web/image_raw", "info_topic": "/web/camera_info"}}
    assert perception["workspace.support_height_m"] == 0.2 and perception["transforms"] == {"source": "tf"}


def test_an_argument_that_an_including_file_misspells_is_told(run):
    run('included("perception", modle="da3", cameras="front")')
    assert "modle: no argument of this launch file; did you mean model?" in run.said[-1]
    run('included("sim_demo", num_cameras="2")')
    assert "no argument of this launch file" not in run.said[-1]


def test_a_parameter_file_that_is_missing_ends_the_launch_with_its_full_path(run, tmp_path):
    with pytest.raises(AssertionError, match="params_file: expected a file, got /.*/nowhere.yaml, which does not exist"):
        run('included("perception", cameras="front", params_file="nowhere.yaml")')


def test_compressed_clouds_are_published_beside_the_plain_ones(run):
    calls = run('included("perception", namespace="left", cameras="front", cloud_transport="draco")')
    ((words, parameters),) = [call for call in calls if call[0][0] == "republish"]
    assert parameters == {"in_transport": "raw", "out_transport": "draco"} and "__ns:=/left" in words
    assert {"in:=pan3d/points", "out/draco:=pan3d/points/draco"} <= set(words)


@NEEDS_REAL
@pytest.mark.parametrize(
    "included",
    [
        'included("perception", cameras="front,wrist", support_height="0.1", params_file="mine.yaml", log_level="warn")',
        'included("perception", namespace="/left/", cameras="front", cloud_transport="zstd")',
        'included("sim_demo", seed="5", num_cameras="2", use_depth="true", namespace="cell")',
        'included("cameras", cameras="web", drivers="usb_cam", serials="/dev/video3", models="/a.yaml", mountings="web.yaml")',
    ],
)
def test_the_stand_in_starts_what_the_real_launch_starts(tmp_path, monkeypatch, included):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("/**: {ros__parameters: {model: {name: depth_clusters}}}")
    (tmp_path / "web.yaml").write_text("web: {parent: tool0, xyz: [0, 0, 0.1], xyzw: [0, 0, 0, 1]}")

    def calls(by: str) -> list[tuple[list[str], dict[str, object]]]:
        """Without the names of temporary files, and in an order that does not depend on which program is the quicker."""
        found = Runs(tmp_path, by)(included)
        marked = [(" ".join(words).replace(f"{tmp_path}/{by}", ""), given) for words, given in found]
        return sorted((re.sub(r"(launch_params|pan3d_cameras)_\w{8}", r"\1", words), given) for words, given in marked)

    real = calls("real")
    assert real == calls("stand-in") and real


def test_launch_testing_starts_two_robots_and_ends_them(tmp_path, own_domain):
    pytest.importorskip("launch_testing.actions")
    pytest.importorskip("launch_ros.actions")
    command = [sys.executable, "-m", "launch_testing.launch_test", ROOT / "test/support/robots/two_robots_of_launch_testing.py"]
    run = subprocess.run(command, env=launch_environment(tmp_path), capture_output=True, text=True, timeout=250)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (run.stdout + run.stderr).count("OK") >= 2, "while they run, and when they have ended"
