"""Files and folders that are whole or not there."""

import pytest

from pan3d_core.runtime.files import written_whole


def test_a_file_is_replaced_and_nothing_else_stays(tmp_path):
    path = tmp_path / "deep" / "result.json"
    for text in ("first", "second"):
        with written_whole(path) as part:
            assert part.suffix == ".json"
            part.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_what_is_interrupted_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="no space"), written_whole(path) as part:
        part.write_text("half")
        raise RuntimeError("no space")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_there_when_it_is_whole(tmp_path):
    path = tmp_path / "scene"
    with pytest.raises(OSError, match="full"), written_whole(path) as part:
        part.mkdir()
        (part / "a.txt").write_text("half")
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []
    with written_whole(path) as part:
        part.mkdir()
        (part / "a.txt").write_text("whole")
        assert not path.exists()
    assert (path / "a.txt").read_text() == "whole"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "result.txt"
    with written_whole(path) as first, written_whole(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
