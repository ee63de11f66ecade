"""What the page shows of an object: what stands out, what a click meets, which other object is near."""

import pytest
import torch
from labelled_boxes import BLUE_GREEN, DOUBTFUL, PATCH, RED_LEFT, RED_RIGHT, cell, labelled_dataset

from pan3d_core.labelling.review import Review
from pan3d_tools.review.shown import MAX_POINTS, cloud_of, facts_of, met_by_ray, nearest_first, pictures_of, shown_colors


@pytest.fixture(scope="module")
def review(tmp_path_factory):
    review = Review(labelled_dataset(tmp_path_factory.mktemp("data")))
    yield review
    review.close()


@pytest.fixture(scope="module")
def cloud(review):
    return cloud_of(review.scene("bench"), review.pixels("bench"))


def test_one_object_has_its_colours_and_all_that_is_none_is_dark(cloud):
    colors = torch.from_numpy(shown_colors(cloud, RED_LEFT)).float() / 255
    mine, table = cloud.ids == RED_LEFT, cloud.ids == 0
    assert torch.allclose(colors[mine], cloud.colors[mine], atol=0.003)
    assert float(colors[table].mean()) < 0.5 * float(cloud.colors[table].mean())
    assert not torch.allclose(colors[cloud.ids == PATCH], cloud.colors[cloud.ids == PATCH], atol=0.05)
    assert len(cloud.points) <= MAX_POINTS


def test_a_click_meets_what_is_in_front(cloud):
    block = cell().blocks[0]
    above = torch.tensor([*block.center[:2], 1.0])
    met, point = met_by_ray(cloud, above, torch.tensor([0.0, 0.0, -3.0]))
    assert met in (RED_LEFT, RED_RIGHT) and float(point[2]) == pytest.approx(block.center[2] + block.size[2] / 2, abs=0.01)
    assert met_by_ray(cloud, above, torch.tensor([0.0, 0.0, 1.0])) is None


def test_the_nearest_object_is_the_first_to_merge_with(review):
    state, pixels = review.state, review.pixels("bench")
    others = nearest_first(state.find("bench", RED_RIGHT), state, pixels)
    assert others[0].object_id == RED_LEFT and {item.object_id for item in others} == {RED_LEFT, BLUE_GREEN, DOUBTFUL, PATCH}


def test_facts_say_what_is_in_doubt_and_how_large_it_is(review):
    pixels = review.pixels("bench")
    told = facts_of(review.state.find("bench", DOUBTFUL), pixels)
    assert told.startswith("bench/4 is called 'thing': in doubt, and void unless it is kept or named; 4 views, ")
    assert "nobody has decided yet" in told and "cm" in told
    assert pictures_of(review.scene("bench"), pixels, DOUBTFUL).shape[2] == 3
    assert pictures_of(review.scene("bench"), pixels, 99) is None
