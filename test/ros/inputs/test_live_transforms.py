"""Frames that /tf has never named are told with those that were meant; tf2 itself is not needed here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pan3d_ros.inputs import live_transforms
from pan3d_ros.inputs.transforms import TransformUnavailable

FRAMES = "front_link: \n  parent: 'base_link'\n  rate: 1.0\nfront_optical_frame: \n  parent: 'front_link'\n  rate: 1.0\n"


class LookupException(Exception):  # noqa: N818 (name of the original)
    pass


@pytest.fixture
def transforms(monkeypatch):
    """(frames that are known, reference frame) -> what listens to /tf."""

    class Buffer:
        def __init__(self, node) -> None:
            self.frames = node

        def lookup_transform(self, target, source, time):
            raise LookupException(f'"{target}" passed to lookupTransform argument target_frame does not exist. ')

        def all_frames_as_yaml(self):
            return self.frames

    module = SimpleNamespace(
        TransformException=Exception, LookupException=LookupException, Buffer=Buffer, TransformListener=lambda buffer, node: None
    )
    monkeypatch.setattr(live_transforms, "tf2_ros", module)
    return lambda frames, reference: live_transforms.TfTransforms(frames, reference)


def said(transforms, frame: str) -> str:
    with pytest.raises(TransformUnavailable) as caught:
        transforms.lookup("front", frame, 0)
    return str(caught.value)


def test_a_reference_frame_that_is_misspelt_is_named_with_the_one_that_was_meant(transforms):
    words = said(transforms(FRAMES, "base_lnik"), "front_optical_frame")
    assert words.endswith("; reference_frame 'base_lnik' is in no transform; did you mean base_link?")


def test_so_is_the_frame_of_the_images(transforms):
    words = said(transforms(FRAMES, "base_link"), "front_optical")
    assert words.endswith("; the image's frame_id 'front_optical' is in no transform; did you mean front_optical_frame?")


@pytest.mark.parametrize("frames", ["[]", ""])
def test_nothing_is_guessed_before_any_transform_came(transforms, frames):
    assert "in no transform" not in said(transforms(frames, "base_link"), "front_optical_frame")
