"""Things are cut out of the depth of all views together, and shown in views that measure nothing themselves."""

from dataclasses import replace

import pytest
import torch
from boxes_to_teach import BLUE, CANDIDATES, RED, cell_of, engine
from synthetic_cell import Block

from pan3d_core.labelling.places import Places, crumbs, places_of_depth, shown_places
from pan3d_core.labelling.proposals import depth_proposal
from pan3d_core.views.preprocessing import preprocess

# A lid of another colour that reaches over the can: nothing holds it but the can.
CAN = Block((0.10, 0.08, 0.04), (0.06, 0.06, 0.08), (0.1, 0.6, 0.2))
LID = Block((0.10, 0.08, 0.09), (0.09, 0.09, 0.02), (0.9, 0.8, 0.1))


def overlap(ids, true):
    """IoU of the object that most of the true pixels show."""
    best = int(torch.bincount(ids[true]).argmax())
    return float((true & (ids == best)).sum() / (true | (ids == best)).sum()) if best else 0.0


@pytest.fixture(scope="module")
def cell():
    return cell_of(CANDIDATES, 4, 128, 96)


@pytest.fixture(scope="module")
def places(cell):
    return places_of_depth(engine(), cell.views[:3], 0.0)


def test_each_thing_has_one_id_in_all_views_also_in_one_without_depth(cell, places):
    views = [*cell.views[:3], replace(cell.views[3], depth=None)]
    shown = shown_places(places, views)
    assert sorted(shown.ids.unique().tolist()) == [0, 1, 2, 3]
    for number in (1, 2, 3):
        seen = [overlap(shown.ids[row], cell.ids[row] == number) for row in range(4)]
        assert min(seen[:3]) > 0.75 and seen[3] > 0.45  # the last view shows sides that no other one does
    # Its depth is what other views measured there.
    thing = (shown.ids[3] > 0) & (cell.ids[3] > 0)
    assert float((shown.depth[3] - cell.views[3].depth)[thing].abs().median()) < 0.01
    assert bool(shown.known[3][thing].all()) and not bool(shown_places(places, views[3:]).known.all())


def test_a_view_that_looks_past_a_place_does_not_show_it(cell, places):
    far = replace(cell.views[0], depth=torch.full_like(cell.views[0].depth, 3.0))
    assert not bool((shown_places(places, [far]).ids > 0).any())


def test_what_stands_on_nothing_belongs_to_what_it_hangs_on():
    made = cell_of([CAN, LID, RED], 4, 128, 96)
    pieces = {
        row
        for row, mask in enumerate(engine()(preprocess(made.views, engine().facts.preprocess, 0.0))[1].mask_logits)
        if mask.any()
    }
    places = places_of_depth(engine(), made.views, 0.0)
    assert len(pieces) > 2 and len(places.owner.unique()) == 3  # can with lid, red box, and what is neither
    shown = shown_places(places, made.views)
    both = (made.ids == 1) | (made.ids == 2)
    assert min(overlap(shown.ids[row], both[row]) for row in range(4)) > 0.75


def test_small_things_close_to_larger_ones_may_be_parts_of_them():
    grid = torch.cartesian_prod(*(torch.arange(count) * 0.005 for count in (10, 10, 10)))
    small, far = grid[:20] + torch.tensor([0.055, 0.0, 0.0]), grid[:20] + torch.tensor([0.2, 0.0, 0.0])
    owner = torch.cat([torch.full((len(part),), value) for value, part in ((1, grid), (2, small), (3, far))])
    assert crumbs(Places(torch.cat([grid, small, far]), owner)) == {2}
    assert crumbs(Places(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))) == frozenset()


def test_of_a_view_depth_of_the_others_speaks(cell):
    # The blue box is measured in one view alone: no other view can say that it is there.
    empty = cell_of([RED], 4, 128, 96)
    views = [cell_of([RED, BLUE], 4, 128, 96).views[0], *empty.views[1:]]
    found = depth_proposal("depth", engine(), views, 0.0)
    blue = cell_of([RED, BLUE], 4, 128, 96).ids[0] == 2
    assert found.by_others and not bool((found.ids[0][blue] > 0).any())
    assert min(overlap(found.ids[row], empty.ids[row] == 1) for row in range(1, 4)) > 0.5
    one = [cell.views[0], *(replace(view, depth=None) for view in cell.views[1:])]
    alone = depth_proposal("depth", engine(), one, 0.0)
    assert not bool((alone.ids[0] > 0).any()) and bool((alone.ids[1] > 0).any())
