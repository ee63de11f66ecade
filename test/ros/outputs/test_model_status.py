"""What /diagnostics says of the runtime that a network runs in; no node is needed."""

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("pan3d_interfaces.msg")

from diagnostic_msgs.msg import DiagnosticStatus

from pan3d_core.config import PreprocessConfig
from pan3d_core.engines import EngineFacts
from pan3d_core.runtime.networks import RuntimeFacts
from pan3d_core.runtime.progress import step
from pan3d_ros.outputs.model_status import model_status


def facts(**runtime):
    values = {"name": "openvino", "version": "1.2", "device": "CPU", "precision": "float32", "reason": "asked for", **runtime}
    return EngineFacts(PreprocessConfig(), runtime=lambda: RuntimeFacts(**values))


def test_what_is_being_built_is_told_while_the_node_is_on_its_way():
    with step("loading da3"):
        with step("building network.onnx for da3"):
            found = model_status("configuring", "", "da3", None)
            assert model_status("unconfigured", "", "da3", None).message == "unconfigured"
        assert model_status("configuring", "", "da3", None).message == "configuring: loading da3, for 0 s now"
    assert found.level == DiagnosticStatus.OK
    assert found.message == "configuring: building network.onnx for da3, for 0 s now"
    assert values_of(found)["step"] == "building network.onnx for da3"
    assert model_status("configuring", "", "da3", None).message == "configuring"


def test_what_is_narrow_is_told():
    told = values_of(model_status("active", "", "pan3d-mini", facts(precision="float16", changed="7 products in float16")))
    assert told["precision"] == "float16" and told["narrow"] == "7 products in float16"
    assert "narrow" not in values_of(model_status("active", "", "pan3d-mini", facts()))


def values_of(found):
    return {pair.key: pair.value for pair in found.values}


def test_the_runtime_and_its_reason_are_told():
    found = model_status("active", "", "pan3d-mini", facts())
    assert found.level == DiagnosticStatus.OK and found.message == "active"
    told = values_of(found)
    assert told["runtime"] == "openvino 1.2" and told["runtime reason"] == "asked for" and told["device"] == "cpu"


def test_torch_in_place_of_what_was_asked_for_is_a_warning():
    given = facts(name="torch", reason="instead of openvino: it is not installed", fell_back=True)
    found = model_status("active", "", "pan3d-mini", given)
    assert found.level == DiagnosticStatus.WARN
    assert found.message == "active; torch runs the network instead of openvino: it is not installed"
    assert model_status("inactive", "no weights", "pan3d-mini", given).level == DiagnosticStatus.ERROR


def test_without_an_engine_or_another_runtime_nothing_is_said_of_one():
    assert "runtime" not in values_of(model_status("unconfigured", "", "pan3d-mini", None))
    assert "runtime" not in values_of(model_status("active", "", "da3", EngineFacts(PreprocessConfig())))
