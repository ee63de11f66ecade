"""A whole review of a labelled data set: mistakes put right, interrupted anywhere, and brought into the scene folders."""

import errno
import json
from contextlib import closing

import pytest
import torch
from labelled_boxes import BLUE_GREEN, DOUBTFUL, PATCH, RED_LEFT, RED_RIGHT, UNKNOWN, cell, labelled_dataset

from pan3d_core.labelling.review import JOURNAL_FILE, Review, best_views, finishing, thumbnail
from pan3d_core.views.scene_folder import read_scene

BENCH = "bench"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return labelled_dataset(tmp_path_factory.mktemp("made") / "data")


@pytest.fixture
def dataset(copied):
    return copied


@pytest.fixture
def review(dataset):
    with closing(Review(dataset)) as review:
        yield review


def put_right(review):
    """All that is wrong with the labels."""
    review.merge((BENCH, RED_RIGHT), RED_LEFT)
    review.name((BENCH, RED_LEFT), "red valve")
    review.split_parts((BENCH, BLUE_GREEN))
    review.keep((BENCH, BLUE_GREEN))
    review.name((BENCH, UNKNOWN + 1), "cup")
    review.name((BENCH, DOUBTFUL), "grey block")
    review.table((BENCH, PATCH))


def test_a_person_is_asked_about_objects_and_doubtful_ones_and_not_about_all_that_is_unknown(review):
    assert [item.object_id for item in review.state.objects.values()] == [RED_LEFT, RED_RIGHT, BLUE_GREEN, DOUBTFUL, PATCH]
    assert [item.object_id for item in review.state.objects.values() if item.doubtful] == [DOUBTFUL]


def test_mistakes_put_right_are_the_truth_of_the_scene_folder(review, dataset):
    put_right(review)
    done = review.finish()
    assert done.scenes == (BENCH,) and (done.decided, done.objects) == (5, 5) and done.journal.name == "review_1.jsonl"
    truth, true = read_scene(dataset / BENCH).known_truth(), cell().ids
    ids = torch.stack(truth.instance_ids)
    names = {item.instance_id: item.name for item in truth.objects}
    assert names == {
        RED_LEFT: "red valve", BLUE_GREEN: "mug", DOUBTFUL: "grey block", UNKNOWN + 1: "cup", UNKNOWN: "void",
    }  # fmt: skip
    assert {truth.labels.name(item.class_id) for item in truth.objects} == {"red valve", "mug", "grey block", "cup", ""}
    assert "thing" not in truth.labels.names
    for number, label in ((1, RED_LEFT), (4, DOUBTFUL)):
        assert torch.equal(true == number, ids == label)
    # The larger part of what was one object stays it.
    parts = {torch.bincount(true[ids == label]).argmax().item(): label for label in (BLUE_GREEN, UNKNOWN + 1)}
    assert set(parts) == {2, 3} and all(torch.equal(true == number, ids == label) for number, label in parts.items())
    assert not (ids == PATCH).any() and truth.void_ids == (UNKNOWN,)
    boxes = {item.name: item.box for item in truth.objects}
    for block, name in ((cell().blocks[0], "red valve"), (cell().blocks[3], "grey block")):
        if name == "red valve":  # made anew, since its pixels changed
            assert float(torch.dist(boxes[name].world_from_box[:3, 3], torch.tensor(block.center))) < 0.02
    assert not list((dataset / BENCH).glob("*/*_r*_r*")) and len(list((dataset / BENCH / "instances").iterdir())) == 4


def test_what_is_rejected_or_still_in_doubt_is_void(review, dataset):
    review.reject((BENCH, BLUE_GREEN))
    review.finish()
    truth = read_scene(dataset / BENCH).known_truth()
    assert set(truth.void_ids) == {BLUE_GREEN, DOUBTFUL, UNKNOWN} and truth.labels.names == ("thing",)


def test_whoever_comes_back_after_an_interruption_finds_every_decision(dataset):
    first = Review(dataset)
    put_right(first)
    first.undo()
    state = first.state
    first.close()  # nothing is written here: a process that dies leaves the same
    second = Review(dataset)
    assert second.state == state
    second.redo()
    assert second.state.find(BENCH, PATCH).decision == "table"
    second.close()


