"""`pan3d teach review`: decisions are brought into the scenes without a page, too, and training says when they are not."""

import pytest
from labelled_boxes import PATCH, RED_LEFT, labelled_dataset

from pan3d_core.labelling.review import Review
from pan3d_core.views.scene_folder import read_scene
from pan3d_tools import cli
from pan3d_tools.cli.teaching import review as command


def run(capsys, *arguments):
    code = cli.main(["teach", *(str(item) for item in arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def dataset(tmp_path):
    return labelled_dataset(tmp_path / "data")


def decided(dataset):
    review = Review(dataset)
    review.name(("bench", RED_LEFT), "valve")
    review.name(("bench", PATCH), "valve")
    review.table(("bench", PATCH))
    review.close()


def test_decisions_are_brought_in_without_a_page(dataset, capsys):
    decided(dataset)
    code, told, _ = run(capsys, "review", dataset, "--finish")
    assert code == 0 and "2 of 5 objects are decided; 1 scenes of" in told and "review_1.jsonl" in told
    assert "note: bench/5 is called 'valve' by action 3 and is table by action 4; the later one counts" in told
    assert "valve" in read_scene(dataset / "bench").known_truth().labels.names
    code, _, error = run(capsys, "review", dataset, "--finish")
    assert code == 2 and "finish: expected decisions to bring into the scenes, got none" in error


def test_what_is_no_data_set_is_refused(tmp_path, capsys):
    code, _, error = run(capsys, "review", tmp_path)
    assert code == 2 and "DATASET: expected scene folders" in error


def test_a_page_that_is_left_says_where_the_decisions_are(dataset, capsys, monkeypatch):
    decided(dataset)

    class Served:
        done, address = None, "http://127.0.0.1:1"

        def __init__(self, review, settings):
            self.review, self.port = review, settings.port

        def stop(self):
            self.review.close()

    served = []

    def interrupted(page, what):
        served.append((what, page.port))
        page.stop()
        return 0

    monkeypatch.setattr(command, "ReviewPage", Served)
    monkeypatch.setattr(command, "serve_until_interrupted", interrupted)
    code, told, _ = run(capsys, "review", dataset, "--port", 9)
    assert code == 0 and served == [(f"5 objects of {dataset}", 9)] and "2 of 5 decided, kept in" in told


def test_without_the_viewer_s_library_its_extra_is_named_and_others_may_review(dataset, capsys, monkeypatch):
    def missing(_):
        raise ModuleNotFoundError("No module named 'viser'", name="viser")

    monkeypatch.setattr("pan3d_tools.review.page.serve", missing)
    code, _, error = run(capsys, "review", dataset)
    assert code == 2 and "install it with the extra [web]" in error
    Review(dataset).close()


def test_training_says_that_decisions_are_not_in_the_scenes(dataset, capsys, tmp_path):
    decided(dataset)
    code, told, error = run(capsys, "train", dataset, "--steps", 1, "-o", tmp_path / "own.safetensors")
    assert f"note: decisions of a review are not in these scenes yet: pan3d teach review {dataset} --finish" in told
    assert code == 2 and "views: expected at least 8" in error
