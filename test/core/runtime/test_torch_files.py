"""Checkpoints that are whole or not there, and what is said of those that are not."""

import os
import pickle
import resource
import time

import pytest
import torch

from pan3d_core.runtime.torch_files import LEFTOVER_AGE_S, read_torch, write_torch


def test_what_was_written_is_read_and_nothing_else_stays(tmp_path):
    path = tmp_path / "run" / "a.pt"
    write_torch(path, {"a": torch.arange(3), "b": [1.5, "two"]})
    found = read_torch(path, "a checkpoint")
    assert found["a"].tolist() == [0, 1, 2] and found["b"] == [1.5, "two"]
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_says_why_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.pt"
    write_torch(path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*a\.pt"):
            write_torch(path, torch.zeros(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read_torch(path, "a checkpoint") == 1 and list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_have_left_goes_with_the_next_write(tmp_path):
    path = tmp_path / "a.pt"
    old, fresh, other = (tmp_path / name for name in (".a.0123456789ab.pt", ".a.ba9876543210.pt", ".b.0123456789ab.pt"))
    for part in (old, fresh, other):
        part.touch()
    for part in (old, other):
        os.utime(part, (0, time.time() - LEFTOVER_AGE_S - 1))
    write_torch(path, 1)
    assert sorted(tmp_path.iterdir()) == sorted([path, fresh, other])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(os.system), b"no checkpoint"])
def test_what_is_no_checkpoint_is_one_error_with_its_name(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pt: expected a checkpoint, complete, got something else"):
        read_torch(path, "a checkpoint")
    with pytest.raises(FileNotFoundError, match=r"a checkpoint: expected a file .*none\.pt"):
        read_torch(tmp_path / "none.pt", "a checkpoint")
