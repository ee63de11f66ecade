"""Pictures that show too little are found: dark ones, and blurred ones beside those that are not."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from synthetic_cell import BLOCKS, render_cell

from pan3d_core.views.picture_checks import covered_rows, picture_faults, sharpness


@pytest.fixture(scope="module")
def views():
    return render_cell(BLOCKS, 4, 160, 120).views


def blurred(view, kernel):
    image = cv2.filter2D(view.image.permute(1, 2, 0).numpy(), -1, kernel / kernel.sum())
    return replace(view, image=torch.from_numpy(image).permute(2, 0, 1))


def test_pictures_of_a_table_in_the_light_are_clear(views):
    assert picture_faults(views) == {}
    dim = [replace(view, image=0.25 * view.image) for view in views]
    assert picture_faults(dim) == {}


def test_a_dark_picture_is_named_with_its_brightness_also_where_it_is_noisy(views):
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(np.abs(rng.normal(0, 0.02, views[1].image.shape)).astype(np.float32))
    found = picture_faults([views[0], replace(views[1], image=noise), *views[2:]])
    assert set(found) == {1} and found[1].startswith("too dark (brightness 0.0")


@pytest.mark.parametrize("kernel", [np.ones((1, 25)), np.ones((25, 1)), np.eye(25), np.ones((15, 15))])
def test_a_picture_that_was_taken_in_motion_or_out_of_focus_is_blurred(views, kernel):
    found = picture_faults([*views[:2], blurred(views[2], kernel), views[3]])
    assert set(found) == {2} and found[2].startswith("blurred (sharpness 1.")


def test_where_all_are_blurred_none_is_clear(views):
    found = picture_faults([blurred(view, np.ones((21, 21))) for view in views])
    assert set(found) == {0, 1, 2, 3}


def test_a_plain_picture_has_no_edges_to_be_blurred():
    assert sharpness(np.full((40, 50), 0.5)) > 3


def test_one_spot_between_the_pixels_that_are_looked_at_first_is_no_covered_lens(views):
    covered = torch.full((3, 120, 160), 90, dtype=torch.uint8)
    noisy, spot = covered.clone(), covered.clone()
    noisy[:, ::3, ::5] += 2
    spot[1, 57, 83] += 3
    seen = [replace(views[0], image=image, depth=None) for image in (covered, noisy, spot, spot.permute(0, 2, 1).contiguous())]
    assert covered_rows([*views, *seen]) == (4, 5)
