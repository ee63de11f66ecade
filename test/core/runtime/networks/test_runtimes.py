"""One network in every runtime that is installed, and torch where one of them does not run."""

import logging
import re
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
import torch
from tiny_graphs import ForFourViews, tiny_graph

from pan3d_core.runtime.networks import RuntimeUnavailable, Wanted, open_network, read_onnx_metadata, write_onnx
from pan3d_core.runtime.networks.guarded import GuardedNetwork
from pan3d_core.runtime.networks.interface import TensorSpec
from pan3d_core.runtime.networks.onnx_files import unpacked
from pan3d_core.runtime.networks.room import available_memory, require_room
from pan3d_core.runtime.networks.table import installed_runtimes, prepared
from pan3d_core.runtime.networks.torch_network import TorchNetwork
from pan3d_core.runtime.networks.verify import output_errors

WANTED = Wanted(threads=1)
ON_CPU = ("onnxruntime", "openvino")


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("runtime", ON_CPU)
def test_a_runtime_answers_as_torch_for_any_number_of_views(cache, runtime):
    pytest.importorskip(runtime)
    network = open_network(tiny_graph(), runtime, WANTED)
    assert network.facts.name == runtime and not network.facts.fell_back and network.facts.reason == "asked for"
    for views in (1, 2, 3, 8):
        inputs = tiny_graph().samples(views)
        for name, value in TorchNetwork(tiny_graph(), "float32", "")(inputs).items():
            torch.testing.assert_close(network(inputs)[name], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("runtime", ON_CPU)
def test_answers_stay_when_the_next_are_computed(cache, runtime):
    pytest.importorskip(runtime)
    network = open_network(tiny_graph(), runtime, WANTED)
    first = network(tiny_graph().samples(2))["shares"]
    kept = first.clone()
    network({**tiny_graph().samples(2), "scale": torch.tensor([9.0])})
    assert torch.equal(first, kept)


def test_the_file_says_what_it_is(file):
    words = read_onnx_metadata(file)
    assert words["engine"] == "tiny" and words["format"] == "tiny/1" and words["checksum"] == "0" * 64


def test_numbers_beside_a_network_are_in_its_file(tmp_path):
    pytest.importorskip("onnxscript")
    vectors = torch.randn(3, 5)
    write_onnx(tiny_graph(beside={"names": vectors}), tmp_path / "tiny.onnx")
    assert torch.equal(unpacked(read_onnx_metadata(tmp_path / "tiny.onnx")["tensor.names"]), vectors)
    with pytest.raises(ValueError, match="tensor: expected the words of one"):
        unpacked("{}")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"engine": "large"}, "expected the network of large with engine large, got tiny of tiny"),
        ({"checksum": "1" * 64}, "with checksum 1111.*got 0000.*pan3d export tiny writes it anew"),
        ({"inputs": (TensorSpec("views", (1, "views", 7)), TensorSpec("scale", (1,)))}, "with inputs views 1xviewsx7"),
    ],
)
@pytest.mark.parametrize("runtime", ON_CPU)
def test_a_file_of_another_network_is_not_opened(file, runtime, other, said):
    pytest.importorskip(runtime)
    network = open_network(tiny_graph(**other), runtime, replace(WANTED, file=file))
    assert network.facts.fell_back and re.search(said, network.facts.reason)
    assert open_network(tiny_graph(), runtime, replace(WANTED, file=file)).facts.name == runtime


def test_files_of_others_are_refused_with_the_remedy(file, tmp_path):
    onnx = pytest.importorskip("onnx")
    with pytest.raises(FileNotFoundError, match="weights: expected a file"):
        read_onnx_metadata(tmp_path / "none.onnx")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2])
    with pytest.raises(ValueError, match="expected a complete ONNX file"):
        read_onnx_metadata(damaged)
    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, {"pan3d_format": "pan3d-onnx/0"})
    onnx.save(model, str(tmp_path / "old.onnx"))
    with pytest.raises(ValueError, match="of 'pan3d-onnx/0'; write it again with pan3d export"):
        read_onnx_metadata(tmp_path / "old.onnx")


