"""One network in every runtime that is installed, and torch where one of them does not run."""

import logging
import sys
from dataclasses import replace

import pytest
import torch
from tiny_graphs import ForFourViews, tiny_graph

from pan3d_core.runtime.networks import RuntimeUnavailable, Wanted, open_network, read_onnx_metadata, write_onnx
from pan3d_core.runtime.networks.built import network_entry
from pan3d_core.runtime.networks.guarded import GuardedNetwork
from pan3d_core.runtime.networks.table import installed_runtimes, prepared
from pan3d_core.runtime.networks.torch_network import TorchNetwork
from pan3d_core.runtime.networks.verify import output_errors

WANTED = Wanted(threads=1)
ON_CPU = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    write_onnx(tiny_graph(), path)
    return path


@pytest.fixture
def cache(monkeypatch, tmp_path, file):
    """A cache in which the network is written already."""
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    network_entry(tiny_graph()).build(lambda path: path.write_bytes(file.read_bytes()))
    return tmp_path / "cache"


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
