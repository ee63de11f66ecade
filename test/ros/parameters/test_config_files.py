"""The shipped parameter files name parameters that exist, with values that are allowed."""

import xml.etree.ElementTree as ElementTree

import pytest
import yaml
from places import ROOT
from rclpy.node import Node
from rclpy.parameter import Parameter

from pan3d_core.settings import read_settings, read_yaml
from pan3d_ros.parameters.declaration import NodeParameters
from pan3d_ros.parameters.node_config import NodeConfig

CONFIG = ROOT / "config"


def flatten(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


@pytest.mark.parametrize("path", sorted(CONFIG.rglob("*.param.yaml")), ids=lambda path: path.stem)
def test_parameter_files(ros_context, path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(content) == ["/**"]
    given = dict(flatten(content["/**"]["ros__parameters"]))
    node = Node("config_under_test", parameter_overrides=[Parameter(name, value=value) for name, value in given.items()])
    try:
        parameters = NodeParameters(node)
        assert not parameters.problems
        assert [name for name in given if not node.has_parameter(name)] == []
        parameters.read()
    finally:
        node.destroy_node()


def test_fastdds_profile_enlarges_shared_memory_and_keeps_the_network():
    tree = ElementTree.parse(CONFIG / "fastdds_large.xml")
    text = {element.tag.split("}")[1]: (element.text or "").strip() for element in tree.iter()}
    kinds = [element.text for element in tree.iter() if element.tag.endswith("}type")]
    assert kinds == ["SHM", "UDPv4"]
    assert int(text["segment_size"]) >= 64 * 2**20
    assert text["useBuiltinTransports"] == "false"


def test_a_word_where_a_list_belongs_and_a_file_that_is_missing_are_told_in_plain_words(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"cameras: expected a list of str, got 'front, wrist'"):
        read_settings(NodeConfig(), {"cameras": "front, wrist"})
    monkeypatch.chdir(tmp_path)  # launch's folder is not always the one that a person thinks of
    with pytest.raises(FileNotFoundError, match=f"poses: expected a file {tmp_path}/cameras.yaml, which does not exist"):
        read_yaml("cameras.yaml", "poses")
