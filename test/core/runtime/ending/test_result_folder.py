"""Results of a run in the place of those of an older one: as a whole, at any moment, and files of others untouched."""

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from pan3d_core.runtime.ending import result_folder
from pan3d_core.runtime.ending.result_folder import LIST_FILE, ResultFolder
from pan3d_core.runtime.files import written_whole

KIND = "reconstruct"


def write(folder: Path, run: str, names=("a.json", "pictures/0.png"), kind=KIND, keep=lambda name: False) -> None:
    with ResultFolder(folder, kind).replaced(keep) as part:
        for name in names:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_text(run)


def content(folder: Path) -> dict[str, str]:
    """Of what a reader sees: hidden files are none."""
    names = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_text() for name, path in names.items() if not name.startswith(".")}


def test_a_second_run_replaces_the_first_and_nothing_of_others(tmp_path):
    out = tmp_path / "out"
    write(out, "first", ("a.json", "pictures/0.png", "pictures/1.png", "depth/left.png"))
    (out / "notes.txt").write_text("mine")
    (out / "pictures/mine.png").write_text("mine")
    write(out, "second")
    own = {"notes.txt": "mine", "pictures/mine.png": "mine"}
    assert content(out) == {"a.json": "second", "pictures/0.png": "second", **own}
    assert not (out / "depth").exists()


def test_results_of_other_kinds_stay_and_a_file_belongs_to_who_wrote_it_last(tmp_path):
    write(tmp_path, "one", ("gaussians.ply", "cloud.ply"))
    write(tmp_path, "two", ("gaussians.ply", "report.json"), kind="refine")
    write(tmp_path, "three", ("instances.json",))
    assert content(tmp_path) == {"gaussians.ply": "two", "report.json": "two", "instances.json": "three"}


def test_a_run_that_fails_leaves_the_older_result_and_no_new_folder(tmp_path):
    write(tmp_path / "out", "first")
    before = content(tmp_path / "out")
    for folder in (tmp_path / "out", tmp_path / "new"):
        with pytest.raises(RuntimeError, match="half"), ResultFolder(folder, KIND).replaced() as part:
            (part / "a.json").write_text("second")
            raise RuntimeError("half")
    assert content(tmp_path / "out") == before and not (tmp_path / "new").exists()


def test_what_stands_in_the_way_is_named_before_anything_is_removed(tmp_path):
    write(tmp_path, "first", ("a.json",))
    (tmp_path / "pictures").write_text("mine")
    with pytest.raises(NotADirectoryError, match="pictures"):
        write(tmp_path, "second")
    (tmp_path / "b.json").mkdir()
    with pytest.raises(IsADirectoryError, match=r"b\.json"):
        write(tmp_path, "second", ("a.json", "b.json"))
    assert content(tmp_path) == {"a.json": "first", "pictures": "mine"}


@pytest.mark.parametrize("moment", range(12))
def test_an_end_at_any_moment_leaves_the_files_of_one_run(tmp_path, monkeypatch, moment):
    """Whatever call on the disk is the last, a reader sees one run only, and the next run is as if there had been none."""
    write(tmp_path, "first", ("a.json", "b.json", "pictures/0.png", "pictures/1.png"))
    calls = 0

    def counted(real):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls > moment:
                raise SystemExit
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", counted(os.replace))
        patched.setattr(os, "unlink", counted(os.unlink))
        patched.setattr(Path, "unlink", counted(Path.unlink))
        try:
            write(tmp_path, "second", ("a.json", "c.json", "pictures/0.png", "pictures/2.png"))
            assert calls <= moment
        except SystemExit:
            pass
    found = content(tmp_path)
    assert len(set(found.values())) <= 1, found
    write(tmp_path, "third", ("a.json",))
    assert content(tmp_path) == {"a.json": "third"}
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", LIST_FILE}


def test_what_a_killed_run_left_goes_with_the_next_one_and_not_that_of_a_living_one(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from pan3d_core.runtime.ending.result_folder import ResultFolder\n"
        "with ResultFolder(Path(sys.argv[1]), 'reconstruct').replaced() as part:\n"
        "    (part / 'half.ply').write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "ready\n"
    write(tmp_path, "beside")
    assert len(list(tmp_path.glob(".pan3d_reconstruct.*"))) == 1
    run.send_signal(signal.SIGKILL)
    run.wait()
    write(tmp_path, "next")
    assert not list(tmp_path.glob(".pan3d_reconstruct.*")) and set(content(tmp_path).values()) == {"next"}


def test_files_on_the_way_are_listed_and_cleared(tmp_path):
    results = ResultFolder(tmp_path, "refine")
    results.place("pictures/step_1.png").write_text("first")
    write(tmp_path, "first", ("gaussians.ply",), "refine", keep=lambda name: name.startswith("pictures/"))
    assert results.listed() == {"pictures/step_1.png", "gaussians.ply"}
    results.clear()
    assert content(tmp_path) == {} and not (tmp_path / "pictures").exists()


def test_older_results_that_are_not_listed_are_known_by_their_names(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("pictures/instances_0.png", "pictures/instances_me.png"):
        (tmp_path / name).write_text("old")
    with ResultFolder(tmp_path, KIND, ("pictures/instances_[0-9]*.png",)).replaced() as part:
        (part / "a.json").write_text("new")
    assert content(tmp_path) == {"a.json": "new", "pictures/instances_me.png": "old"}


@pytest.mark.parametrize("listed", ['{"reconstruct": ["../mine.txt"]}', '{"reconstruct": 3}', "[]", "{"])
def test_a_list_that_is_damaged_removes_nothing(tmp_path, listed):
    (tmp_path / "mine.txt").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / LIST_FILE).write_text(listed)
    with pytest.raises(ValueError, match=LIST_FILE):
        write(out, "second")
    assert (tmp_path / "mine.txt").read_text() == "mine" and content(out) == {}


def test_writers_wait_for_each_other(tmp_path):
    def often(name: str) -> None:
        for _ in range(20):
            write(tmp_path, name, ("a.json", "b.json", name))

    with ThreadPoolExecutor() as pool:
        list(pool.map(often, ("x", "y", "z")))
    assert len(set(content(tmp_path).values())) == 1 and len(content(tmp_path)) == 3


def test_a_run_that_begins_takes_no_other_that_has_just_begun_for_left_over(tmp_path, monkeypatch):
    lock, begun = result_folder._locked, []

    def late(folder, **options):
        if folder != tmp_path and not begun:  # the first run has its part, and not yet its lock
            begun.append(pool.submit(write, tmp_path, "second"))
            wait(begun, timeout=0.3)
        return lock(folder, **options)

    monkeypatch.setattr(result_folder, "_locked", late)
    with ThreadPoolExecutor() as pool:
        write(tmp_path, "first")
    begun[0].result()
    assert set(content(tmp_path).values()) in ({"first"}, {"second"})


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EFBIG, "File too large")])
def test_what_has_no_room_names_the_file_as_it_was_to_be(tmp_path, number, words):
    """The system names no file where a write fails."""
    write(tmp_path, "first")
    results = ResultFolder(tmp_path, KIND)
    with pytest.raises(OSError, match=words) as refused, results.replaced() as part, written_whole(part / "b.json") as file:
        file.write_text("half")
        raise OSError(number, os.strerror(number))
    assert refused.value.filename == str(tmp_path / "b.json") and set(content(tmp_path).values()) == {"first"}
