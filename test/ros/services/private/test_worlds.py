"""The node keeps what it remembers in a file, and begins with it."""

import errno
from dataclasses import replace

import pytest
import ros_support
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from pan3d_core.memory import files, read_world, write_world
from pan3d_ros.perception_node import FAILURE, SUCCESS


def seen(bench) -> set[int]:
    return {item.id for item in bench.instances()[-1].instances}


def test_a_world_is_saved_and_the_next_node_begins_with_it(spinner, monkeypatch, tmp_path):
    path = tmp_path / "worlds" / "table.safetensors"
    bench = ros_support.Bench(spinner, monkeypatch, world__file=str(path), world__load=True).start()
    bench.until(lambda: bench.instances() and len(seen(bench)) == 2, "results")
    bench.until(lambda: bench.listener.shows("world", b"\x00", "2 visible"), "the world in /diagnostics")
    ids = seen(bench)
    answer = bench.call(Trigger, "save_world")
    assert answer.success and answer.message == f"2 objects are in {path}"
    stored = read_world(path, "base_link")
    assert {item.instance_id for item in stored.objects} == ids

    # A node that begins anew: the same objects have their ids, and what is not there is remembered.
    assert bench.node.trigger_deactivate() == SUCCESS and bench.node.trigger_cleanup() == SUCCESS
    write_world(path, stored)
    bench.rig.rgb[ros_support.BLUE] = 128
    bench.rig.depth[ros_support.BLUE] = ros_support.CAMERA_HEIGHT_M
    count = len(bench.instances())
    assert bench.node.trigger_configure() == SUCCESS and bench.node.trigger_activate() == SUCCESS
    bench.until(lambda: len(bench.instances()) > count + 4, "results again")
    bench.until(lambda: bench.listener.shows("world", b"\x00", "1 visible, 1 gone"), "what became of the other")
    assert {item.id for item in bench.instances()[-1].instances if item.state != item.LOST} < ids
    answer = bench.call(Trigger, "load_world")
    assert answer.success and f"2 objects of {path} take the place of the 2 remembered" in answer.message


def test_who_asks_for_what_is_remembered_and_not_seen_is_told_so(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, memory__gone_after=1000).start()
    bench.until(lambda: bench.instances() and len(seen(bench)) == 2, "results")
    blue = next(item for item in bench.instances()[-1].instances if item.color_rgb[2] > 0.5)
    for region in (ros_support.RED, ros_support.BLUE):
        bench.rig.rgb[region] = 128
        bench.rig.depth[region] = ros_support.CAMERA_HEIGHT_M
    bench.until(lambda: all(item.state == item.LOST for item in bench.instances()[-1].instances), "both are taken away")
    kinds = SegmentObject.Request
    by_id = bench.call(SegmentObject, "segment_object", use_latest=True, prompt_type=kinds.PROMPT_INSTANCE, instance_id=blue.id)
    assert by_id.error_code == ErrorCode.NOT_FOUND and not by_id.instances.instances
    assert f"remembered and not seen now: {blue.class_name} {blue.id}, last seen" in by_id.message
    by_words = bench.call(SegmentObject, "segment_object", use_latest=True, prompt=f"the {blue.class_name}")
    assert by_words.error_code == ErrorCode.NOT_FOUND and f"{blue.class_name} {blue.id}, last seen" in by_words.message
    other = bench.call(SegmentObject, "segment_object", use_latest=True, prompt="the mug")
    assert other.error_code == ErrorCode.NOT_FOUND and "remembered" not in other.message


def test_what_cannot_be_saved_or_read_says_why(spinner, monkeypatch, tmp_path):
    bench = ros_support.Bench(spinner, monkeypatch)
    for name in ("save_world", "load_world"):
        answer = bench.call(Trigger, name)
        assert not answer.success and "the node is not configured" in answer.message
    bench.start()
    answer = bench.call(Trigger, "save_world")
    assert not answer.success and answer.message == "world.file: expected the path of a .safetensors file, got none"
    assert not bench.node.set_parameters([Parameter("world.file", value="/etc/passwd")])[0].successful


def test_a_full_disk_leaves_the_world_that_was_saved_before(spinner, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "table.safetensors"
    bench = ros_support.Bench(spinner, monkeypatch, world__file=str(path)).start()
    bench.until(lambda: bench.instances() and len(seen(bench)) == 2, "results")
    assert bench.call(Trigger, "save_world").success
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        answer = bench.call(Trigger, "save_world")
    assert not answer.success and "the disk is full; nothing of it is left" in answer.message and str(path) in answer.message
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    count = len(bench.instances())
    bench.until(lambda: len(bench.instances()) > count, "perception goes on")


def test_of_two_worlds_that_are_loaded_the_later_counts(spinner, monkeypatch, tmp_path):
    path = tmp_path / "table.safetensors"
    bench = ros_support.Bench(spinner, monkeypatch, world__file=str(path)).start()
    bench.until(lambda: bench.instances() and len(seen(bench)) == 2, "results")
    assert bench.call(Trigger, "save_world").success
    stored = read_world(path, "base_link")
    first, second = stored.objects
    for world in (
        replace(stored, objects=(replace(first, instance_id=71),)),
        replace(stored, objects=(replace(second, instance_id=72),)),
    ):
        write_world(path, world)
        assert bench.call(Trigger, "load_world").success
    count = len(bench.instances())
    bench.until(lambda: len(bench.instances()) > count + 2, "results again")
    memory = bench.node.models.memory()
    ids = [item.instance_id for item in memory.world.objects]
    assert 72 in ids and 71 not in ids and len(set(ids)) == len(ids) == 2 and max(ids) > 72


@pytest.mark.parametrize(
    ("frame", "version", "words"),
    [("map", 1, "world_frame_id: expected 'base_link', got 'map'"), ("base_link", 9, "version: expected 1, got 9")],
)
def test_a_world_of_another_frame_or_version_is_neither_loaded_nor_begun_with(
    spinner, monkeypatch, tmp_path, frame, version, words
):
    path = tmp_path / "table.safetensors"
    bench = ros_support.Bench(spinner, monkeypatch, world__file=str(path)).start()
    bench.until(lambda: bench.instances() and len(seen(bench)) == 2, "results")
    assert bench.call(Trigger, "save_world").success
    world = replace(read_world(path), world_frame_id=frame)
    with monkeypatch.context() as patched:
        patched.setattr(files, "VERSION", version)
        write_world(path, world)
    ids = seen(bench)
    answer = bench.call(Trigger, "load_world")
    assert not answer.success and words in answer.message and str(path) in answer.message
    bench.until(lambda: seen(bench) == ids, "what was remembered stays")
    other = ros_support.Bench(spinner, monkeypatch, world__file=str(path), world__load=True)
    assert other.node.trigger_configure() == FAILURE and words in other.node.problem


@pytest.mark.parametrize("content", [b"", b"no world", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_world_fails_configure_by_name(spinner, monkeypatch, tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    bench = ros_support.Bench(spinner, monkeypatch, world__file=str(path), world__load=True)
    assert bench.node.trigger_configure() == FAILURE
    assert str(path) in bench.node.problem
    path.unlink()
    assert bench.node.trigger_configure() == SUCCESS  # there is none yet: nothing is remembered


def test_a_file_of_another_kind_is_never_written(spinner, monkeypatch, tmp_path):
    bench = ros_support.Bench(spinner, monkeypatch, world__file=str(tmp_path / "a.yaml")).start()
    answer = bench.call(Trigger, "save_world")
    assert not answer.success and "expected a path that ends in .safetensors" in answer.message
    assert not list(tmp_path.iterdir())