def test_an_axis_that_became_fixed_is_no_export(tmp_path):
    pytest.importorskip("onnxscript")
    with pytest.raises((ValueError, RuntimeUnavailable), match="export: "):
        write_onnx(tiny_graph(ForFourViews()), tmp_path / "fixed.onnx")
    assert not (tmp_path / "fixed.onnx").exists()


def test_auto_builds_nothing_and_takes_what_was_prepared(cache, caplog):
    pytest.importorskip("onnxruntime")
    before = open_network(tiny_graph(), "auto", WANTED)
    assert before.facts.name == "torch" and "pan3d export tiny" in before.facts.reason and not before.facts.fell_back
    errors = prepared(tiny_graph(), "onnxruntime", WANTED)
    assert {error.name for error in errors} == {"shares", "mean"} and all(error.holds for error in errors)
    with caplog.at_level(logging.INFO):
        after = open_network(tiny_graph(), "auto", WANTED)
    assert after.facts.name == "onnxruntime" and "tiny runs in onnxruntime" in caplog.text


def test_auto_without_anything_built_is_torch(empty_cache):
    network = open_network(tiny_graph(), "auto", WANTED)
    assert network.facts.name == "torch" and not empty_cache.exists()


def test_other_weights_are_not_what_was_prepared(cache):
    pytest.importorskip("onnxruntime")
    prepared(tiny_graph(), "onnxruntime", WANTED)
    assert open_network(tiny_graph(checksum="1" * 64), "auto", WANTED).facts.name == "torch"


def test_what_is_not_installed_leaves_it_to_torch(empty_cache, caplog):
    if "tensorrt" in installed_runtimes():
        pytest.skip("TensorRT is installed")
    network = open_network(tiny_graph(), "tensorrt", WANTED)
    assert network.facts.fell_back and "tensorrt is not installed; TensorRT comes with JetPack" in network.facts.reason
    assert "torch takes over" in caplog.text
    assert network(tiny_graph().samples(2))["mean"].shape == (1, 4)


def test_precision_that_a_runtime_lacks_leaves_it_to_torch(cache):
    pytest.importorskip("openvino")
    network = open_network(tiny_graph(), "openvino", replace(WANTED, precision="bfloat16"))
    assert network.facts.name == "torch" and network.facts.precision == "bfloat16" and "bfloat16" in network.facts.reason


