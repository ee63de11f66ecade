"""Classes in words over real services and topics: what is refused and how, thousands of names, clouds coloured by class."""

import numpy as np
import pytest
import ros_support
import torch
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import GetGraspTargets, SegmentObject, SetClasses
from sensor_msgs.msg import PointCloud2

from pan3d_core.language import namer
from pan3d_core.pictures.palette import UNASSIGNED, class_colors
from pan3d_ros.messages.clouds import cloud_from_message, unpack_rgb
from pan3d_ros.outputs import publishers


class Spelling:
    """Meaning by letters, so that tests need no weights; keeps what it was asked."""

    dim = 64

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode(self, texts):
        self.calls.append(list(texts))
        rows = torch.full((len(texts), self.dim), 1e-3)
        for row, text in zip(rows, texts):
            for first, second in zip(f"^{text}", f"{text}$"):
                row[(31 * ord(first) + ord(second)) % self.dim] += 1
        return torch.nn.functional.normalize(rows, dim=-1)


@pytest.fixture
def bench(spinner, monkeypatch):
    encoder = Spelling()
    monkeypatch.setattr(namer, "build_text_encoder", lambda name, weights: encoder)
    bench = ros_support.Bench(spinner, monkeypatch).start()
    bench.encoder = encoder
    return bench


def colors_by_label(message: PointCloud2) -> dict[int, set[tuple[int, ...]]]:
    points = cloud_from_message(message)
    rgb = unpack_rgb(points["rgb"])
    return {int(label): set(map(tuple, rgb[points["label"] == label].tolist())) for label in np.unique(points["label"])}


def test_names_that_cannot_be_used_are_refused_in_words(bench):
    bench.until(bench.instances, "results")

    def refused(classes):
        answer = bench.call(SetClasses, "set_classes", classes=classes)
        assert (answer.success, answer.error_code, list(answer.classes)) == (False, ErrorCode.INVALID_REQUEST, [])
        return answer.message

    assert refused(["mug", "  "]) == "classes[1]: expected words, got an empty text"
    assert refused(["mug", "x" * 257]) == "classes[1]: expected at most 256 characters, got 257"
    assert "classes: expected names with a word in each, got '?!'" in refused(["?!"])
    assert refused(["mug"] * 10_001) == "classes: expected at most 10000 names, got 10001"
    assert not bench.encoder.calls  # nothing of that was embedded
    for prompt, problem in (("", "got an empty text"), ("?!", "got '?!'"), ("x" * 257, "got 257"), ("☕", "got '☕'")):
        answer = bench.call(SegmentObject, "segment_object", publish=True, prompt=prompt, use_latest=True)
        assert (answer.success, answer.error_code) == (False, ErrorCode.INVALID_REQUEST), prompt
        assert answer.message.startswith("prompt: expected") and problem in answer.message
    answer = bench.call(SegmentObject, "segment_object", publish=True, prompt="чашка", use_latest=True)
    assert (answer.success, answer.error_code) == (False, ErrorCode.NOT_UNDERSTOOD) and "looks like Russian" in answer.message


def test_an_answer_says_how_each_word_was_read(bench):
    bench.until(bench.instances, "results")
    answer = bench.call(SegmentObject, "segment_object", prompt="the block that isn't red", use_latest=True)
    assert list(answer.prompt_words) == ["the", "block", "that", "isn't", "red"]
    assert list(answer.prompt_roles) == ["ignored", "noun", "ignored", "not", "color"]
    refused = bench.call(SegmentObject, "segment_object", prompt="a block unless red", use_latest=True)
    assert (refused.success, refused.error_code) == (False, ErrorCode.NOT_UNDERSTOOD) and not refused.instances.instances
    assert dict(zip(refused.prompt_words, refused.prompt_roles))["unless"] == "not understood" and "'unless'" in refused.message


def test_grasps_are_refused_for_a_prompt_that_is_not_understood(bench):
    bench.until(bench.instances, "results")
    answer = bench.call(GetGraspTargets, "get_grasp_targets", prompt="do not take the block")
    assert (answer.success, answer.error_code) == (False, ErrorCode.NOT_UNDERSTOOD) and not answer.targets
    assert "not what to take" in answer.message


def test_repeated_and_foreign_names_are_told(bench):
    answer = bench.call(SetClasses, "set_classes", classes=[" block", "Block", "чашка", "tasse à café"])
    assert answer.success and list(answer.classes) == ["block", "чашка", "tasse à café"]
    assert answer.message == "3 names in force, 1 repeated; the text encoder knows English, so 'чашка' may not be understood"
    answer = bench.call(SetClasses, "set_classes", classes=[])
    assert answer.success and not answer.classes and answer.message == "the names of the checkpoint are in force"


def test_five_thousand_names_are_embedded_in_one_call_and_name_objects(bench):
    names = [f"thing number {index}" for index in range(4999)] + ["block"]
    answer = bench.call(SetClasses, "set_classes", classes=names)
    assert answer.success and len(answer.classes) == 5000 and answer.message == "5000 names in force"
    assert sum(len(call) > 1 for call in bench.encoder.calls) == 1
    bench.until(lambda: bench.instances() and len(bench.instances()[-1].instances) == 2, "two blocks")
    bench.until(lambda: {i.class_name for i in bench.instances()[-1].instances} == {"block"}, "named by the new classes")
    assert {i.label for i in bench.instances()[-1].instances} == {5000}
    told = bench.listener.received["label_info"]
    bench.until(lambda: len(told[-1].names) == 5000, "the new names are announced")
    assert told[-1].names[4999] == "block" and len(told[-1].colors) == 5000


def test_points_are_coloured_by_class_for_those_who_listen(bench, monkeypatch):
    made = []
    monkeypatch.setattr(publishers, "by_class", lambda *given, real=publishers.by_class: made.append(1) or real(*given))
    listener, clouds = bench.listener, []
    bench.until(lambda: len(listener.received["points"]) > 2, "results")
    assert not made  # nobody listens yet
    listener.create_subscription(PointCloud2, "/pan3d/semantic_points", clouds.append, 5)
    bench.until(lambda: clouds and len(colors_by_label(clouds[-1])) == 2, "two blocks in the semantic cloud")
    (block, ball), grey = class_colors(("block", "ball")), tuple(UNASSIGNED)
    assert block != ball
    assert colors_by_label(clouds[-1]) == {0: {grey}, 1: {block}}
    assert clouds[-1].header.frame_id == "base_link" and clouds[-1].header.stamp in [a.header.stamp for a in bench.instances()]
    info = listener.received["label_info"][-1]
    told = [tuple(round(255 * value) for value in (color.r, color.g, color.b)) for color in info.colors]
    assert list(info.names) == ["block", "ball"] and told == [block, ball]
    assert bench.call(SetClasses, "set_classes", classes=["ball", "block"]).success
    bench.until(lambda: colors_by_label(clouds[-1]).get(2), "labels of the new classes")
    assert colors_by_label(clouds[-1])[2] == {class_colors(("ball", "block"))[1]}
    bench.until(lambda: list(listener.received["label_info"][-1].names) == ["ball", "block"], "the new names are announced")
