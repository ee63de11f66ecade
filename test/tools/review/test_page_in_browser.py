"""The page of a review in a real browser: clicks, keys and words do what they say, and nothing of it is lost."""

import json

import pytest
import torch
from chromium import Page, find_chromium, until
from labelled_boxes import BLUE_GREEN, DOUBTFUL, PATCH, RED_LEFT, RED_RIGHT, UNKNOWN, cell, labelled_dataset

from pan3d_core.labelling.review import JOURNAL_FILE, Review
from pan3d_core.views.scene_folder import read_scene

pytest.importorskip("viser", reason="needs viser (extra [web])")

from pan3d_tools.review import ReviewPage, ReviewPageSettings  # noqa: E402
from pan3d_tools.review import page as page_module  # noqa: E402

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


def test_what_cannot_be_is_told_and_not_stored(page, dataset):
    for action, told in (
        (lambda: page.name("the left one"), "name: expected words that name a thing"),
        (lambda: page.split_views("all"), "views: expected numbers such as 2, 5, got 'all'"),
        (page.split_clicks, "split: expected a click on each of at least two parts, got 0"),
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
