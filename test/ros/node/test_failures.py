"""What fails inside the node drops one view set and is told; perception that fails again and again comes back by itself."""

import time

import pytest
import ros_support
import torch
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject

from pan3d_core.engines import ENGINES
from pan3d_ros.perception_node import SUCCESS
from pan3d_ros.platform.rclpy_private import lifecycle_state

WARN, ERROR = b"\x01", b"\x02"
ALL = SegmentObject.Request.PROMPT_ALL


def test_a_view_set_that_the_engine_rejects(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.engine.failure = ValueError("views: expected something else")
    bench.until(lambda: bench.listener.shows("pipeline", ERROR, "expected something else"), "the diagnostic")
    answer = bench.what_is_there()
    assert (answer.success, answer.error_code) == (False, ErrorCode.INFERENCE_ERROR)
    assert not bench.instances()
    bench.engine.failure = None
    bench.until(bench.instances, "the next sets are fine")


def test_too_little_memory_is_told_and_survived(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.engine.failure = torch.OutOfMemoryError("tried to allocate 9 GiB")
    bench.until(lambda: bench.listener.shows("pipeline", ERROR, "use fewer cameras"), "the diagnostic")
    assert bench.what_is_there().error_code == ErrorCode.OUT_OF_MEMORY
    bench.engine.failure = None
    bench.until(bench.instances, "the next sets are fine")


def test_a_network_that_hangs_is_told(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, watchdog__inference_timeout_s=0.5).start()
    bench.engine.delay_s = 6.0
    bench.until(lambda: bench.listener.shows("pipeline", ERROR, "one view set has been in work for"), "the diagnostic")
    answer = bench.what_is_there(timeout=0.5)
    assert (answer.success, answer.error_code) == (False, ErrorCode.TIMEOUT)
    assert "being processed" in answer.message
    bench.engine.delay_s = 0.0


@pytest.mark.parametrize("error", [KeyError("no such thing"), RuntimeError("no convergence"), TypeError("not a tensor")])
def test_a_view_set_that_fails_is_dropped_and_the_next_one_gives_a_result(spinner, monkeypatch, error):
    bench = ros_support.Bench(spinner, monkeypatch, recovery__max_failures=1000).start()
    bench.until(bench.instances, "results")
    bench.engine.failure = error
    text = type(error).__name__
    bench.until(lambda: bench.listener.shows("pipeline", ERROR, f"a view set failed: {text}"), "the diagnostic")
    answer = bench.what_is_there()
    assert (answer.success, answer.error_code) == (False, ErrorCode.INFERENCE_ERROR)
    assert text in answer.message
    count = len(bench.instances())
    bench.engine.failure = None
    bench.until(lambda: len(bench.instances()) > count, "results, although nobody did anything")
    bench.until(lambda: bench.listener.shows("pipeline", b"\x00", ""), "healthy again")


def test_failures_in_a_row_end_perception_and_the_node_comes_back_without_an_operator(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, recovery__initial_delay_s=0.5, recovery__max_failures=3, recovery__factor=1.0)
    bench.start()
    bench.until(bench.instances, "results")
    bench.engine.failure = KeyError("no such thing")
    stopped = "perception stopped: RepeatedFailure: 3 view sets in a row failed, the last by KeyError"
    bench.until(lambda: bench.listener.has_shown("model", ERROR, stopped), "the diagnostic")
    bench.until(lambda: bench.listener.has_shown("model", ERROR, "; failed, trying again in "), "what will be done about it")
    answer = bench.call(SegmentObject, "segment_object", prompt_type=ALL, use_latest=True)
    assert answer.error_code == ErrorCode.NOT_ACTIVE, answer.message
    bench.until(lambda: bench.listener.has_shown("model", ERROR, "configure failed: 'no such thing'"), "a failing attempt")
    count = len(bench.instances())
    bench.engine.failure = None
    bench.until(lambda: len(bench.instances()) > count, "results again")
    bench.until(lambda: bench.listener.shows("model", b"\x00", "active"), "healthy diagnostics")


def test_an_operator_who_takes_over_ends_the_attempts(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, recovery__initial_delay_s=60.0, recovery__max_failures=1).start()
    bench.until(bench.instances, "results")
    bench.engine.failure = KeyError("no such thing")
    bench.until(lambda: bench.listener.shows("model", ERROR, "trying again in"), "the diagnostic")
    bench.until(lambda: lifecycle_state(bench.node) == "unconfigured", "the end of perception")
    bench.engine.failure = None
    bench.start()
    bench.until(lambda: bench.listener.shows("model", b"\x00", "active"), "healthy diagnostics")
    assert bench.node.trigger_deactivate() == SUCCESS
    assert bench.node.trigger_cleanup() == SUCCESS
    bench.until(lambda: bench.listener.shows("model", b"\x00", "unconfigured"), "that nothing is planned")


def test_a_node_waits_for_an_operator_where_recovery_is_switched_off(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, recovery__enabled=False, recovery__max_failures=1).start()
    bench.engine.failure = KeyError("no such thing")
    bench.until(lambda: bench.listener.shows("model", ERROR, "perception stopped: RepeatedFailure"), "the diagnostic")
    assert "trying again" not in bench.listener.status("model").message
    assert bench.call(GetState, "get_state").current_state.id == State.PRIMARY_STATE_UNCONFIGURED


def test_a_callback_that_fails_does_not_end_the_executor(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.until(bench.instances, "results")
    monkeypatch.setattr(bench.node.perception.sync, "add", lambda *_: 1 / 0)
    bench.until(lambda: bench.listener.shows("camera front", ERROR, "ZeroDivisionError"), "the diagnostic")
    monkeypatch.setattr(bench.node.perception.inputs[0]._pairing, "take", lambda *_: [][0])
    deadline = time.monotonic() + 30
    while spinner.error is None:
        assert time.monotonic() < deadline, "no exception came out of the callback"
        bench.rig.publish()
        time.sleep(0.05)
    assert isinstance(spinner.error, IndexError)
    monkeypatch.undo()
    monkeypatch.setitem(ENGINES, "colors", lambda config: bench.engine)
    quiet = 0
    while quiet < 10:  # an executor hears of a failure when it takes up a later callback
        assert time.monotonic() < deadline, "failures go on"
        spinner.error = None  # seen
        bench.rig.publish()
        time.sleep(0.05)
        quiet = 0 if spinner.error else quiet + 1
    count = len(bench.instances())
    bench.until(lambda: len(bench.instances()) > count, "results again", publish=True)
