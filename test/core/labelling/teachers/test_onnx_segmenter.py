"""ONNX segmenters as teachers: files that run for real, and every way in which an answer may be wrong."""

import pytest
import torch
from teacher_files import boxes_picture, write_segmenter

from pan3d_core.labelling.teachers import TeacherRequest, TeacherUnavailable, build_teacher, terms_of

pytest.importorskip("onnxruntime")
MASKS = "{classes: [green box, red box], masks: masks, scores: scores, labels: labels, values: logits"


def teacher(folder, described=f"{MASKS}}}", *, request=None, **segmenter):
    weights, config = write_segmenter(folder / "boxes.onnx", **segmenter), folder / "boxes.yaml"
    config.write_text(described)
    return build_teacher(TeacherRequest(name="onnx", weights=str(weights), config=str(config), **(request or {})))


def test_masks_and_names_are_those_of_the_model(tmp_path):
    found = teacher(tmp_path)
    assert found.labels.names == ("green box", "red box") and found.finds_objects
    labels = found(boxes_picture())
    assert labels.masks.dtype == torch.bool and [found.labels.names[row] for row in labels.class_id] == ["red box", "green box"]
    assert torch.equal(labels.masks[0], boxes_picture()[0] > 0.5) and torch.equal(labels.masks[1], boxes_picture()[1] > 0.5)
    sure = teacher(tmp_path, request={"min_score": 0.8})(boxes_picture())
    assert [found.labels.names[row] for row in sure.class_id] == ["red box"]
    assert teacher(tmp_path, request={"min_pixels": 450})(boxes_picture()).masks.flatten(1).sum(-1).tolist() == [625]


def test_an_empty_picture_has_no_objects_and_is_no_error(tmp_path):
    labels = teacher(tmp_path)(torch.zeros(3, 48, 64))
    assert len(labels.masks) == 0 and bool((labels.semantics == -1).all())


def test_classes_of_pixels_serve_as_well(tmp_path):
    described = "{classes: [red box, green box, table], stuff: [table], semantics: semantics, values: logits}"
    found = teacher(tmp_path, described)
    labels = found(boxes_picture())
    assert len(labels.masks) == 0 and found.labels.names == ("red box", "green box", "table")
    image = boxes_picture()
    assert bool((labels.semantics[image[0] > 0.5] == 0).all()) and bool((labels.semantics[image[1] > 0.5] == 1).all())
    assert bool((labels.semantics[image.amax(0) == 0] == 2).all())


def test_pictures_are_brought_to_the_size_of_the_model(tmp_path):
    labels = teacher(tmp_path, hw=(24, 32))(boxes_picture())
    expected = boxes_picture()[0] > 0.5
    assert labels.masks.shape[1:] == (48, 64)
    assert bool(labels.masks[0][expected].all())  # at half the size the border is a pixel off
    assert int(labels.masks[0].sum()) <= 22 * 22
    described = f"{MASKS}, white: 255, mean: [0, 0, 0], deviation: [255, 255, 255], size: [48, 64]}}"
    assert torch.equal(teacher(tmp_path, described)(boxes_picture()).masks[0], expected)


@pytest.mark.parametrize(
    ("described", "segmenter", "words"),
    [
        (MASKS.replace(", values: logits", "}"), {}, r"picture: teacher onnx: output masks .masks.: expected probab.*, got -"),
        (MASKS.replace("masks: masks", "masks: scores") + "}", {}, r"output masks \(scores\): expected shape .*, got \(2,\)"),
        (f"{MASKS}}}", {"labels": (1, 2)}, r"output labels \(labels\): expected at most 1, of 2 classes, got 2"),
        (f"{MASKS}}}", {"label_type": torch.float32}, r"output labels \(labels\): expected whole numbers, got torch.float32"),
        ("{classes: [a, b], semantics: semantics, values: logits}", {}, r"output semantics .*: expected shape \(1, 2, any"),
        (MASKS.replace("scores: scores", "scores: masks") + "}", {}, r"output scores .*: expected shape \(2\), got \(6144,\)"),
    ],
)  # fmt: skip
def test_wrong_answers_name_the_output(tmp_path, described, segmenter, words):
    found = teacher(tmp_path, described, **segmenter)
    with pytest.raises(ValueError, match=words):
        found(boxes_picture())


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ("{masks: nothing}", "masks: nothing: expected one of the model's outputs masks, semantics, scores, labels"),
        ("{classes: [a]}", "masks, semantics: expected the name of an output for one of them, got none"),
        ("{masks: masks, labels: labels}", "classes: expected names of the model's classes, got none"),
        ("{mask: masks}", "mask.*did you mean"),
        ("{masks: masks, stuff: [table]}", "stuff: expected some of the classes, got 'table'"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(tmp_path, described, words):
    with pytest.raises(ValueError, match=words):
        teacher(tmp_path, described)


def test_what_is_no_model_or_not_there_is_told(tmp_path):
    described = tmp_path / "d.yaml"
    described.write_text("{masks: masks}")
    request = TeacherRequest(name="onnx", weights=str(tmp_path / "none.onnx"), config=str(described))
    with pytest.raises(TeacherUnavailable, match="teacher onnx: weights: expected an ONNX file, got .*which is no file"):
        build_teacher(request)
    (tmp_path / "none.onnx").write_bytes(b"text")
    with pytest.raises(ValueError, match="expected an ONNX file that ONNX Runtime opens"):
        build_teacher(request)
    with pytest.raises(ValueError, match="size: expected .24, 32. as"):
        teacher(tmp_path, f"{MASKS}, size: [48, 64]}}", hw=(24, 32))


def test_terms_of_a_file_are_those_that_its_owner_states():
    (terms,) = terms_of(TeacherRequest(name="onnx", weights_licence="CC-BY-4.0"))
    assert terms.weights == "CC-BY-4.0" and terms.commercial == "ask"
    with pytest.raises(ValueError, match="weights_licence: expected none for sam2"):
        terms_of(TeacherRequest(name="sam2", weights_licence="MIT"))
