"""Narrow numbers: what of a file is narrow, and that only what was judged and did no harm is used."""

from dataclasses import replace

import pytest
import torch
from tiny_graphs import Mixing, tiny_graph

from pan3d_core.runtime.networks import RuntimeFacts, RuntimeUnavailable, Wanted, open_network, write_onnx
from pan3d_core.runtime.networks.judged import Judgement, judgement_entry, keep_judgements, on_trial
from pan3d_core.runtime.networks.precision import write_narrow
from pan3d_core.runtime.networks.table import bare_network

ON_CPU = ("onnxruntime", "openvino")
GOOD = Judgement("AP", 0.9, 0.895, -0.01)
BAD = Judgement("centre error (mm)", 8.0, 9.0, 0.5)


def wanted(precision):
    return Wanted(threads=1, precision=precision)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_products_with_weights_are_narrow_and_nothing_else(file, tmp_path, precision):
    onnx = pytest.importorskip("onnx")
    write_narrow(file, precision, tmp_path / "narrow.onnx")
    model = onnx.load(str(tmp_path / "narrow.onnx"))
    onnx.checker.check_model(model, full_check=True)
    words = {item.key: item.value for item in model.metadata_props}
    assert words["precision"] == precision and words["engine"] == "tiny" and words["format"] == "tiny/1"
    assert words["changed"] == f"1 products with weights in {precision}; all else in float32"
    narrow = {"float16": onnx.TensorProto.FLOAT16, "bfloat16": onnx.TensorProto.BFLOAT16}[precision]
    by_name = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]
    assert [by_name[name] for node in products for name in node.input if name in by_name][0] == narrow
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    casts = {node.output[0]: node.attribute[0].i for node in model.graph.node if node.op_type == "Cast"}
    assert casts.get(softmax.input[0], onnx.TensorProto.FLOAT) == onnx.TensorProto.FLOAT
    assert [value.type.tensor_type.elem_type for value in model.graph.output] == [onnx.TensorProto.FLOAT] * 2


def test_weights_that_a_type_cannot_hold_stay_wide(tmp_path):
    pytest.importorskip("onnxscript")
    module = Mixing()
    module.linear.weight.data[0, 0] = 1e5
    write_onnx(tiny_graph(module), tmp_path / "large.onnx")
    with pytest.raises(RuntimeUnavailable, match="expected products with weights to make float16, got none"):
        write_narrow(tmp_path / "large.onnx", "float16", tmp_path / "narrow.onnx")
    write_narrow(tmp_path / "large.onnx", "bfloat16", tmp_path / "narrow.onnx")


@pytest.mark.parametrize("runtime", ON_CPU)
def test_answers_are_those_of_rounded_weights(cache, runtime):
    pytest.importorskip(runtime)
    network, inputs = bare_network(tiny_graph(), runtime, wanted("float16")), tiny_graph().samples(3)
    assert network.facts.precision == "float16" and "products with weights in float16" in network.facts.changed
    assert ("weights alone are narrow" in network.facts.changed) == (runtime == "openvino")
    for name, value in zip(("shares", "mean"), tiny_graph().module(*inputs.values())):
        found = network(inputs)[name]
        assert found.dtype == torch.float32 and 0 < float((found - value.detach()).abs().max()) < 5e-3


def test_what_nobody_has_judged_is_left_to_torch(cache):
    pytest.importorskip("onnxruntime")
    network = open_network(tiny_graph(), "onnxruntime", wanted("float16"))
    assert network.facts.name == "torch" and network.facts.fell_back
    assert "has not been judged in float16 on this machine; pan3d export tiny --precision float16 does" in network.facts.reason
    with on_trial():
        assert open_network(tiny_graph(), "onnxruntime", wanted("float16")).facts.name == "onnxruntime"
    assert open_network(tiny_graph(), "onnxruntime", wanted("float16")).facts.name == "torch"


def test_what_did_no_harm_is_used(cache):
    pytest.importorskip("onnxruntime")
    facts = bare_network(tiny_graph(), "onnxruntime", wanted("float16")).facts
    keep_judgements(tiny_graph(), facts, [GOOD])
    network = open_network(tiny_graph(), "onnxruntime", wanted("float16"))
    assert network.facts.name == "onnxruntime" and network.facts.precision == "float16" and network.facts.changed
    # In float32 it has not been compared with torch for that.
    assert open_network(tiny_graph(), "onnxruntime", replace(wanted("float32"), build=False)).facts.name == "torch"


@pytest.mark.parametrize("runtime", ["onnxruntime", "auto"])
def test_what_did_harm_is_refused_and_torch_runs_in_float32(cache, caplog, runtime):
    pytest.importorskip("onnxruntime")
    for name in ON_CPU:
        pytest.importorskip(name)
        keep_judgements(tiny_graph(), bare_network(tiny_graph(), name, wanted("float16")).facts, [GOOD, BAD])
    network = open_network(tiny_graph(), runtime, wanted("float16"))
    assert (network.facts.name, network.facts.precision, network.facts.fell_back) == ("torch", "float32", True)
    assert "in float16 was refused: centre error (mm) 8 -> 9 (by 0.5 at most)" in network.facts.reason
    assert "torch runs in float32 instead" in caplog.text and network.facts.changed == ""


def test_a_later_judgement_takes_the_place_of_an_earlier_one(cache):
    facts = RuntimeFacts("some", "1", "CPU", "float16", "")
    keep_judgements(tiny_graph(), facts, [BAD])
    keep_judgements(tiny_graph(), facts, [GOOD])
    assert "0.895" in judgement_entry(tiny_graph(), facts).find().read_text()


def test_limits_hold_in_the_direction_that_is_worse():
    assert GOOD.holds and not BAD.holds
    assert Judgement("AP", 0.5, 0.9, -0.01).holds and Judgement("centre error (mm)", 8.0, 2.0, 0.5).holds
    assert not Judgement("AP", 0.5, float("nan"), -0.01).holds and not Judgement("x", 0.5, float("nan"), 0.5).holds


def test_torch_says_what_is_narrow():
    network = open_network(tiny_graph(), "torch", wanted("bfloat16"))
    assert network.facts.changed.startswith("products in bfloat16; norms, softmax")
