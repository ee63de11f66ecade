"""Built files are found by what they follow from, whole and nobody else's, or built anew."""

import multiprocessing
import time

import pytest

from pan3d_core.runtime.networks.cache import CacheEntry, cache_folder, entries, prune


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry(**parts):
    return CacheEntry("tiny", {"network": "a", "version": "1", **parts}, "network.bin")


def write(text):
    return lambda path: path.write_text(text)


def test_a_file_is_built_once_and_found_again():
    assert entry().find() is None
    path = entry().build(write("first"))
    assert path.read_text() == "first" and entry().find() == path
    assert entry().build(write("second")).read_text() == "first"


@pytest.mark.parametrize("other", [{"network": "b"}, {"version": "2"}, {"device": "another"}])
def test_other_parts_are_another_entry(other):
    entry().build(write("first"))
    assert entry(**other).find() is None and entry(**other).key != entry().key


@pytest.mark.parametrize("damage", ["cut", "no manifest", "other parts", "writable", "added"])
def test_what_is_damaged_or_foreign_is_built_anew_and_never_used(damage):
    path = entry().build(write("first"))
    manifest = path.with_name("manifest.json")
    if damage == "cut":
        path.write_text("fir")
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "other parts":
        manifest.write_text(manifest.read_text().replace('"1"', '"2"'))
    elif damage == "writable":
        path.parent.chmod(0o777)
    else:
        path.with_name("network.bin.data").write_text("weights of somebody")
    assert entry().find() is None
    assert entry().build(write("second")).read_text() == "second" and entry().find() == path


def test_nothing_is_left_of_a_build_that_fails(folder):
    def fail(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="the disk is full"):
        entry().build(fail)
    assert entry().find() is None and not [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def slow_build(number, told):
    def work(path):
        told.put(number)
        time.sleep(0.3)
        path.write_text(str(number))

    entry().build(work)


def test_of_two_processes_one_builds_and_the_other_waits(folder):
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    both = [context.Process(target=slow_build, args=(number, told)) for number in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
        assert process.exitcode == 0
    assert entry().find().read_text() == str(told.get(timeout=5)) and told.empty()


def test_a_killed_build_leaves_nothing_that_is_used(folder):
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    process = context.Process(target=slow_build, args=(0, told))
    process.start()
    told.get(timeout=10)
    process.kill()
    process.join(10)
    assert entry().find() is None
    assert entry().build(write("after")).read_text() == "after"


def test_all_can_be_listed_and_removed():
    entry().build(write("a"))
    entry(version="2").build(write("b"))
    assert len(entries()) == 2 and prune() == 2 and entries() == []


def test_the_folder_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("PAN3D_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "pan3d"
