"""Confirmations are kept in a file; answers are given by them, and each is confirmed once."""

import json

import pytest

from pan3d_core.warranty import OBJECT, WORDS, Confirmation, Promises, add_confirmation, read_confirmations, write_confirmations


def test_confirmations_are_kept(tmp_path):
    path = tmp_path / "site.json"
    assert read_confirmations(path) == {OBJECT: [], WORDS: []}
    add_confirmation(path, WORDS, Confirmation(0.7, True))
    add_confirmation(path, OBJECT, Confirmation(0.4, False))
    assert read_confirmations(path) == {OBJECT: [Confirmation(0.4, False)], WORDS: [Confirmation(0.7, True)]}
    with pytest.raises(ValueError, match="kind: expected object or words, got 'thing'"):
        add_confirmation(path, "thing", Confirmation(0.4, False))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "expected JSON"),
        ('{"version": 2, "confirmations": {}}', "version: expected 1, got 2"),
        ('{"version": 1, "confirmations": {"object": []}}', "confirmations: expected object and words"),
        ('{"version": 1, "confirmations": {"object": [{"score": 3, "right": true}], "words": []}}', "expected 0 to 1, got 3"),
        ('{"version": 1, "confirmations": {"object": [{"points": 3}], "words": []}}', "expected confirmations"),
    ],
)
def test_damaged_files_are_refused_by_name_and_stay(tmp_path, content, words):
    path = tmp_path / "site.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=words) as caught:
        add_confirmation(path, OBJECT, Confirmation(0.4, False))
    assert "site.json" in str(caught.value) and path.read_text() == content
    with pytest.raises(ValueError, match="site.json"):
        Promises(path)


def test_answers_are_given_from_a_score_on_and_confirmed_once(tmp_path):
    path = tmp_path / "site.json"
    write_confirmations(path, {OBJECT: [Confirmation(0.9, True)] * 400 + [Confirmation(0.6, False)] * 400, WORDS: []})
    promises = Promises(path)
    assert promises.given(OBJECT, [], 0.1) == (0, "")
    assert promises.given(OBJECT, [0.95, 0.9, 0.5], 0.05) == (2, "")
    assert promises.confirm(True) == "object: 801 confirmations, 400 of them wrong"
    with pytest.raises(ValueError, match="expected an answer that was given and not confirmed yet"):
        promises.confirm(True)
    count, why = promises.given(OBJECT, [0.6], 0.05)
    assert count == 0 and why.startswith("refused: its score is 0.60")
    with pytest.raises(ValueError, match="not confirmed yet"):
        promises.confirm(False)  # nothing was answered
    assert promises.given(WORDS, [0.2], 0.0) == (1, "")  # nothing is promised
    assert promises.confirm(False) == "words: 1 confirmations, 1 of them wrong"
    assert json.loads(path.read_text())["confirmations"][WORDS] == [{"score": 0.2, "right": False}]


def test_without_a_file_nothing_is_confirmed(tmp_path):
    promises = Promises(None)
    promises.given(OBJECT, [0.9], 0.0)
    with pytest.raises(ValueError, match="expected one to write to, got none"):
        promises.confirm(True)


def test_what_cannot_be_written_can_be_confirmed_again(tmp_path, monkeypatch):
    promises = Promises(tmp_path / "site.json")
    promises.given(OBJECT, [0.9], 0.0)
    with monkeypatch.context() as patch:

        def full(*_):
            raise OSError(28, "No space left on device")

        patch.setattr("pan3d_core.warranty.promises.add_confirmation", full)
        with pytest.raises(OSError, match="No space left"):
            promises.confirm(True)
    assert promises.confirm(True) == "object: 1 confirmations, 0 of them wrong"
