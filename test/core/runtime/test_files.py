"""Files and folders that are whole or not there."""

import errno
import os
from pathlib import Path

import pytest

from pan3d_core.pictures.cloud_files import read_ply
from pan3d_core.runtime.files import free_path, inside, named_file, read_json, read_rows, written_whole
from pan3d_core.settings import read_yaml
from pan3d_core.views.image_files import read_image


def test_a_file_is_replaced_and_nothing_else_stays(tmp_path):
    path = tmp_path / "deep" / "result.json"
    for text in ("first", "second"):
        with written_whole(path) as part:
            assert part.suffix == ".json"
            part.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "read", [lambda path: read_json(path, "cameras"), read_image, read_ply, lambda path: read_yaml(path, "settings")]
)
def test_what_may_never_begin_or_end_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="which is a pipe"):
            read(path)


def test_a_device_stays_one_a_link_leads_on_and_a_long_name_fits(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with written_whole(tmp_path / "pipe") as part:
        part.write_text("whole")
    assert os.read(reading, 100) == b"whole" and (tmp_path / "pipe").is_fifo()
    os.close(reading)
    (tmp_path / "latest.json").symlink_to("result.json")
    for path in (tmp_path / "latest.json", tmp_path / ("ü" * 120 + ".json")):
        with written_whole(path) as part:
            part.write_text("whole")
        assert path.read_text() == "whole"
    assert (tmp_path / "latest.json").is_symlink() and (tmp_path / "result.json").read_text() == "whole"


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


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "..", "a\0b"])
def test_a_path_in_a_file_does_not_leave_the_folder(name, tmp_path):
    with pytest.raises(ValueError, match=r"scene\.json: image: expected a path inside the folder"):
        inside(tmp_path, name, "scene.json: image")


@pytest.mark.parametrize("name", ["a.png", "images/a.png", "images/../a.png", "./a.png"])
def test_a_path_inside_the_folder_is_taken(name, tmp_path):
    assert inside(tmp_path, name, "scene.json: image") == tmp_path / name


@pytest.mark.parametrize("stumble", [KeyError("views"), TypeError("none"), ValueError("views: wrong"), RecursionError("deep")])
def test_whatever_is_wrong_with_a_file_is_one_error_with_its_name(stumble):
    with pytest.raises(ValueError, match=r"scene\.json: .*"), named_file("scene.json", "a scene"):
        raise stumble


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "9" * 5000, "\udc80"])
def test_what_is_no_json_is_one_error_with_its_name(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"a\.json: expected JSON"):
        read_json(path, "cameras")


def test_a_full_disk_is_said_with_the_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "result.json"
    with pytest.raises(OSError, match=r"the disk is full; nothing of it is left: .*result\.json"), written_whole(path) as part:
        part.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_rows_of_a_table_have_their_cells(tmp_path):
    path = tmp_path / "kinds.txt"
    path.write_text("# kind | words\n\nmug | cup, beaker\nbox |\n", encoding="utf-8")
    assert list(read_rows(path, 2)) == [["mug", "cup, beaker"], ["box", ""]]
    with pytest.raises(ValueError, match=r"kinds.txt: expected 3 columns, got 2 in 'mug \| cup, beaker'"):
        list(read_rows(path, 3))


def test_a_path_that_is_taken_gets_the_next_number(tmp_path):
    for expected in ("scene.json", "scene_2.json", "scene_3.json"):
        path = free_path(tmp_path / "scene.json")
        assert path.name == expected
        path.touch()
