"""Objects that a person adds and outlines that a person mends are decisions like all others: stored, taken back, brought in."""

import json
from contextlib import closing

import pytest
import torch
from labelled_boxes import BLUE_GREEN, DOUBTFUL, PATCH, UNKNOWN, cell, labelled_dataset

from pan3d_core.labelling.review import JOURNAL_FILE, Action, Click, History, Review, ReviewedObject, Shown
from pan3d_core.labelling.review.actions import ADD, OBJECT, OUTLINE, REJECT
from pan3d_core.labelling.review.runs import Piece
from pan3d_core.views.scene_folder import read_scene

BENCH, NEW = "bench", UNKNOWN + 1


@pytest.fixture
def dataset(tmp_path):
    return labelled_dataset(tmp_path / "data")


@pytest.fixture
def review(dataset):
    with closing(Review(dataset)) as review:
        yield review


def middle_of(number):
    rows, columns = (cell().ids[0] == number).nonzero().T
    return int(rows.float().mean()), int(columns.float().mean())


def stored(dataset):
    return [entry["do"] for entry in map(json.loads, (dataset / JOURNAL_FILE).read_text().splitlines())]


def test_an_object_that_was_rejected_by_mistake_is_added_by_a_click_and_named(review, dataset):
    review.reject((BENCH, DOUBTFUL))
    place = review.add(BENCH, Shown((Click(0, *middle_of(4)),)))
    assert place == (BENCH, NEW) and review.state.objects[place].told == "is called 'thing'"
    assert list(review.state.objects)[-1] == place
    review.name(place, "grey block")
    assert stored(dataset) == ["begin", "reject", "add", "name"]
    review.finish()
    truth = read_scene(dataset / BENCH).known_truth()
    ids = torch.stack(truth.instance_ids)
    true = cell().ids == 4
    found = {item.instance_id: item for item in truth.objects}
    assert found[NEW].name == "grey block" and found[NEW].box is not None and found[UNKNOWN].box is None
    assert float(((ids == NEW) & true).sum() / ((ids == NEW) | true).sum()) > 0.85


def test_what_was_added_is_there_after_an_interruption_and_is_taken_back(dataset):
    with closing(Review(dataset)) as review:
        review.add(BENCH, Shown((Click(0, *middle_of(4)),)))
    with closing(Review(dataset)) as review:
        assert (BENCH, NEW) in review.state.objects and bool((review.pixels(BENCH).ids[0] == NEW).any())
        assert review.undo().kind == ADD and (BENCH, NEW) not in review.state.objects
        assert bool((review.pixels(BENCH).ids[0] == DOUBTFUL).any())
        review.redo()
        assert review.state.objects[BENCH, NEW].decision == OBJECT


def test_what_a_click_takes_from_an_object_is_table(review, dataset):
    row, column = (review.pixels(BENCH).ids[0] == PATCH).nonzero()[0].tolist()
    review.outline((BENCH, PATCH), Shown((Click(0, row, column, inside=False),)))
    assert review.state.objects[BENCH, PATCH].decision == "" and int(review.pixels(BENCH).ids[0][row, column]) == 0
    review.finish()
    assert int(read_scene(dataset / BENCH).known_truth().instance_ids[0][row, column]) == 0


def test_clicks_that_contradict_each_other_store_nothing(review, dataset):
    row, column = middle_of(2)
    with pytest.raises(ValueError, match="clicks contradict each other"):
        review.outline((BENCH, BLUE_GREEN), Shown((Click(0, row, column), Click(0, row, column, inside=False))))
    assert (dataset / JOURNAL_FILE).read_text() == ""


def history():
    items = [ReviewedObject(BENCH, number, "thing") for number in (1, 2)]
    return History.of({item.place: item for item in items}, [(BENCH, 3)])


def piece(number):
    return (Piece(number, ((0, 4),)),)


def test_what_cannot_be_added_or_outlined_is_refused():
    for action, told in (
        (Action(ADD, BENCH, 3, pieces=piece(3)), "add: expected an id from 4 on, got 3"),
        (Action(ADD, "shelf", 4, pieces=piece(4)), "shelf/4: expected a scene with objects, got 'shelf'"),
        (Action(ADD, BENCH, 4, pieces=piece(5)), r"add: expected one piece, of object 4, got \[5\]"),
        (Action(OUTLINE, BENCH, 9, pieces=piece(9)), "bench/9: expected an object that is there"),
        (Action(OUTLINE, BENCH, 1), r"outline: expected one piece, of object 1, got \[\]"),
    ):
        with pytest.raises(ValueError, match=told):
            history().after(action)
    rejected = history().after(Action(REJECT, BENCH, 1, number=1))
    with pytest.raises(ValueError, match="outline: expected an object, got bench/1, which is no object by action 1"):
        rejected.after(Action(OUTLINE, BENCH, 1, pieces=piece(1), number=2))
