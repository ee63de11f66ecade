"""Objects are taught to the node by showing them to its cameras, and found by their names, also by the next node."""

import json

import pytest
import ros_support
from geometry_msgs.msg import Point32
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject
from std_srvs.srv import Trigger

from pan3d_ros.perception_node import FAILURE, SUCCESS

KINDS = SegmentObject.Request
ON_BLUE = Point32(x=50.0, y=27.0, z=1.0)


@pytest.fixture
def bench(spinner, monkeypatch, tmp_path):
    made = ros_support.Bench(spinner, monkeypatch, ("front", "left"), objects__folder=str(tmp_path / "objects")).start()
    made.until(lambda: made.instances() and len(made.instances()[-1].instances) == 2, "two blocks")
    return made


def teach(bench, name="blue valve", **fields):
    chosen = {"prompt_type": KINDS.PROMPT_POINTS, "points": [ON_BLUE]} | fields
    return bench.call(SegmentObject, "teach_object", prompt=name, **chosen)


def names(bench) -> set[str]:
    return {item.class_name for item in bench.instances()[-1].instances}


def test_a_taught_object_is_found_by_its_name_and_after_a_restart_too(bench, tmp_path):
    answer = teach(bench)
    assert answer.success and answer.error_code == ErrorCode.OK, answer.message
    assert "is 'blue valve' from now on" in answer.message and (tmp_path / "objects" / "blue_valve" / "object.json").exists()
    bench.until(lambda: names(bench) == {"blue valve", "block"}, "its name in the results")
    found = bench.call(SegmentObject, "segment_object", prompt="the blue valve", use_latest=True)
    assert found.success and found.match_probabilities[0] > 0.5
    assert found.instances.instances[0].class_name == "blue valve" and found.instances.instances[0].color_rgb[2] > 0.5
    assert list(found.prompt_roles) == ["ignored", "noun"]

    assert bench.node.trigger_deactivate() == SUCCESS and bench.node.trigger_cleanup() == SUCCESS
    count = len(bench.instances())
    assert bench.node.trigger_configure() == SUCCESS and bench.node.trigger_activate() == SUCCESS
    bench.until(lambda: len(bench.instances()) > count + 1 and "blue valve" in names(bench), "its name after a restart")

    bench.rig.rgb[ros_support.BLUE], bench.rig.depth[ros_support.BLUE] = 128, ros_support.CAMERA_HEIGHT_M
    shown = "blue valve"
    bench.until(lambda: shown not in {i.class_name for i in bench.instances()[-1].instances if i.state != i.LOST}, "it is gone")
    missing = bench.call(SegmentObject, "segment_object", prompt="the blue valve", use_latest=True)
    assert missing.error_code == ErrorCode.NOT_FOUND and "so it is not here" in missing.message


def test_what_cannot_be_taught_is_refused_with_the_field(bench):
    assert "prompt_type" in teach(bench, prompt_type=KINDS.PROMPT_TEXT).message
    assert "got 2: " in teach(bench, prompt_type=KINDS.PROMPT_ALL).message  # two blocks, and neither is chosen
    assert "no object is under the points" in teach(bench, points=[Point32(x=2.0, y=2.0, z=1.0)]).message
    assert "prompt" in teach(bench, name="  ").message
    assert "name" in teach(bench, name="the left one").message
    assert teach(bench).success
    again = teach(bench)
    assert not again.success and again.error_code == ErrorCode.INVALID_REQUEST and "not taken" in again.message
    bench.until(lambda: "blue valve" in names(bench), "its name in the results")
    other = teach(bench, name="cobalt block")
    assert not other.success and "looks like 'blue valve'" in other.message


def test_a_folder_that_was_changed_is_loaded_again_and_damaged_entries_are_told(bench, tmp_path):
    assert teach(bench).success
    card = tmp_path / "objects" / "blue_valve" / "object.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"version": 9}))
    answer = bench.call(Trigger, "load_objects")
    assert not answer.success and str(card) in answer.message and "format" in answer.message
    count = len(bench.instances())
    bench.until(lambda: len(bench.instances()) > count + 1, "results go on")
    assert names(bench) == {"block"}


def test_without_a_folder_nothing_is_taught(spinner, monkeypatch, tmp_path):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    answer = teach(bench)
    assert not answer.success and "objects.folder" in answer.message
    assert not bench.call(Trigger, "load_objects").success


def test_a_folder_that_is_a_file_ends_configure_with_the_reason(spinner, monkeypatch, tmp_path):
    (tmp_path / "objects").write_text("")
    bench = ros_support.Bench(spinner, monkeypatch, objects__folder=str(tmp_path / "objects"))
    assert bench.node.trigger_configure() == FAILURE and "objects" in bench.node.problem
