"""What /diagnostics says of the runtime that a network runs in; no node is needed."""

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("pan3d_interfaces.msg")

from diagnostic_msgs.msg import DiagnosticStatus

from pan3d_core.config import PreprocessConfig
from pan3d_core.engines import EngineFacts
from pan3d_core.runtime.networks import RuntimeFacts
from pan3d_ros.outputs.diagnostics import model_status


def facts(**runtime):
    values = {"name": "openvino", "version": "1.2", "device": "CPU", "precision": "float32", "reason": "asked for", **runtime}
    return EngineFacts(PreprocessConfig(), runtime=lambda: RuntimeFacts(**values))


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
