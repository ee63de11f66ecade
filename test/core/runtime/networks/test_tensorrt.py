"""Engines of TensorRT as far as they can be made without a GPU; nothing here runs one."""

import sys
from types import SimpleNamespace

import pytest
from tiny_graphs import tiny_graph

from pan3d_core.runtime.networks import RuntimeFacts, RuntimeUnavailable, write_onnx
from pan3d_core.runtime.networks.tensorrt_network import TensorRtNetwork, _library, _refuse_wrong_scale, read_engine, write_engine


def library(version, name="tensorrt"):
    return SimpleNamespace(__version__=version, __name__=name)


def test_versions_known_for_wrong_depth_are_refused_for_these_networks_alone():
    with pytest.raises(RuntimeUnavailable, match=r"tensorrt 10.3.0 is known to give wrong depth scales for da3; take 10.14"):
        _refuse_wrong_scale(tiny_graph(engine="da3"), library("10.3.0"))
    for graph, found in (
        ("da3", library("10.14.1")),
        ("da3", library("1.7.1", "tensorrt_rtx")),
        ("pan3d-mini", library("10.3.0")),
    ):
        _refuse_wrong_scale(tiny_graph(engine=graph), found)


def test_an_engine_of_another_gpu_is_told_with_the_remedy(tmp_path):
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda content: None)
    logger = type("Logger", (), {"WARNING": 2, "__init__": lambda self, level: None})
    fake = SimpleNamespace(Runtime=lambda logger: runtime, Logger=logger)
    (tmp_path / "some.engine").write_bytes(b"of another GPU")
    with pytest.raises(RuntimeUnavailable, match=r"some.engine, which was built for another GPU or version.*--prune removes it"):
        read_engine(fake, tmp_path / "some.engine")


def test_a_gpu_without_memory_for_an_engine_is_told():
    facts = RuntimeFacts("tensorrt", "10", "RTX", "float32", "asked for")
    engine = SimpleNamespace(create_execution_context=lambda: None)
    with pytest.raises(RuntimeUnavailable, match="cannot prepare tiny on RTX: too little memory.*model.runtime torch"):
        TensorRtNetwork(tiny_graph(), None, engine, facts)


def test_an_empty_package_is_told(monkeypatch, tmp_path):
    (tmp_path / "tensorrt").mkdir()  # what is left when a package was removed: a folder without files
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(RuntimeUnavailable, match="tensorrt has no Builder; install it again"):
        _library()
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # writing a graph takes minutes on a busy machine
def test_an_engine_for_several_gpus_is_built_without_one(tmp_path):
    pytest.importorskip("onnxscript")
    found = pytest.importorskip("tensorrt_rtx")
    write_onnx(tiny_graph(), tmp_path / "tiny.onnx")
    write_engine(tiny_graph(), found, tmp_path / "tiny.onnx", tmp_path / "tiny.engine", ("SM86", "SM89", "SM120"))
    assert (tmp_path / "tiny.engine").stat().st_size > 1000
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(RuntimeUnavailable, match="tensorrt: cannot parse"):
        write_engine(tiny_graph(), found, tmp_path / "broken.onnx", tmp_path / "broken.engine")
