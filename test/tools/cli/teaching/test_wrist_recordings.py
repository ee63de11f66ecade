"""Recordings of the wrist's camera alone, of things that no training shows: recorded, inspected, looked at, thinned."""

import json

import pytest

pytest.importorskip("rosbags", reason="needs the extra [bags]")
pytest.importorskip("mujoco", reason="needs the extra [sim]")

from pan3d_ros.bags.excerpts.keyframes import KeyframeRequest, keyframe_scene, spread_scene  # noqa: E402
from pan3d_ros.bags.reading.reader import BagReader  # noqa: E402
from pan3d_ros.parameters.values import read_parameter_files  # noqa: E402
from pan3d_sim.objects.kinds import HELD_OUT_KINDS  # noqa: E402
from pan3d_tools import cli  # noqa: E402

RECORD = ["--kinds", "held-out", "--objects", "2", "--cameras", "0", "--seconds", "6", "--rate", "1", "--size", "96x72"]
EXACT = "consistency: {enabled: false}\nworkspace: {support_height_m: 0.0}\n"


def record(path, *options):
    assert cli.main(["sim", "record", "-o", str(path), *RECORD, *options]) == 0
    return path


def things(bag):
    with BagReader(bag) as reader:
        (message, *_) = reader.messages(["/ground_truth/objects"])
        return [item["name"] for item in json.loads(message.content.data)["objects"]]


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return record(tmp_path_factory.mktemp("bags") / "monday", "--seed", "3", "--exact-depth")


def test_the_same_things_stand_elsewhere_in_another_recording(bag, tmp_path):
    names = things(bag)
    assert len(names) == 2 and {name.split()[-1] for name in names} <= set(HELD_OUT_KINDS)
    other = record(tmp_path / "tuesday", "--seed", "4", "--things-of", "3", "--no-depth")
    assert things(other) == names
    assert cli.main(["sim", "record", "-o", str(tmp_path / "none"), *RECORD, "--no-wrist"]) == 2


def test_its_parameters_are_written_for_the_node(bag, tmp_path, capsys):
    assert cli.main(["doctor", str(bag), "--params", str(tmp_path / "node.yaml")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "node.yaml")
    found = read_parameter_files([tmp_path / "node.yaml"])
    assert list(found["cameras"]) == ["wrist"] and found["keyframe.enabled"] is True
    assert cli.main(["doctor", "--params", str(tmp_path / "node.yaml")]) == 2
    assert "--params, --support-height: expected together with a recording only" in capsys.readouterr().err


def test_as_many_views_are_taken_as_are_asked_for_each_with_its_name(bag):
    every = keyframe_scene(bag, KeyframeRequest(24))
    assert len(every.views) >= 5 and len({view.camera for view in every.views}) == 1
    few = spread_scene(bag, KeyframeRequest(5))
    assert [view.camera for view in few.views] == [f"view_00{row}" for row in range(5)]


@pytest.mark.slow
def test_a_bag_is_looked_at_like_pictures(bag, tmp_path, capsys):
    (tmp_path / "settings.yaml").write_text(EXACT)
    arguments = ["--depth", "--engine", "depth_clusters", "--views", "3", "--config", str(tmp_path / "settings.yaml")]
    assert cli.main(["reconstruct", str(bag), "-o", str(tmp_path / "out"), *arguments]) == 0
    assert "error" not in capsys.readouterr().err and json.loads((tmp_path / "out" / "instances.json").read_text())["is_metric"]
    assert len(list((tmp_path / "out" / "pictures").glob("instances_*.png"))) == 3
    assert cli.main(["reconstruct", str(bag), "--cameras", "scene.json", *arguments]) == 2
    assert "IMAGE: expected one bag, which has its cameras' calibration" in capsys.readouterr().err