def test_only_one_process_reviews_a_data_set(review, dataset):
    with pytest.raises(ValueError, match="expected nobody else who reviews this data set"):
        Review(dataset)
    review.keep((BENCH, PATCH))  # the journal is still the first one's
    review.close()
    again = Review(dataset)
    assert again.state.decided == 1
    again.close()


def test_who_only_looks_leaves_nothing_behind(dataset):
    Review(dataset).close()
    assert not (dataset / JOURNAL_FILE).exists()


def test_a_finish_that_is_interrupted_between_two_scenes_is_completed_by_the_next_start(tmp_path, monkeypatch):
    dataset = labelled_dataset(tmp_path / "data", "a", "b")
    review = Review(dataset)
    for scene in ("a", "b"):
        review.name((scene, PATCH), "box")
    replace, calls = finishing.os.replace, []

    def dies(source, target):
        calls.append(target)
        if len([path for path in calls if path.name == "scene.json"]) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(finishing.os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        review.finish()
    monkeypatch.undo()
    review.close()

    def names(scene):
        return [item.name for item in read_scene(dataset / scene).known_truth().objects]

    assert "box" in names("a") and "box" not in names("b")
    again = Review(dataset)
    assert "box" in names("a") and "box" in names("b") and again.state.decided == 0 and again.completed.name == "review_1.jsonl"
    with pytest.raises(ValueError, match="finish: expected decisions to bring into the scenes, got none"):
        again.finish()
    assert (dataset / "review_1.jsonl").exists() and not list(dataset.glob("*/.next.json"))
    again.close()


def test_on_a_full_disk_all_scenes_stay_as_they_were_and_the_review_goes_on(review, dataset, monkeypatch):
    review.name((BENCH, PATCH), "box")
    before = (dataset / BENCH / "scene.json").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(finishing, "write_16_bit", full)
    with pytest.raises(OSError, match="No space left"):
        review.finish()
    assert (dataset / BENCH / "scene.json").read_bytes() == before and read_scene(dataset / BENCH)
    monkeypatch.undo()
    assert review.finish().scenes == (BENCH,)
    with pytest.raises(ValueError, match="expected one that is open, got one that is finished"):
        review.keep((BENCH, PATCH))


def test_a_second_review_begins_with_what_the_first_made(review, dataset):
    put_right(review)
    review.finish()
    second = Review(dataset)
    assert len(second.state.objects) == 4 and second.state.decided == 0
    second.name((BENCH, RED_LEFT), "valve")
    assert second.finish().journal.name == "review_2.jsonl"
    assert len(list((dataset / BENCH / "instances").iterdir())) == 4
    assert "valve" in read_scene(dataset / BENCH).known_truth().labels.names


def test_a_scene_that_was_changed_meanwhile_is_named(review, dataset):
    review.keep((BENCH, PATCH))
    review.close()
    path = dataset / BENCH / "scene.json"
    path.write_text(path.read_text().replace('"mug"', '"cup"'))
    with pytest.raises(ValueError, match="scene.json: expected the file that the review began with, got another one"):
        Review(dataset)


def test_names_that_differ_in_writing_alone_are_one_and_words_that_are_none_are_refused(review):
    review.name((BENCH, RED_LEFT), "Blue  Valve!")
    review.name((BENCH, PATCH), "blue valve")
    assert review.state.find(BENCH, PATCH).name == "Blue Valve!"
    for words in ("the left one", "", "void"):
        with pytest.raises(ValueError, match="name: expected"):
            review.name((BENCH, RED_LEFT), words)


def test_an_object_is_split_by_views_and_by_clicks(review):
    true = cell().ids
    review.split_views((BENCH, BLUE_GREEN), [1, 3])
    ids = review.pixels(BENCH).ids
    assert [bool((item == BLUE_GREEN).any()) for item in ids] == [True, False, True, False]
    assert [bool((item == UNKNOWN + 1).any()) for item in ids] == [False, True, False, True]
    review.undo()
    review.split_clicks((BENCH, BLUE_GREEN), torch.tensor([block.center for block in cell().blocks[1:3]]))
    ids = torch.stack(review.pixels(BENCH).ids)
    assert torch.equal(ids == BLUE_GREEN, true == 2) and torch.equal(ids == UNKNOWN + 1, true == 3)


def test_splits_that_are_none_are_refused_and_not_stored(review):
    before = len(review._journal.entries)
    with pytest.raises(ValueError, match="split: expected at least two parts, got 1"):
        review.split_parts((BENCH, DOUBTFUL))
    with pytest.raises(ValueError, match="split: expected at least two parts, got 1"):
        review.split_views((BENCH, DOUBTFUL), [0, 1, 2, 3])
    with pytest.raises(ValueError, match="views: expected 0 to 3, got 4"):
        review.split_views((BENCH, DOUBTFUL), [4])
    assert len(review._journal.entries) == before


def test_without_depth_an_object_is_still_split_by_views(tmp_path):
    dataset = labelled_dataset(tmp_path / "data")
    path = dataset / BENCH / "scene.json"
    content = json.loads(path.read_text())
    for view in content["views"]:
        del view["depth"]
    path.write_text(json.dumps(content))
    review = Review(dataset)
    with pytest.raises(ValueError, match="at least two parts"):
        review.split_parts((BENCH, BLUE_GREEN))
    review.split_views((BENCH, BLUE_GREEN), [0])
    review.finish()
    objects = {item.instance_id: item for item in read_scene(dataset / BENCH).known_truth().objects}
    assert objects[UNKNOWN + 1].box is None and objects[UNKNOWN + 1].name == "mug"


def test_journals_of_other_pictures_are_named(review, dataset):
    review.split_views((BENCH, BLUE_GREEN), [1])
    review.close()
    path = dataset / JOURNAL_FILE
    path.write_text(path.read_text().replace('"runs":[[', '"runs":[[7,'))
    again = Review(dataset)
    with pytest.raises(ValueError, match="runs: expected lengths that fill 96x72 pixels"):
        again.pixels(BENCH)
    again.close()


@pytest.mark.parametrize("key", ["scene", "sha256"])
def test_a_line_of_the_journal_that_lacks_a_key_is_told_with_its_file(review, dataset, key):
    review.name((BENCH, RED_LEFT), "valve")
    review.close()
    path = dataset / JOURNAL_FILE
    path.write_text(path.read_text().replace(f'"{key}":', '"other":', 1))
    with pytest.raises(ValueError, match=rf"review.jsonl.*decisions of a review.*{key}"):
        Review(dataset)


def test_data_sets_that_cannot_be_reviewed_are_refused(tmp_path):
    with pytest.raises(ValueError, match="DATASET: expected scene folders"):
        Review(tmp_path)
    dataset = labelled_dataset(tmp_path / "data")
    path = dataset / BENCH / "scene.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "objects": []}))
    with pytest.raises(ValueError, match="DATASET: expected scenes with objects"):
        Review(dataset)
    path.write_text(json.dumps({**content, "objects": [{"instance_id": "x"}]}))
    with pytest.raises(ValueError, match=r"scene.json: objects\[0\]: instance_id: expected"):
        Review(dataset)
    for view in content["views"]:
        del view["instances"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="scene.json: instances: expected in every view of a labelled scene"):
        Review(dataset)


def test_thumbnails_show_an_object_where_most_of_it_is_seen(review):
    scene, pixels = review.scene(BENCH), review.pixels(BENCH)
    inside = pixels.inside(DOUBTFUL)
    areas = [int(mask.sum()) for mask in inside]
    rows = best_views(scene.views, inside, 2)
    assert len(rows) == 2 and all(areas[row] >= 0.4 * max(areas) for row in rows)
    assert best_views(scene.views, [torch.zeros_like(mask) for mask in inside], 2) == []
    picture = thumbnail(scene.views[rows[0]], pixels, rows[0], DOUBTFUL, 80)
    assert picture.shape == (80, 80, 3) and picture.std() > 5
    assert not (picture == thumbnail(scene.views[rows[1]], pixels, rows[1], DOUBTFUL, 80)).all()
