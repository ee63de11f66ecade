"""Checkpoint files survive full disks, damage and interruptions."""

import logging
import os

import pytest
import torch

from training.run.checkpoints import CheckpointFolder, read_state


def state(step: int) -> dict:
    return {"model": {"weight": torch.full((50, 50), float(step))}, "step": step}


def test_the_newest_few_and_the_best_stay(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    assert folder.load() is None
    for step in (1, 2, 3, 4):
        path = folder.save(state(step))
        if step == 2:
            folder.mark_best(path)
    assert [path.name for path in folder.numbered()] == ["step_00000003.pt", "step_00000004.pt"]
    assert folder.load()["step"] == 4 and read_state(tmp_path / "best.pt")["step"] == 2
    assert not [item for item in tmp_path.iterdir() if item.name.startswith(".")]


def test_a_damaged_newest_checkpoint_is_passed_over_by_name(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save(state(1))
    newest = folder.save(state(2))
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])  # last.pt is the same file
    with caplog.at_level(logging.ERROR):
        assert folder.load()["step"] == 1
    assert "last.pt" in caplog.text
    folder.numbered()[0].write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="got only damaged ones"):
        folder.load()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 576 vs 534")])
def test_a_failed_write_leaves_everything_as_it_was(tmp_path, monkeypatch, error):
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save(state(1))

    def write_a_part_only(_, stream):
        stream.write(b"x" * 100)
        raise error

    monkeypatch.setattr(torch, "save", write_a_part_only)
    with pytest.raises(OSError, match=r"step_00000002.pt could not be written .*last.pt is untouched"):
        folder.save(state(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "step_00000001.pt"]
    assert folder.load()["step"] == 1


def test_disks_without_hard_links_get_copies(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError("Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(state(1))
    folder.save(state(2))
    assert folder.load()["step"] == 2 and [path.name for path in folder.numbered()] == ["step_00000002.pt"]


def test_other_files_are_no_checkpoints(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="expected the state of a training run"):
        read_state(tmp_path / "list.pt")
