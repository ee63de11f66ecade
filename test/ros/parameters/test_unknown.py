"""Parameters that nobody reads are told, with what was probably meant."""

import pytest

from pan3d_ros.parameters.node_config import CameraConfig
from pan3d_ros.parameters.unknown import (
    applies_to,
    files_for_other_nodes,
    parameter_files,
    unknown_parameters,
    unknown_to_perception,
)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("workspace.support_hight_m", "workspace.support_hight_m: no such parameter; did you mean workspace.support_height_m?"),
        ("sync.slop", "sync.slop: no such parameter; did you mean sync.slop_s?"),
        ("support_height_m", "support_height_m: no such parameter; did you mean workspace.support_height_m?"),
        ("worksapce.support_height_m", "worksapce.support_height_m: no such parameter; did you mean workspace.support_height_m?"),
        ("camera.fornt.image_topic", "camera.fornt: no such camera (cameras: front, wrist); did you mean camera.front?"),
        ("camera.front.image_topc", "camera.front.image_topc: no such parameter; did you mean camera.front.image_topic?"),
        ("zzz", "zzz: no such parameter"),
        ("camera", "camera: no such parameter; did you mean cameras?"),
    ],
)
def test_a_misspelt_parameter_is_told_with_the_one_that_was_meant(given, said):
    assert unknown_to_perception([given], ["front", "wrist"]) == [said]


def test_what_there_is_and_what_every_node_has_is_not_told():
    given = ["use_sim_time", "qos_overrides./tf.subscription.depth", "camera.front.rectified", "merge.min_points", "cameras"]
    assert unknown_to_perception(given, ["front"]) == []
    assert unknown_to_perception(["placement.mask_threshold"], []) == []  # has a message of its own: it moved
    assert unknown_parameters(["rate"], ["rate_hz", "seed"]) == ["rate: no such parameter; did you mean rate_hz?"]


def test_settings_of_one_unlisted_camera_are_one_sentence():
    assert len(unknown_to_perception(["camera.left.image_topic", "camera.left.rectified"], ["front"])) == 1


@pytest.mark.parametrize(
    ("section", "node", "applies"),
    [
        ("/**", "/pan3d", True), ("/**", "/a/b/pan3d", True), ("pan3d", "/pan3d", True), ("/pan3d", "/perception/pan3d", False),
        ("/*/pan3d", "/perception/pan3d", True), ("/*/pan3d", "/a/b/pan3d", False), ("/**/pan3d", "/a/b/pan3d", True),
        ("/perception/*", "/perception/pan3d", True), ("perception_node", "/pan3d", False), ("/pan3d_cell", "/pan3d", False),
    ],
)  # fmt: skip
def test_sections_are_for_nodes_as_ros_compares_names(section, node, applies):
    assert applies_to(section, node) is applies


def test_a_file_for_a_node_of_another_name_is_told(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("perception_node: {ros__parameters: {cameras: [a]}}\nns: {other: {ros__parameters: {x: 1}}}\n")
    (said,) = files_for_other_nodes([path], "/perception/pan3d")
    assert str(path) in said and "/perception/pan3d" in said and "/perception_node, /ns/other" in said
    path.write_text("perception: {pan3d: {ros__parameters: {x: 1}}}\n")
    assert files_for_other_nodes([path, tmp_path / "missing.yaml"], "/perception/pan3d") == []


def test_a_name_that_stands_twice_is_told_since_ros_takes_the_last(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("/**: {ros__parameters: {workspace: {support_height_m: 0.1, support_height_m: 0.5}}}\n")
    (said,) = files_for_other_nodes([path], "/pan3d")
    assert str(path) in said and "support_height_m: expected once, got it twice" in said


@pytest.mark.parametrize("topic", ["/foo bar/image", "/9image", "/a//b", "/a/", "caméra/image"])
def test_what_is_no_topic_is_refused_by_its_parameter(topic):
    with pytest.raises(ValueError, match="image_topic: expected words of letters, digits and _"):
        CameraConfig(image_topic=topic)
    assert CameraConfig(image_topic="~/{node}/image_raw", info_topic="/a/b_1/camera_info").depth_topic == ""


def test_parameter_files_of_a_command_line():
    line = [
        "node",
        "--params-file",
        "no.yaml",
        "--ros-args",
        "-p",
        "a:=1",
        "--params-file",
        "a.yaml",
        "--params-file",
        "b.yaml",
        "--",
    ]
    assert parameter_files([*line, "--params-file", "no.yaml"]) == ["a.yaml", "b.yaml"]
