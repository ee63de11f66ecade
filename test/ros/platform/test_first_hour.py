"""What goes wrong without a word in the first hour, through the launch file, as `ros2` would show it: nothing is silent.

The real launch starts the nodes where it is installed, otherwise `launch_stand_in` does.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import ros_support
from launched import Launches, returncode_of
from pan3d_interfaces.msg import ErrorCode, InstanceArray
from pan3d_interfaces.srv import SegmentObject
from places import ROOT

PICTURES = sorted((ROOT / "examples" / "data" / "cell").glob("*.jpg"))
PUBLISH = ROOT / "examples" / "publish_pictures.py"
CAMERAS = PICTURES[0].with_name("cameras.json")
OK, WARN, ERROR = b"\x00", b"\x01", b"\x02"
SETTINGS = """
/**:
  ros__parameters:
    cameras: [front]
    model: {name: depth_clusters}
    input: {use_depth: true, max_image_age_s: 0.0, info_timeout_s: 0.5}
    workspace: {support_height_m: 0.0}
    watchdog: {period_s: 0.1}
"""


@pytest.fixture
def launches(spinner, tmp_path):
    found = Launches(spinner.add(ros_support.Node("somebody")), tmp_path)
    yield found
    found.close()


@pytest.fixture
def mine(tmp_path):
    """A parameter file of the user's."""
    (tmp_path / "mine.yaml").write_text(SETTINGS)
    return tmp_path / "mine.yaml"


@pytest.fixture
def publishing(spinner, launches):
    """(camera, ...) -> these publish while something is waited for."""

    def begin(*cameras: str) -> ros_support.Rig:
        rig = spinner.add(ros_support.Rig(cameras))
        launches.idle = rig.publish
        return rig

    return begin


@pytest.fixture
def results(launches):
    """All that /pan3d has published."""
    found: list[InstanceArray] = []
    launches.node.create_subscription(InstanceArray, "/pan3d/instances", found.append, 5)
    return found


@pytest.fixture
def program(launches):
    """(words) -> a program of Python's that runs beside the launch and is interrupted in the end."""
    running: list[subprocess.Popen] = []
    yield lambda *words: running.append(subprocess.Popen([sys.executable, *map(str, words)], env=launches.environment))
    for child in running:
        child.send_signal(signal.SIGINT)
    assert [returncode_of(child) for child in running] == [0] * len(running)


def test_a_parameter_file_is_stronger_than_what_launch_assumes(launches, tmp_path):
    mine = SETTINGS + "    use_sim_time: true\n    autostart: false\n    global_services: false\n"
    (tmp_path / "strong.yaml").write_text(mine)
    launches.start(f'included("perception", params_file="{tmp_path}/strong.yaml", reference_frame="table")')
    names = ("use_sim_time", "autostart", "global_services", "cameras", "model.name", "reference_frame")
    assert launches.get("/pan3d", *names) == [True, False, False, ["front"], "depth_clusters", "table"]
    assert launches.state("/pan3d") == "unconfigured"
    services = [name for name, _ in launches.node.get_service_names_and_types()]
    assert "/pan3d/segment_object" in services and "/segment_object" not in services
    answer = launches.call(SegmentObject, "/pan3d/segment_object", prompt="the mug")
    assert answer.error_code == ErrorCode.NOT_ACTIVE and "autostart, or ros2 lifecycle set" in answer.message


def test_a_second_robot_is_refused_the_global_name_and_never_answers_for_the_first(launches, mine, publishing, results):
    publishing("front")
    launches.start(f'included("perception", params_file="{mine}")')
    launches.until(lambda: results, "results of the first")
    launches.until(lambda: launches.node.count_services("/segment_object"), "the global name")
    launches.start(f'included("perception", params_file="{mine}", namespace="robot2", autostart="false")')
    why = "global_services: /segment_object is offered by /pan3d already"
    launches.until_line("/robot2/pan3d: services", ERROR, why, "set global_services:=false")
    assert not launches.transition("/robot2/pan3d", "configure")
    launches.until(lambda: f"configure failed: {why}" in launches.said, "the log of launch")
    answer = launches.call(SegmentObject, "/robot2/pan3d/segment_object", prompt="block")
    assert answer.error_code == ErrorCode.NOT_ACTIVE and why in answer.message
    assert "call /robot2/pan3d/segment_object" in answer.message
    assert launches.node.count_services("/segment_object") == 1
    for _ in range(3):
        answer = launches.call(SegmentObject, "/segment_object", prompt_type=SegmentObject.Request.PROMPT_ALL)
        assert answer.success and len(answer.instances.instances) == 2, answer.message
    launches.set("/robot2/pan3d", "global_services", False)
    assert launches.transition("/robot2/pan3d", "configure"), launches.said
    assert launches.node.count_services("/segment_object") == 1


def test_a_node_in_another_namespace_than_its_cameras_says_what_it_listens_to_and_where_they_are(launches, mine, publishing):
    publishing("front")
    launches.start(f'included("perception", params_file="{mine}", namespace="perception")')
    here = "no image on /perception/front/image_raw: it has no publisher"
    elsewhere = "/front/image_raw has a publisher: remap, start the node in that namespace, or set camera.front.image_topic"
    launches.until_line("/perception/pan3d: camera front", WARN, f"{here}; {elsewhere}")
    answer = launches.call(SegmentObject, "/segment_object", prompt="block", timeout=0.2)
    assert answer.error_code == ErrorCode.NO_IMAGES
    assert "/perception/front/image_raw" in answer.message and "/front/image_raw has a publisher" in answer.message


def test_diagnostics_never_say_ok_of_what_has_not_happened(launches, mine, publishing, results):
    rig = publishing("front")
    rig.silent = {"front"}
    launches.start(f'included("perception", params_file="{mine}")')
    parts = ("camera front", "synchronization", "transforms", "pipeline")
    launches.until_in("/pan3d", "active")
    seen = len(launches.lines("/pan3d: pipeline"))
    launches.until(lambda: len(launches.lines("/pan3d: pipeline")) > seen + 5, "lines of an active node without pictures")
    for part in parts:
        said = {(line.level, line.message) for line in launches.lines(f"/pan3d: {part}")}
        assert said and OK not in {level for level, _ in said}, said
    rig.silent = set()
    for part in parts:
        launches.until_line(f"/pan3d: {part}", OK)
    assert results, "without a namespace it listens where drivers publish"


def test_calibrated_cameras_are_metric_without_the_tables_height_or_say_what_to_set(launches, program, results, tmp_path):
    program(PUBLISH, *PICTURES, "--cameras", CAMERAS)
    names = [path.stem for path in PICTURES]
    topics = {name: f"/camera_0/{topic}" for name, topic in (("image_topic", "image_raw"), ("info_topic", "camera_info"))}
    single = "".join(f"    camera.camera_0.{name}: {topic}\n" for name, topic in topics.items())
    single += "    camera.camera_0.pose_topic: /camera_0/pose\n    global_services: false\n"
    (tmp_path / "single.yaml").write_text(f"/**:\n  ros__parameters:\n{single}")
    launches.start(
        f'included("perception", cameras="{",".join(names)}")',
        f'included("perception", cameras="camera_0", namespace="single", params_file="{tmp_path}/single.yaml")',
    )
    launches.until(lambda: results and len(results[-1].cameras) == 4, "results of all four")
    assert results[-1].metric and len(results[-1].instances) >= 5
    line = launches.until_line("/pan3d: pipeline", OK, "workspace.support_height_m is not given, ", " m was found")
    assert abs(float(line.message.partition("not given, ")[2].split()[0])) < 0.02, "the table of these pictures is at 0"
    launches.set("/pan3d", "workspace.freeze_support", True)
    # One camera has no baseline to be measured by.
    launches.until_line("/single/pan3d: pipeline", WARN, "the result is not metric", "set workspace.support_height_m")
    launches.set("/single/pan3d", "workspace.support_height_m", 0.0)
    launches.until_line("/single/pan3d: pipeline", OK)


def test_two_pictures_of_one_name_are_refused_as_cameras():
    command = [sys.executable, PUBLISH, PICTURES[0], PICTURES[1], PICTURES[0], "--cameras", CAMERAS]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2 and "of different names, got 3 of the names camera_0, camera_1\n" in run.stderr


@pytest.mark.slow
def test_the_simulated_cell_is_metric_without_its_tables_height(launches, results):
    """With pictures of a simulation under its own launch file."""
    pytest.importorskip("mujoco")
    launches.start('included("sim_demo", support_height="nan", num_cameras="3", seed="3")')
    line = launches.until_line("/pan3d: pipeline", OK, "workspace.support_height_m is not given, ", " m was found")
    assert abs(float(line.message.partition("not given, ")[2].split()[0])) < 0.02, "the cell's table is at 0"
    assert results[-1].metric and len(results[-1].cameras) == 3 and len(results[-1].instances) >= 4


def test_answers_use_all_living_cameras_beside_one_that_never_was(launches, mine, publishing, results):
    living = ["front", "left", "right"]
    publishing(*living)
    launches.start(f'included("perception", params_file="{mine}", cameras="front,ghost,left,right")')
    launches.until(lambda: results, "results")
    used = []
    for _ in range(3):
        answer = launches.call(SegmentObject, "/segment_object", prompt_type=SegmentObject.Request.PROMPT_ALL)
        assert answer.success, answer.message
        used.append(list(answer.instances.cameras))
    assert used == [living] * 3
    assert {tuple(result.cameras) for result in results} == {tuple(living)}
    launches.until_line("/pan3d: camera ghost", WARN, "no image on /ghost/image_raw: it has no publisher")
    launches.until_line("/pan3d: synchronization", WARN, "without ghost")
