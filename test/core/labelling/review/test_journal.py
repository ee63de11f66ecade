"""The journal: what was stored is there, what was not stored in whole never was, and only one process writes."""

import errno
import os

import pytest

from pan3d_core.labelling.review import Journal


def test_lines_are_there_again(tmp_path):
    journal = Journal(tmp_path / "review.jsonl")
    assert journal.append({"do": "name", "name": "Müslischale"}) == 1 and journal.append({"do": "undo"}) == 2
    with pytest.raises(ValueError, match="expected nobody else who reviews this data set, got another process"):
        Journal(journal.path)
    journal.close()
    again = Journal(journal.path)
    assert [entry["do"] for entry in again.entries] == ["name", "undo"] and again.entries[0]["name"] == "Müslischale"
    assert not again.mended
    again.close()


def test_a_half_line_of_an_interruption_is_taken_out(tmp_path):
    path = tmp_path / "review.jsonl"
    path.write_bytes(b'{"do":"undo"}\n{"do":"na')
    journal = Journal(path)
    assert journal.mended and journal.append({"do": "redo"}) == 2
    journal.close()
    assert [entry["do"] for entry in Journal(path).entries] == ["undo", "redo"]


@pytest.mark.parametrize(("line", "told"), [(b"no json", "Expecting value"), (b"[1]", "expected names with values, got list")])
def test_a_damaged_line_is_named(tmp_path, line, told):
    path = tmp_path / "review.jsonl"
    path.write_bytes(b'{"do":"undo"}\n' + line + b"\n")
    with pytest.raises(ValueError, match=f"review.jsonl:2: {told}"):
        Journal(path)


def test_on_a_full_disk_nothing_of_a_line_is_left(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "review.jsonl")
    journal.append({"do": "undo"})
    before = journal.path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="could not be stored and was not done, the disk is full"):
        journal.append({"do": "redo"})
    assert journal.path.read_bytes() == before and len(journal.entries) == 1
    monkeypatch.undo()
    assert journal.append({"do": "redo"}) == 2


def test_what_is_done_with_is_kept_by_numbers(tmp_path):
    for expected in ("review_1.jsonl", "review_2.jsonl"):
        journal = Journal(tmp_path / "review.jsonl")
        journal.append({"do": "undo"})
        assert journal.archive().name == expected and not journal.path.exists()
        journal.close()
