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


class AddressContext:
    """Remembers the addresses that a context is told, and answers shapes as a network of one linear layer has them."""

    def __init__(self):
        self.shapes, self.addresses, self.streams = {}, {}, []

    def set_input_shape(self, name, shape):
        self.shapes[name] = shape

    def get_tensor_shape(self, name):
        return (1, 4) if name == "mean" else (1, self.shapes["views"][1], 4)

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        self.streams.append(stream)
        return stream != 13


@pytest.mark.parametrize("stream", [7, 13])
def test_tensorrt_reads_and_writes_memory_of_torch_on_its_stream(monkeypatch, stream):
    context = AddressContext()
    facts = RuntimeFacts("tensorrt", "10", "RTX", "float32", "asked for")
    network = TensorRtNetwork(tiny_graph(), None, SimpleNamespace(create_execution_context=lambda: context), facts)
    monkeypatch.setattr("torch.cuda.current_stream", lambda device: SimpleNamespace(cuda_stream=stream))
    inputs = tiny_graph().samples(3)
    if stream == 13:
        with pytest.raises(RuntimeUnavailable, match="tensorrt: failed while running"):
            network(inputs)
        return
    outputs = network(inputs)
    assert {name: inputs[name].data_ptr() for name in inputs}.items() <= context.addresses.items()  # nothing was copied
    assert {name: outputs[name].data_ptr() for name in outputs}.items() <= context.addresses.items()
    assert outputs["shares"].shape == (1, 3, 4) and context.streams == [7]
    assert network(inputs)["shares"].data_ptr() != outputs["shares"].data_ptr()  # the caller keeps what it was given


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
