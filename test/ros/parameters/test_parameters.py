"""Parameters come from the settings, refuse what the settings refuse, and the documentation is up to date."""

import math

import pytest
from places import ROOT
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from pan3d_core.config import PipelineConfig
from pan3d_core.settings import walk_settings
from pan3d_ros.parameters.declaration import NodeParameters, markdown, to_parameter
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig


@pytest.fixture
def make(ros_context):
    nodes = []

    def build(**overrides):
        values = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
        nodes.append(Node("parameters_under_test", parameter_overrides=values))
        return nodes[-1], NodeParameters(nodes[-1])

    yield build
    for node in nodes:
        node.destroy_node()


def set_one(node, name, value):
    return node.set_parameters([Parameter(name, value=value)])[0]


def test_every_setting_is_a_described_parameter(make):
    node, parameters = make(cameras=["front"])
    assert not parameters.problems
    everything = [("", NodeConfig()), ("", PipelineConfig()), ("camera.front.", CameraConfig())]
    for prefix, config in everything:
        for name, default, item in walk_settings(config):
            descriptor = node.describe_parameter(prefix + name)
            assert descriptor.description.startswith(item.metadata["description"])
            value = node.get_parameter(prefix + name).value
            if name == "cameras":
                continue
            if isinstance(value, float) and math.isnan(value):
                assert default is None
            else:
                assert list(value) == to_parameter(default) if isinstance(default, tuple) else value == default


def test_start_values_that_nobody_reads_are_told(make, caplog):
    node, parameters = make(cameras=["front"], workspace__support_hight_m=0.2, sync__slop=0.5, camera__fornt__image_topic="/foo")
    for text in ("workspace.support_hight_m", "sync.slop: ", "did you mean camera.front?"):
        assert text in caplog.text and text in "; ".join(parameters.unknown())
    assert not parameters.problems  # a warning, not an error
    assert set_one(node, "cameras", ["front", "fornt"]).successful
    parameters.read()
    assert len(parameters.unknown()) == 2


def test_a_parameter_file_for_another_node_is_told(make, tmp_path, caplog):
    path = tmp_path / "p.yaml"
    path.write_text("perception_node: {ros__parameters: {cameras: [front]}}")
    _, parameters = make()
    parameters.note_files(["node", "--ros-args", "--params-file", str(path)])
    assert f"{path}: nothing in it is for this node" in caplog.text and len(parameters.unknown()) == 1


def test_overrides_reach_the_settings(make):
    _, parameters = make(cameras=["a", "b"], merge__min_points=99, workspace__support_height_m=0, camera__b__rectified=True)
    node_config, pipeline_config = parameters.read()
    assert node_config.cameras == ("a", "b")
    assert pipeline_config.merge.min_points == 99
    assert pipeline_config.workspace.support_height_m == 0.0
    assert parameters.camera("b").rectified
    assert not parameters.camera("a").rectified


def test_integers_are_taken_for_numbers_and_lists_for_places(make):
    node, parameters = make()
    assert set_one(node, "cloud.voxel_size_m", 0).successful
    assert set_one(node, "workspace.lower_m", [0.0, -1.0, 0.0]).successful
    assert set_one(node, "workspace.lower_m", [0, -1, 0]).successful
    assert parameters.read()[1].workspace.lower_m == (0.0, -1.0, 0.0)


def test_unknown_numbers_are_nan_and_can_be_unset(make):
    node, parameters = make(workspace__support_height_m=0.5)
    assert parameters.read()[1].workspace.support_height_m == 0.5
    assert set_one(node, "workspace.support_height_m", math.nan).successful
    assert parameters.read()[1].workspace.support_height_m is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("merge.mask_threshold", 1.5, "out of range"),
        ("merge.min_points", 1, "out of range"),
        ("merge.min_points", "many", "expected int, got 'many'"),
        ("align.depth_source", "guess", "expected one of model, sensor, fused"),
        ("workspace.lower_m", [0.0, 1.0], "expected no or 3 numbers"),
        ("workspace.support_height_m", 1e6, "expected -100.0 to 100.0"),
        ("sync.min_cameras", 3, "expected at most the 2 cameras, got 3"),
        ("cameras", ["a", "a"], "unique names"),
    ],
)
def test_bad_values_are_refused_with_the_reason_and_change_nothing(make, name, value, reason):
    node, parameters = make(cameras=["a", "b"])
    before = parameters.read()
    result = set_one(node, name, value)
    assert not result.successful
    assert reason in result.reason
    assert parameters.read() == before


def test_bad_start_values_leave_the_node_alive(make):
    node, parameters = make(cameras=["a"], merge__mask_threshold=7.0, model__precision="float8", sync__queue=0)
    assert set(parameters.problems) == {"merge.mask_threshold", "model.precision", "sync.queue"}
    with pytest.raises(ValueError, match="mask_threshold.*7.0"):
        parameters.read()
    for name, value in (("merge.mask_threshold", 0.5), ("model.precision", "float32"), ("sync.queue", 5)):
        assert set_one(node, name, value).successful
    assert parameters.read()[0].sync.queue == 5


def test_a_start_value_of_a_parameter_that_moved_says_where_it_is(make):
    _, parameters = make(cameras=["a"], placement__mask_threshold=0.4)
    with pytest.raises(ValueError, match="placement.mask_threshold: expected merge.mask_threshold instead"):
        parameters.read()
    node, parameters = make(cameras=["a"])
    assert parameters.problems == {} and not node.has_parameter("placement.mask_threshold")


def test_fixed_settings_cannot_change_while_configured(make):
    node, parameters = make(cameras=["a"])
    parameters.configured = True
    result = set_one(node, "model.name", "segvggt")
    assert not result.successful
    assert "clean it up first" in result.reason
    assert set_one(node, "merge.min_points", 50).successful
    parameters.configured = False
    assert set_one(node, "model.name", "segvggt").successful


def test_documentation_is_up_to_date():
    path = ROOT / "docs" / "parameters.md"
    assert path.read_text(encoding="utf-8") == markdown(), "run: python -m pan3d_ros.parameters.declaration > docs/parameters.md"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sync.slop", "did you mean sync.slop_s"),
        ("camera.fornt.rectified", "did you mean camera.front"),
        ("merge.mask_size", "merge.mask_size"),
    ],
)
def test_setting_a_parameter_that_there_is_not_is_answered_with_the_one_that_was_meant(make, name, said):
    node, _ = make(cameras=["front"])
    with pytest.raises(ParameterNotDeclaredException, match=said):
        set_one(node, name, 1.0)
    assert set_one(node, "service.timeout_s", 3.0).successful


def test_the_folder_of_maps_is_fixed_while_the_node_is_configured(make):
    node, parameters = make()
    assert set_one(node, "refine.folder", "/somewhere").successful
    parameters.configured = True
    answer = set_one(node, "refine.folder", "/elsewhere")
    assert not answer.successful and "refine.folder: fixed while the node is configured" in answer.reason
