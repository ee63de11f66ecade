"""What follows from decisions: contradictions are told, what cannot be is refused, and everything can be taken back."""

import pytest

from pan3d_core.labelling.review import Action, History, ReviewedObject
from pan3d_core.labelling.review.actions import KEEP, MERGE, NAME, OBJECT, REJECT, SPLIT, TABLE, action_of
from pan3d_core.labelling.review.runs import Piece


def history(*more):
    items = [ReviewedObject("bench", number, "thing") for number in (1, 2, 3)]
    items += [ReviewedObject("bench", 4, "", doubtful=True), ReviewedObject("shelf", 1, "mug"), *more]
    return History.of({item.place: item for item in items})


def after(*actions, begun=None):
    made = begun or history()
    for number, (kind, *values) in enumerate(actions, start=1):
        fields = {NAME: "name", MERGE: "into", SPLIT: "pieces"}
        more = {fields[kind]: values[1]} if kind in fields else {}
        made = made.after(Action(kind, "bench", values[0], number=number, **more))
    return made


def test_progress_counts_decisions_whatever_they_are():
    state = after((KEEP, 1), (REJECT, 2), (TABLE, 3)).state
    assert state.decided == 3 and len(state.objects) == 5
    assert [item.told for item in state.of_scene("bench")] == [
        "is called 'thing'", "is no object", "is table", "is called 'thing'"
    ]  # fmt: skip
    assert after((KEEP, 4)).state.find("bench", 4).name == "thing"


def test_a_decision_that_contradicts_an_earlier_one_counts_and_is_told():
    state = after((NAME, 1, "valve"), (REJECT, 1), (NAME, 2, "cup"), (NAME, 2, "mug"), (KEEP, 2)).state
    assert state.find("bench", 1).told == "is no object" and state.find("bench", 2).name == "mug"
    assert state.notes == (
        "bench/1 is called 'valve' by action 1 and is no object by action 2; the later one counts",
        "bench/2 is called 'cup' by action 3 and is called 'mug' by action 4; the later one counts",
    )


def test_one_name_for_two_things_of_a_scene_is_asked_about():
    twice = after((NAME, 1, "blue valve"), (NAME, 2, "Blue valve")).state
    assert twice.same_names() == ("bench: 1 and 2 are all called 'blue valve': several of a kind, or one thing to be merged?",)
    assert after((KEEP, 1), (KEEP, 2)).state.same_names() == ()


def test_what_is_merged_has_one_name_and_is_not_doubtful():
    state = after((NAME, 4, "valve"), (MERGE, 4, 1)).state
    merged = state.find("bench", 1)
    assert (merged.name, merged.decision, merged.doubtful, merged.decided_by) == ("valve", OBJECT, True, 1)
    assert not after((MERGE, 4, 1)).state.find("bench", 1).doubtful
    assert not after((MERGE, 1, 4)).state.find("bench", 4).doubtful
    with pytest.raises(
        ValueError, match=r"bench/4: expected an object that is there, got one that was merged into 1 by action 2"
    ):
        after((NAME, 4, "valve"), (MERGE, 4, 1), (REJECT, 4))


def test_merges_that_contradict_what_was_decided_are_refused():
    with pytest.raises(ValueError, match="two names for one thing: bench/2 is called 'cup' by action 2 and bench/1 is called"):
        after((NAME, 1, "valve"), (NAME, 2, "cup"), (MERGE, 1, 2))
    with pytest.raises(ValueError, match="merge: expected objects, got bench/2, which is table by action 1"):
        after((TABLE, 2), (MERGE, 1, 2))
    with pytest.raises(ValueError, match="merge: expected two objects, got bench/1 twice"):
        after((MERGE, 1, 1))
    with pytest.raises(ValueError, match="bench/9: expected an object that is there, got one that the data set does not have"):
        after((MERGE, 1, 9))


def test_pieces_follow_the_object_that_they_leave_and_wait_for_a_decision():
    state = after((NAME, 1, "valve"), (SPLIT, 1, (Piece(5, ((4,),)), Piece(6, ((4,),))))).state
    assert [item.object_id for item in state.of_scene("bench")] == [1, 5, 6, 2, 3, 4] and state.decided == 0
    assert state.find("bench", 5).name == "valve" and state.free_id("bench") == 7
    for wrong in ((), (Piece(2, ()),), (Piece(5, ()), Piece(5, ()))):
        with pytest.raises(ValueError, match="split: expected"):
            after((SPLIT, 1, wrong))


def test_ids_of_merged_objects_are_not_given_again():
    assert after((MERGE, 4, 1)).state.free_id("bench") == 5


def test_everything_can_be_taken_back_and_done_again():
    made = after((NAME, 1, "valve"), (MERGE, 2, 1), (REJECT, 3))
    back = made.undo().undo()
    assert back.state == after((NAME, 1, "valve")).state and len(back.undone) == 2
    assert back.redo().redo().state == made.state
    assert back.after(Action(KEEP, "bench", 2, number=9)).undone == ()
    with pytest.raises(ValueError, match="undo: expected an action to take back, got none"):
        history().undo()
    with pytest.raises(ValueError, match="redo: expected an action that was taken back, got none"):
        made.redo()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"do": "paint"}, "do: expected one of keep, name, reject, table, merge, split, add, outline, got 'paint'"),
        ({"do": "keep", "object": 1}, "scene: expected str, got None"),
        ({"do": "name", "scene": "a", "object": 1, "name": 3}, "name: expected str, got 3"),
        ({"do": "keep", "scene": "a", "object": True}, "object: expected int, got True"),
        ({"do": "keep", "scene": "a", "object": 1, "into": 2}, "into"),
        ({"do": "split", "scene": "a", "object": 1, "pieces": [{"object": 0}]}, "pieces: object: expected an id above 0, got 0"),
        ({"do": "split", "scene": "a", "object": 1, "pieces": [{"object": 2, "runs": [["x"]]}]}, "pieces: runs: expected lists"),
    ],
)
def test_entries_that_are_none_are_refused_with_the_field(entry, told):
    with pytest.raises(ValueError, match=told):
        action_of(entry, 1)


def test_an_entry_is_read_as_it_was_written():
    for action in (
        Action(NAME, "a", 1, name="Müslischale", number=7),
        Action(MERGE, "a", 1, into=2, number=7),
        Action(SPLIT, "a", 1, pieces=(Piece(5, ((3, 2), (0, 5))),), number=7),
    ):
        assert action_of(action.json(), 7) == action
