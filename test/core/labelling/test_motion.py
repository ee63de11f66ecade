"""What was moved while it was recorded is found by depth that goes through it."""

from dataclasses import replace

import pytest
import torch
from boxes_to_teach import BLUE, ELSEWHERE, RED
from synthetic_cell import render_cell

from pan3d_core.labelling.motion import moved_places

STAYS, MOVED_AWAY = [RED, BLUE], [RED, replace(BLUE, center=ELSEWHERE.center)]


@pytest.fixture(scope="module")
def cells():
    return [render_cell(blocks, 4, 96, 72) for blocks in (STAYS, MOVED_AWAY)]


def test_what_stays_is_not_moved(cells):
    assert not moved_places(cells[0].views, 0.0).any()


def test_a_moved_box_is_found_where_it_was_and_where_it_is(cells):
    before, after = cells
    views = [*before.views[:2], *after.views[2:]]
    found = moved_places(views, 0.0)
    for row, made in enumerate((before, before, after, after)):
        moved, stays = made.ids[row] == 2, made.ids[row] == 1
        assert float(found[row][moved].float().mean()) > 0.4 and not found[row][stays].any()
        assert int((found[row] & ~moved).sum()) < 10


def test_a_box_that_stood_there_for_one_view_is_found_in_it(cells):
    views = [*cells[0].views[:3], cells[1].views[3]]
    assert moved_places(views, 0.0).flatten(1).any(1).tolist() == [False, False, False, True]


def test_noise_and_views_without_depth_say_nothing(cells):
    noise = torch.Generator().manual_seed(0)
    noisy = [replace(v, depth=v.depth * (1 + 0.004 * torch.randn(v.depth.shape, generator=noise))) for v in cells[0].views]
    assert not moved_places(noisy, 0.0).any()
    blind = [*cells[0].views[:2], *(replace(view, depth=None) for view in cells[1].views[2:])]
    assert not moved_places(blind, 0.0).any()
