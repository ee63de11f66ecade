"""A node refuses what it cannot warrant, and hears by ~/confirm_answer what its answers were worth."""

import json

import ros_support
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject
from std_srvs.srv import SetBool

from pan3d_core.warranty import OBJECT, WORDS, Confirmation, write_confirmations


def test_answers_are_confirmed_and_refused_by_what_was_confirmed(spinner, monkeypatch, tmp_path):
    path = tmp_path / "site.json"
    bench = ros_support.Bench(spinner, monkeypatch, warranty__file=str(path)).start()
    bench.until(bench.instances, "a result")
    early = bench.call(SetBool, "confirm_answer", data=True)
    assert not early.success and "expected an answer that was given" in early.message
    answer = bench.call(SegmentObject, "segment_object", prompt_type=SegmentObject.Request.PROMPT_ALL, use_latest=True)
    assert answer.success
    done = bench.call(SetBool, "confirm_answer", data=False)
    assert done.success and done.message == "object: 1 confirmations, 1 of them wrong", done.message
    assert len(json.loads(path.read_text())["confirmations"]["object"]) == 1


def test_an_answer_that_is_not_warranted_is_refused(spinner, monkeypatch, tmp_path):
    path = tmp_path / "site.json"
    write_confirmations(path, {OBJECT: [Confirmation(1.0, False)] * 500, WORDS: []})
    bench = ros_support.Bench(spinner, monkeypatch, warranty__file=str(path), warranty__wrong_share=0.1).start()
    bench.until(bench.instances, "a result")
    answer = bench.call(SegmentObject, "segment_object", prompt_type=SegmentObject.Request.PROMPT_ALL, use_latest=True)
    assert not answer.success and answer.error_code == ErrorCode.NOT_FOUND and not answer.instances.instances
    assert "refused: 500 confirmations here are too few, or too many of them were wrong" in answer.message


def test_a_damaged_file_is_told_and_nothing_is_answered(spinner, monkeypatch, tmp_path):
    path = tmp_path / "site.json"
    path.write_text("[]")
    bench = ros_support.Bench(spinner, monkeypatch, warranty__file=str(path), warranty__wrong_share=0.1).start()
    bench.until(bench.instances, "a result")
    answer = bench.call(SegmentObject, "segment_object", prompt_type=SegmentObject.Request.PROMPT_ALL, use_latest=True)
    assert answer.error_code == ErrorCode.INVALID_REQUEST and "warranty.file: " in answer.message
    refused = bench.call(SetBool, "confirm_answer", data=True)
    assert not refused.success and "warranty.file: " in refused.message


def test_without_a_file_the_service_says_so(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    answer = bench.call(SetBool, "confirm_answer", data=True)
    assert not answer.success and "warranty.file: expected the path of a .json file" in answer.message
