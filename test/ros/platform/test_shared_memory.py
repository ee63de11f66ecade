"""Segments of shared memory whose owners were killed."""

import fcntl
import os
import pwd

import pytest

from pan3d_ros.platform.shared_memory import YOUNG_S, other_users, remove_stale_segments, stale_segments

DEAD, ALIVE, YOUNG = "fastrtps_0123456789abcdef", "fastrtps_fedcba9876543210", "fastrtps_00000000000000aa"
OTHERS = ("fastrtps_port7000", "fastrtps_port7000_el", "sem.fastrtps_port7000_mutex", "somebody_else")


@pytest.fixture
def folder(tmp_path):
    for name in (DEAD, ALIVE, YOUNG):
        (tmp_path / name).write_bytes(b"x" * 5000)
        (tmp_path / f"{name}_el").touch()
    for name in OTHERS:
        (tmp_path / name).touch()
    for path in tmp_path.iterdir():
        if not path.name.startswith(YOUNG):
            os.utime(path, (0, path.stat().st_mtime - YOUNG_S - 1))
    return tmp_path


def test_segments_of_dead_processes_go_and_all_others_stay(folder):
    with (folder / f"{ALIVE}_el").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = stale_segments(folder)
        assert found.paths == (folder / DEAD,) and found.size >= 5000
        before = {path.name for path in folder.iterdir()}
        assert remove_stale_segments(folder) == found
    assert before - {path.name for path in folder.iterdir()} == {DEAD, f"{DEAD}_el"}
    assert remove_stale_segments(folder).paths == (folder / ALIVE,)  # its owner has just died


def test_a_system_without_shared_memory_has_none_that_is_stale(tmp_path):
    assert remove_stale_segments(tmp_path / "none").paths == ()


def test_only_other_users_whose_processes_are_alive_are_named(folder, monkeypatch):
    assert other_users(folder) == ()
    with (folder / f"{ALIVE}_el").open("rb") as lock, (folder / f"{YOUNG}_el").open("rb") as young:
        for handle in (lock, young):
            fcntl.flock(handle, fcntl.LOCK_EX)
        assert other_users(folder) == ()  # they are this user's own
        mine = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
        assert other_users(folder) == (pwd.getpwuid(mine).pw_name,)

        def unknown(number):
            raise KeyError(number)

        monkeypatch.setattr(pwd, "getpwuid", unknown)
        assert other_users(folder) == (str(mine),)  # as in a container
    assert other_users(folder) == ()  # all are dead now