@pytest.mark.parametrize("runtime", ON_CPU)
def test_a_broken_package_leaves_it_to_torch(cache, monkeypatch, tmp_path, runtime):
    (tmp_path / runtime).mkdir()
    (tmp_path / runtime / "__init__.py").write_text("raise OSError('libgone.so: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, runtime, raising=False)
    network = open_network(tiny_graph(), runtime, WANTED)
    assert network.facts.fell_back and f"{runtime}: cannot be" in network.facts.reason and "libgone.so" in network.facts.reason


def test_a_network_that_answers_otherwise_is_not_used(cache):
    pytest.importorskip("onnxruntime")
    other = tiny_graph()
    other.module.linear.weight.data += 0.01  # not the weights that the file was written from
    network = open_network(other, "onnxruntime", WANTED)
    assert network.facts.fell_back and "answers otherwise than torch: mean by" in network.facts.reason


def test_a_full_disk_leaves_it_to_torch(empty_cache, monkeypatch):
    pytest.importorskip("onnxruntime")

    def full(graph, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pan3d_core.runtime.networks.built.write_onnx", full)
    network = open_network(tiny_graph(), "onnxruntime", WANTED)
    assert network.facts.fell_back and "the disk is full" in network.facts.reason


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")])
def test_too_little_memory_while_building_leaves_it_to_torch(empty_cache, monkeypatch, error):
    pytest.importorskip("onnxscript")

    def short(*given, **settings):
        raise error

    monkeypatch.setattr("torch.onnx.export", short)
    network = open_network(tiny_graph(), "onnxruntime", WANTED)
    assert network.facts.fell_back and "tiny cannot be written as ONNX: too little memory" in network.facts.reason
    assert "build it with pan3d export while nothing else runs" in network.facts.reason
    assert not list(empty_cache.glob("engines/*/*/"))


@pytest.mark.parametrize(
    ("free", "memory", "said"),
    [
        (10, 10**12, "takes 0 MB of disk.*the disk is full.*PAN3D_CACHE"),
        (10**12, 10, "building tiny takes 0.3 GB of memory"),
    ],
)
def test_too_little_room_is_told_before_anything_is_built(empty_cache, monkeypatch, free, memory, said):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("pan3d_core.runtime.networks.room.shutil.disk_usage", lambda path: SimpleNamespace(free=free))
    monkeypatch.setattr("pan3d_core.runtime.networks.room.available_memory", lambda: memory)
    monkeypatch.setattr("pan3d_core.runtime.networks.built.write_onnx", lambda *given: pytest.fail("it was begun"))
    network = open_network(tiny_graph(), "onnxruntime", WANTED)
    assert network.facts.fell_back and re.search(said, network.facts.reason)


def test_a_system_that_does_not_tell_of_its_memory_is_trusted(monkeypatch, tmp_path):
    assert available_memory() > 10**6
    monkeypatch.setattr("pan3d_core.runtime.networks.room.MEMORY_FILE", tmp_path / "none")
    assert available_memory() is None
    require_room(tiny_graph(), tmp_path / "not" / "there")


def test_a_cache_that_nobody_may_write_leaves_it_to_torch(monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "file"))
    network = open_network(tiny_graph(), "onnxruntime", WANTED)
    assert network.facts.fell_back and "network.onnx cannot be built" in network.facts.reason


def test_a_verdict_that_cannot_be_kept_leaves_it_to_torch(cache, monkeypatch):
    pytest.importorskip("onnxruntime")
    full = raising(OSError(28, "No space left on device"))
    monkeypatch.setattr("pan3d_core.runtime.networks.verify._write", lambda path, content: full(path))
    network = open_network(tiny_graph(), "onnxruntime", WANTED)
    assert network.facts.fell_back and "verified.json cannot be kept" in network.facts.reason


@pytest.mark.parametrize("runtime", ON_CPU)
def test_an_empty_package_leaves_it_to_torch(cache, monkeypatch, runtime):
    monkeypatch.setitem(sys.modules, runtime, ModuleType(runtime))  # what is left when a package was removed in part
    monkeypatch.setattr("pan3d_core.runtime.networks.table.is_installed", lambda name: True)
    network = open_network(tiny_graph(), runtime, WANTED)
    assert network.facts.fell_back and f"{runtime}: cannot" in network.facts.reason and "no attribute" in network.facts.reason


class Failing:
    """A runtime with faults."""

    def __init__(self, answer):
        self.facts = replace(TorchNetwork(tiny_graph(), "float32", "").facts, name="failing")
        self.answer, self.calls = answer, 0

    def __call__(self, inputs):
        self.calls += 1
        return self.answer(inputs)


def raising(error):
    def answer(inputs):
        raise error

    return answer


def not_finite(inputs):
    outputs = TorchNetwork(tiny_graph(), "float32", "")(inputs)
    return {**outputs, "mean": outputs["mean"] * float("nan")}


@pytest.mark.parametrize("answer", [raising(RuntimeUnavailable("no more")), not_finite])
def test_torch_takes_over_for_good_after_three_failures_in_a_row(answer, caplog):
    network, plain = Failing(answer), TorchNetwork(tiny_graph(), "float32", "")
    guarded = GuardedNetwork(network, plain)
    inputs = tiny_graph().samples(2)
    for _ in range(5):
        assert torch.equal(guarded(inputs)["shares"], plain(inputs)["shares"])
    assert network.calls == 3 and guarded.facts.name == "torch" and guarded.facts.fell_back
    assert "instead of failing, which failed 3 times in a row" in guarded.facts.reason
    assert sum("takes this set over" in record.message for record in caplog.records) == 1


def test_more_views_than_it_is_built_for_go_to_torch_each_time(cache, caplog):
    pytest.importorskip("onnxruntime")
    network = open_network(tiny_graph(), "onnxruntime", WANTED)
    for _ in range(4):
        assert network(tiny_graph().samples(9))["shares"].shape == (1, 9, 4)
    assert network.facts.name == "onnxruntime" and caplog.text.count("expected 1 to 8 views, got 9") == 1


def test_numbers_that_are_none_do_not_pass_for_equal():
    errors = output_errors(tiny_graph(), Failing(not_finite), views=(1, 2))
    assert {error.name: error.holds for error in errors} == {"shares": True, "mean": False}
