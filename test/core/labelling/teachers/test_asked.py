"""Folders of pictures and a teacher: labels as files, what is empty, what nobody could look at, and what is done already."""

import json

import pytest
import torch
from teacher_files import boxes_picture

from pan3d_core.labelling.teachers import (
    Picture,
    TeacherRequest,
    ask_pictures,
    build_teacher,
    read_card,
    write_card,
)
from pan3d_core.refine.labels.files import labels_from_files
from pan3d_core.structures import CameraView


@pytest.fixture
def teacher_of(tmp_path, stub_packages):
    def made(content=b"", **settings):
        weights = tmp_path / "sam2_hiera_tiny.pt"
        weights.write_bytes(content)
        return build_teacher(TeacherRequest(name="sam2", weights=str(weights), device="cpu", **settings))

    return made


def unreadable():
    raise ValueError("image: broken.png cannot be decoded")


def test_what_is_found_empty_and_unseen_are_three_things(tmp_path, teacher_of):
    teacher = teacher_of()
    pictures = [Picture("a", boxes_picture), Picture("b", lambda: torch.zeros(3, 48, 64)), Picture("c", unreadable)]
    found = ask_pictures(teacher, pictures, tmp_path / "labels")
    assert found.objects == {"a": 2, "b": 0} and found.empty == ["b"] and not found.kept
    assert found.unseen == {"c": "image: broken.png cannot be decoded"}
    views = [CameraView(boxes_picture(), camera="a"), CameraView(torch.zeros(3, 48, 64), camera="b")]
    read = labels_from_files(tmp_path / "labels", views)
    assert torch.equal(read.views[0].masks, teacher(boxes_picture()).masks) and len(read.views[1].masks) == 0
    with pytest.raises(FileNotFoundError, match="NAME being .*c, got none"):
        labels_from_files(tmp_path / "labels", [CameraView(boxes_picture(), camera="c")])
    assert read_card(tmp_path / "labels") == teacher.card


def test_labels_that_are_there_are_kept_and_others_are_not_mixed_in(tmp_path, teacher_of):
    pictures = [Picture("a", boxes_picture)]
    ask_pictures(teacher_of(), pictures, tmp_path / "labels")
    assert ask_pictures(teacher_of(), [Picture("a", unreadable)], tmp_path / "labels").kept
    more = ask_pictures(teacher_of(), [*pictures, Picture("b", boxes_picture)], tmp_path / "labels")
    assert not more.kept and set(more.objects) == {"a", "b"}
    with pytest.raises(ValueError, match="teacher.json: expected the card of this very teacher, got another one"):
        ask_pictures(teacher_of(min_score=0.3), pictures, tmp_path / "labels")
    with pytest.raises(ValueError, match="expected the card of this very teacher"):
        ask_pictures(teacher_of(b"other weights"), pictures, tmp_path / "labels")


def test_no_picture_that_can_be_looked_at_is_an_error_and_leaves_no_labels(tmp_path, teacher_of):
    with pytest.raises(ValueError, match="expected a picture that can be looked at, got none of 1: a: memory is too small"):
        ask_pictures(teacher_of(b"too large"), [Picture("a", boxes_picture)], tmp_path / "labels")
    assert not (tmp_path / "labels" / "labels.json").exists()
    with pytest.raises(ValueError, match="a: teacher sam2: masks: expected 48 rows"):
        ask_pictures(teacher_of(b"wrong shape"), [Picture("a", boxes_picture)], tmp_path / "other")
    assert not (tmp_path / "other" / "labels.json").exists()


def test_cards_that_are_none_are_refused(tmp_path, teacher_of):
    assert read_card(tmp_path) is None
    path = write_card(tmp_path, teacher_of().card)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "version": 2}))
    with pytest.raises(ValueError, match=r"teacher.json: format, version: expected pan3d-teacher 1"):
        read_card(tmp_path)
    path.write_text(json.dumps({"format": "pan3d-teacher", "version": 1}))
    with pytest.raises(ValueError, match="expected a teacher's card"):
        read_card(tmp_path)
