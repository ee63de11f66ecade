"""What of a refined scene is taken for known: objects that proposers agree on, table that nobody takes for an object."""

from dataclasses import replace

import pytest
import torch

from pan3d_core.labelling.doubt import CRUMB, MOVED, THIN, THING, DoubtRules, MapViews, same_object, verdicts
from pan3d_core.labelling.proposals import CLASSES, OBJECT, Proposal, joined
from pan3d_core.structures import CameraView

TABLE = CLASSES.names.index("table")
VIEWS, SIDE = 4, 24
LEFT, RIGHT = (slice(2, 12), slice(2, 12)), (slice(2, 12), slice(13, 23))


def ids_of(*places, views=range(VIEWS)):
    """(V, H, W) with object k at places[k - 1] in these views."""
    ids = torch.zeros(VIEWS, SIDE, SIDE, dtype=torch.int64)
    for view in views:
        for number, (rows, columns) in enumerate(places, start=1):
            ids[view, rows, columns] = number
    return ids


def proposal(name, ids, *, called=()):
    return Proposal(name, ids, tuple(dict(called) for _ in range(VIEWS)), torch.where(ids > 0, -1, TABLE))


def shown(ids):
    return MapViews(torch.where(ids > 0, OBJECT, TABLE), ids)


BOTH = ids_of(LEFT, RIGHT)
NOBODY = [{} for _ in range(VIEWS)]


def test_an_object_that_two_proposers_see_is_sure_and_bears_the_name_of_the_one_that_names():
    two = [proposal("network", BOTH, called={1: "mug"}), proposal("depth", BOTH)]
    found = verdicts(shown(BOTH), two, NOBODY)
    assert found.names == {1: "mug", 2: THING} and not found.doubted and not found.void.any()


def test_an_object_that_one_of_two_proposers_sees_is_void_and_never_table():
    two = [proposal("network", BOTH), proposal("depth", ids_of(LEFT))]
    found = verdicts(shown(BOTH), two, NOBODY)
    assert set(found.names) == {1} and "seen by one proposer only" in found.doubted[2] and "depth 0" in found.doubted[2]
    assert torch.equal(found.void, BOTH == 2)
    # Nor is it table where the map has lost it.
    lost = verdicts(shown(ids_of(LEFT)), two, NOBODY)
    assert torch.equal(lost.void, BOTH == 2) and not lost.doubted


def test_a_single_proposer_must_see_an_object_in_most_of_its_views():
    seldom = ids_of(LEFT, RIGHT, views=[0, 1])
    alone = [proposal("network", torch.where(BOTH == 1, BOTH, seldom))]
    found = verdicts(shown(BOTH), alone, NOBODY)
    assert set(found.names) == {1} and "views disagree" in found.doubted[2]
    assert set(verdicts(shown(BOTH), alone, NOBODY, DoubtRules(alone=0.5)).names) == {1, 2}


def test_taught_names_go_before_others_and_two_of_them_for_one_thing_are_a_contradiction():
    two = [proposal("network", BOTH, called={1: "mug", 2: "mug"}), proposal("depth", BOTH)]
    taught = [{1: "blue valve"}, {1: "blue valve"}, {}, {}]
    assert verdicts(shown(BOTH), two, taught).names == {1: "blue valve", 2: "mug"}
    torn = [{1: "blue valve"}, {1: "hydrant"}, {1: "blue valve"}, {1: "hydrant"}]
    found = verdicts(shown(BOTH), two, torn)
    assert found.names == {2: "mug"} and "two taught names" in found.doubted[1]


def test_what_other_views_see_through_is_void_whoever_saw_it():
    two = [proposal("network", BOTH), proposal("depth", BOTH)]
    moved = (BOTH == 2) & (torch.arange(VIEWS)[:, None, None] < 2)
    found = verdicts(shown(BOTH), two, NOBODY, None, moved)
    assert set(found.names) == {1} and found.doubted[2] == MOVED and torch.equal(found.void, BOTH == 2)
    # And where the map has nothing at all.
    assert torch.equal(verdicts(shown(ids_of(LEFT)), [proposal("depth", ids_of(LEFT))], NOBODY, None, moved).void, moved)


def test_names_that_views_do_not_agree_on_are_not_used():
    named = [{1: "mug"}, {1: "can"}, {1: "box"}, {1: "bowl"}]
    network = Proposal("network", BOTH, tuple(named), torch.where(BOTH > 0, -1, TABLE))
    assert verdicts(shown(BOTH), [network, proposal("depth", BOTH)], NOBODY).names == {1: THING, 2: THING}


def test_what_the_map_does_not_show_is_void():
    hole = shown(BOTH)
    hole.semantic_id[0, 20:] = -1
    found = verdicts(hole, [proposal("network", BOTH), proposal("depth", BOTH)], NOBODY)
    assert int(found.void.sum()) == 4 * SIDE and bool(found.void[0, 20:].all())


def test_masks_are_of_one_object_where_they_share_more_than_half():
    ids = BOTH[0]
    assert same_object(ids == 2, ids) == 2 and same_object(torch.zeros_like(ids).bool(), ids) == 0
    assert same_object(torch.ones_like(ids).bool(), ids) == 0  # it is inside, and much smaller


def test_proposals_are_joined_to_all_that_any_sees_and_the_first_says_where_it_ends():
    wide = (slice(0, 14), slice(0, 13))
    views = [CameraView(torch.rand(3, SIDE, SIDE)) for _ in range(VIEWS)]
    labels = joined(views, [proposal("network", ids_of(LEFT)), proposal("depth", ids_of(wide, RIGHT))])
    first = labels.views[0]
    assert len(first.masks) == 2 and torch.equal(first.masks[0], BOTH[0] == 1)
    rim = ids_of(wide)[0].bool() & (BOTH[0] == 0)
    assert bool((first.semantics[rim] == -1).all()), "what somebody takes for an object is not taught as table"
    assert int((first.semantics == TABLE).sum()) == SIDE * SIDE - int(rim.sum()) - int(first.masks.sum())


def test_rules_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="confirmed"):
        DoubtRules(confirmed=1.5)


def witness(ids):
    return replace(proposal("depth", ids), by_others=True)


def test_depth_of_other_views_is_enough_in_most_views():
    nobody = proposal("network", torch.zeros_like(BOTH))
    seldom = torch.where(BOTH == 1, BOTH, ids_of(LEFT, RIGHT, views=[0, 1]))
    found = verdicts(shown(BOTH), [nobody, witness(seldom)], NOBODY)
    assert set(found.names) == {1} and "depth 2" in found.doubted[2]
    assert not verdicts(shown(BOTH), [nobody, proposal("depth", BOTH)], NOBODY).names


def test_what_is_thin_or_may_be_a_part_needs_two_proposers():
    wire = ids_of(LEFT, (slice(4, 6), slice(13, 23)))
    nobody = proposal("network", torch.zeros_like(BOTH))
    assert verdicts(shown(wire), [nobody, witness(wire)], NOBODY).doubted == {2: THIN}
    beside = replace(shown(BOTH), crumbs=frozenset({1}))
    assert verdicts(beside, [nobody, witness(BOTH)], NOBODY).doubted == {1: CRUMB}
    for map_views, ids in ((shown(wire), wire), (beside, BOTH)):
        assert set(verdicts(map_views, [proposal("network", ids), witness(ids)], NOBODY).names) == {1, 2}
