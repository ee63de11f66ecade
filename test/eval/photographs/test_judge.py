"""What is found on photographs, on figures that are made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from pan3d_eval.photographs import PHOTOGRAPHS
from pan3d_eval.photographs.catalogue import LICENCES, StereoTruth
from pan3d_eval.photographs.judge import FoundThing, PhotographFigures, bounding_box, box_iou
from pan3d_eval.photographs.stereo import stereo_views, true_depth

STEREO = StereoTruth(100.0, (4.0, 3.0), 2.0, 0.1, "disparity.npz")


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda item: item.key)
def test_every_box_lies_in_its_picture_and_every_package_has_a_licence(photograph):
    assert photograph.package.name in LICENCES and photograph.things
    for thing in photograph.things:
        left, top, right, bottom = thing.box
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def test_no_two_photographs_share_a_key():
    assert len({item.key for item in PHOTOGRAPHS}) == len(PHOTOGRAPHS) >= 12


def test_boxes_are_compared_by_the_area_that_they_share():
    assert box_iou((0, 0, 0.5, 1), (0, 0, 0.5, 1)) == pytest.approx(1)
    assert box_iou((0, 0, 0.5, 1), (0.25, 0, 0.75, 1)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 0.5, 1), (0.5, 0, 1, 1)) == 0


def test_the_box_around_a_mask_has_its_outermost_pixels_inside():
    mask = np.zeros((10, 20), bool)
    mask[2:4, 5:15] = True
    assert bounding_box(mask) == (0.25, 0.2, 0.75, 0.4)


def test_a_thing_counts_as_named_only_where_it_is_found():
    things = (FoundThing(0.6, 1.0, "cup", True), FoundThing(0.4, 1.0, "plate", True), FoundThing(0.9, 0.8, "tape", False))
    figures = PhotographFigures(things, 4, 0.2, float("nan"), float("nan"))
    assert (figures.num_found, figures.num_named) == (2, 1)


@pytest.mark.parametrize("suffix", ["npz", "png"])
def test_disparity_becomes_depth_and_what_is_unknown_stays_so(tmp_path, suffix):
    disparity = np.array([[8, 0], [3, 48]], np.uint8)
    path = tmp_path / f"disparity.{suffix}"
    if suffix == "npz":
        np.savez(path, np.where(disparity == 0, np.inf, disparity).astype(np.float32))
    else:
        Image.fromarray(disparity).save(path)
    np.testing.assert_allclose(true_depth(STEREO, path), [[1.0, 0.0], [2.0, 0.2]], rtol=1e-6)


def test_a_point_is_seen_in_both_pictures_of_a_pair_where_its_disparity_says(tmp_path):
    paths = [tmp_path / f"{side}.png" for side in ("left", "right")]
    for path in paths:
        Image.new("RGB", (8, 6)).save(path)
    left, right = stereo_views(STEREO, paths)
    point = torch.tensor([0.05, 2.0, 0.1, 1.0])  # two metres before the left camera, to its right and above
    seen = []
    for view in (left, right):
        camera = view.cam_from_world @ point
        seen.append((view.intrinsics @ camera[:3])[:2] / camera[2])
    disparity = 100.0 * 0.1 / 2.0 - 2.0
    torch.testing.assert_close(seen[0], torch.tensor([4.0 + 2.5, 3.0 - 5.0]))
    torch.testing.assert_close(seen[0] - seen[1], torch.tensor([disparity, 0.0]))


def test_scattered_parts_of_a_thing_are_not_the_thing():
    assert FoundThing(0.9, 0.6, "apple", True).found and not FoundThing(0.9, 0.3, "apple", True).found
