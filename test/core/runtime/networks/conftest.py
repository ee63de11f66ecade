"""A tiny network, written once."""

import pytest
from tiny_graphs import tiny_graph

from pan3d_core.runtime.networks import write_onnx
from pan3d_core.runtime.networks.built import network_entry


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    write_onnx(tiny_graph(), path)
    return path


@pytest.fixture
def cache(monkeypatch, tmp_path, file):
    """A cache in which the network is written already, in float32."""
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    network_entry(tiny_graph()).build(lambda path: path.write_bytes(file.read_bytes()))
    return tmp_path / "cache"
