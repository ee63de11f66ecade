"""The page of a review in a real browser: clicks, keys and words do what they say, and nothing of it is lost."""

import json

import numpy as np
import pytest
import torch
from chromium import Page, find_chromium, until
from labelled_boxes import BLUE_GREEN, DOUBTFUL, PATCH, RED_LEFT, RED_RIGHT, UNKNOWN, cell, labelled_dataset

from pan3d_core.labelling.review import JOURNAL_FILE, Review, Shown
from pan3d_core.views.scene_folder import read_scene

pytest.importorskip("viser", reason="needs viser (extra [web])")

from pan3d_tools.review import ReviewPage, ReviewPageSettings  # noqa: E402
from pan3d_tools.review import page as page_module  # noqa: E402
from pan3d_tools.review.marking import BESIDE, CORNER, EYE  # noqa: E402

VIEW_RAD = np.deg2rad(75)  # along the height, of who looks at a page
FREE_PORT = ReviewPageSettings(port=0)
needs_browser = pytest.mark.skipif(find_chromium() is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture
def dataset(tmp_path):
    return labelled_dataset(tmp_path / "data")


@pytest.fixture
def page(dataset):
    page = ReviewPage(Review(dataset), FREE_PORT)
    yield page
    page.stop()


def board_place(browser, page, number):
    """Where a browser shows the middle of a true object on the picture that hangs in the scene."""
    board = page.marking.board
    rows, columns = (cell().ids[board.view] == number).nonzero().T
    x, y, width, height = browser.evaluate(
        "(r => [r.x, r.y, r.width, r.height])(document.querySelector('canvas').getBoundingClientRect())"
    )
    # Who looks stands before the picture, a little to the right.
    scale = height / (2 * np.tan(VIEW_RAD / 2) * EYE * board.size_m[1])
    pixel = board.size_m[0] / board.hw[1]
    beside, below = (float(item.float().mean()) - side / 2 + 0.5 for item, side in ((columns, board.hw[1]), (rows, board.hw[0])))
    return x + width / 2 + scale * (pixel * beside - BESIDE * board.size_m[0]), y + height / 2 + scale * pixel * below


def stored(dataset):
    return [entry["do"] for entry in map(json.loads, (dataset / JOURNAL_FILE).read_text().splitlines())]


@needs_browser
def test_a_person_goes_through_the_objects(dataset, page, tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "QUICK_S", 0.0)  # a test sees at once what has come
    with Page(find_chromium(), tmp_path / "profile", 1200, 1400) as browser:
        browser.open(page.address)
        until(lambda: "0 of 5 decided; this is object 1" in browser.text(), "the first object")
        until(lambda: "bench/1 is called 'thing'" in browser.text(), "facts")
        assert browser.evaluate("[...document.images].some(e => e.naturalWidth > 400)")
        browser.type_into("Name", "krtxm")  # letters that are keys, too, are words in a field
        browser.click_text("Call it so")
        until(lambda: "1 of 5 decided; this is object 2" in browser.text(), "the second object")
        until(lambda: "1: krtxm" in browser.text() or "2: krtxm" in browser.text(), "the name to have a key")
        assert stored(dataset) == ["begin", "name"]
        browser.press("m")  # the nearest one is chosen
        until(lambda: stored(dataset)[-1] == "merge", "the merge")
        until(lambda: page.current == ("bench", RED_LEFT), "what was merged")
        browser.press("j")
        until(lambda: page.current == ("bench", BLUE_GREEN), "the next undecided one")
        until(lambda: "bench/3 is called 'mug'" in browser.text(), "facts of it")
        browser.press("x")
        until(lambda: "1 of 5 decided" in browser.text() and stored(dataset)[-1] == "split", "the split")
        browser.press("z")
        until(lambda: stored(dataset)[-1] == "undo" and "1 of 4 decided" in browser.text(), "the split to be taken back")
        browser.press("y")
        until(lambda: "1 of 5 decided" in browser.text(), "it to be done again")
        browser.press("r")
        until(lambda: stored(dataset)[-1] == "reject", "the rejection")
        assert browser.problems == []
        # A browser that is opened anew finds the same state.
        browser.open(page.address)
        until(lambda: "2 of 5 decided; this is object 3" in browser.text(), "the state")
        browser.click_text("Finish the review")
        until(lambda: "finished: 2 of 5 objects were decided about; 1 scenes are written" in browser.text(), "the end")
    names = {item.instance_id: item.name for item in read_scene(dataset / "bench").known_truth().objects}
    assert names[RED_LEFT] == "krtxm" and RED_RIGHT not in names and names[BLUE_GREEN] == "void" and names[UNKNOWN + 1] == "mug"


@needs_browser
def test_a_person_adds_an_object_and_mends_its_outline_by_clicks_on_a_picture(dataset, page, tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "QUICK_S", 0.0)
    page.attempt(lambda: page.go(3))
    page.decide(page.reject)
    page.attempt(lambda: page.go(-1))
    assert page.current == ("bench", DOUBTFUL)  # the picture that is shown first shows most of it
    with Page(find_chromium(), tmp_path / "profile", 1200, 1400) as browser:
        browser.open(page.address)
        until(lambda: "bench/4 is no object" in browser.text(), "the rejected object")
        browser.press("v")
        until(lambda: "a click is the object; marked: nothing" in browser.text(), "a picture to click on")
        until(lambda: np.ptp(browser.picture()[200:1200, 100:700].astype(int), axis=(0, 1)).max() > 60, "it to be drawn")
        grey = board_place(browser, page, 4)
        browser.click(*grey)
        until(lambda: "marked: 1 inside" in browser.text(), "the mark")
        browser.press("a")
        until(lambda: stored(dataset)[-1] == "add" and page.current == ("bench", UNKNOWN + 1), "the object")
        until(lambda: "bench/7 is called 'thing'" in browser.text(), "what is known of it")
        browser.press("o")
        until(lambda: "a click is not the object" in browser.text(), "clicks to mean something else")
        browser.click(*grey)
        until(lambda: "marked: 1 outside" in browser.text(), "the other mark")
        browser.press("f")
        until(lambda: "marked: nothing" in browser.text(), "the marks to go")
        browser.press("i")
        browser.click(*grey)
        until(lambda: "marked: 1 inside" in browser.text(), "a mark again")
        browser.press("u")
        until(lambda: stored(dataset)[-1] == "outline", "the outline")
        browser.press("z")
        until(lambda: stored(dataset)[-1] == "undo", "it to be taken back")
        browser.press("b")
        until(lambda: "no picture is shown" in browser.text(), "the scene")
        assert browser.problems == []
    page.attempt(page.finish)
    true, found = cell().ids == 4, torch.stack(read_scene(dataset / "bench").known_truth().instance_ids) == UNKNOWN + 1
    assert float((found & true).sum() / (found | true).sum()) > 0.85


def test_a_box_is_two_corners_and_pictures_go_round(page):
    views = cell().views
    page.attempt(lambda: page.turn_picture(1))
    board = page.marking.board
    for _ in views:
        page.attempt(lambda: page.turn_picture(1))
    assert page.marking.board.view == board.view
    page.attempt(lambda: page.mean(CORNER))
    eye = board.world_from_cam[:3, 3]
    for place in (board.place(60, 70), board.place(20, 30)):
        page.attempt(lambda corner=place: page.pick(eye, corner - eye))
    (frame,) = page.marking.shown.frames
    assert (frame.view, frame.top, frame.left, frame.bottom, frame.right) == (board.view, 20, 30, 60, 70)
    assert "marked: 1 boxes" in page.marking.told()
    page.attempt(lambda: page.pick(eye, eye - board.place(5, 5)))
    assert page.problem == "The picture is not there."
    page.attempt(lambda: page.pick(eye, board.place(5, 5) - eye, is_outside=True))
    assert [item.inside for item in page.marking.shown.clicks] == [False]
    page.attempt(lambda: page.go(1))
    assert page.marking.shown == Shown()


def test_what_cannot_be_is_told_and_not_stored(page, dataset):
    for action, told in (
        (lambda: page.name("the left one"), "name: expected words that name a thing"),
        (lambda: page.split_views("all"), "views: expected numbers such as 2, 5, got 'all'"),
        (page.split_clicks, "split: expected a click on each of at least two parts, got 0"),
        (page.add, "outline: expected a click on the object or a box around it, got none"),
        (page.outline, "outline: expected clicks on a picture, got none"),
        (page.undo, "undo: expected an action to take back, got none"),
        (lambda: page.name_by_number(8), "name: expected a key from 1 to 2, got 9"),
    ):
        page.attempt(action)
        assert told in page.problem and not (dataset / JOURNAL_FILE).read_text()


def test_a_decision_that_comes_too_soon_after_another_object_is_not_taken(page, monkeypatch):
    monkeypatch.setattr(page_module, "QUICK_S", 60.0)
    page.decide(page.reject)
    assert "not done, since bench/1 had only just come" in page.problem and page.item.decision == ""
    monkeypatch.setattr(page_module, "QUICK_S", 0.0)
    page.decide(page.reject)
    assert page.problem == "" and page.current == ("bench", RED_RIGHT)


def test_clicks_cut_what_touches_and_choose_what_to_merge_with(page):
    down = torch.tensor([0.0, 0.0, -1.0])
    above = {number: torch.tensor([*cell().blocks[number - 1].center[:2], 1.0]) for number in (1, 2, 3, 4)}
    page.attempt(lambda: page.pick(above[4], down))
    page.attempt(page.merge)
    assert page.current == ("bench", DOUBTFUL) and page.problem == ""
    page.attempt(page.undo)
    page.attempt(lambda: page.go(2))
    for number in (2, 3):
        page.attempt(lambda chosen=number: page.pick(above[chosen], down))
    page.attempt(page.split_clicks)
    assert page.problem == "" and page.current == ("bench", BLUE_GREEN)
    page.attempt(lambda: page.pick(torch.tensor([0.0, 0.0, 1.0]), down))
    assert page.problem == "No object is there."


def test_a_page_that_is_started_again_shows_the_next_undecided_object(page, dataset):
    for _ in range(3):
        page.attempt(page.keep)
    page.stop()
    again = ReviewPage(Review(dataset), FREE_PORT)
    assert again.current == ("bench", DOUBTFUL)
    again.attempt(again.table)
    again.attempt(lambda: again.name("cup"))
    assert again.current == ("bench", PATCH) and "'cup'" in again.item.told
    again.stop()
