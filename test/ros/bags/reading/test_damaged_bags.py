"""Bags whose metadata or storage is damaged: one error that names the file and, where there is one, the field."""

import sqlite3

import pytest
import yaml

pytest.importorskip("rosbags", reason="needs the extra bags")

from bag_scene import BlockBag  # noqa: E402
from rosbags.rosbag2 import StoragePlugin  # noqa: E402

from pan3d_ros.bags.reading.metadata import TOP  # noqa: E402
from pan3d_ros.bags.reading.reader import BagError, BagReader  # noqa: E402

GONE = object()


def read_all(path):
    with BagReader(path) as bag:
        return sum(1 for _ in bag.messages())


def changed_bag(folder, storage=StoragePlugin.MCAP, **fields):
    """A bag of one set with other values in its metadata; dots are levels, numbers places in lists."""
    path = BlockBag(sets=1).write(folder / "bag", storage)
    where = path / "metadata.yaml"
    content = yaml.safe_load(where.read_text())
    for place, value in fields.items():
        *levels, last = (int(level) if level.isdigit() else level for level in place.split("."))
        holder = content[TOP]
        for level in levels:
            holder = holder[level]
        if value is GONE:
            del holder[last]
        else:
            holder[last] = value
    where.write_text(yaml.safe_dump(content))
    return path


FIRST = "topics_with_message_count.0"
IN_WORDS = r"topics_with_message_count\[0\]"


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("version", GONE, "version: expected a whole number of 0 to 2.63 - 1, got none"),
        ("version", "8", "version: expected a whole number .*, got '8'"),
        ("files", "../../etc/passwd", "files: expected a list, got '../../etc/passwd'"),
        ("files", None, "files: expected a list, got None"),
        ("duration", 3, "duration: expected names with values, got 3"),
        ("duration.nanoseconds", 2**70, "duration.nanoseconds: expected a whole number of 0 to"),
        ("starting_time.nanoseconds_since_epoch", "today", "starting_time.nanoseconds_since_epoch: expected a whole number"),
        ("starting_time.nanoseconds_since_epoch", True, "starting_time.nanoseconds_since_epoch: expected .*, got True"),
        ("message_count", -1, "message_count: expected a whole number of 0 to"),
        ("storage_identifier", "rocksdb", "storage_identifier: expected mcap or sqlite3, got 'rocksdb'"),
        ("relative_file_paths", [], "relative_file_paths: expected names of files, got none"),
        ("relative_file_paths", ["../other.mcap"], r"relative_file_paths\[0\]: expected a path inside the folder"),
        ("relative_file_paths", [3], r"relative_file_paths\[0\]: expected the name of a file, got 3"),
        ("compression_mode", "everything", "compression_mode: expected none, file or message, got 'everything'"),
        ("topics_with_message_count", {}, "topics_with_message_count: expected a list"),
        (FIRST, None, f"{IN_WORDS}: expected names with values, got None"),
        (f"{FIRST}.message_count", GONE, f"{IN_WORDS}.message_count: expected a whole number .*, got none"),
        (f"{FIRST}.topic_metadata.type", 7, f"{IN_WORDS}.topic_metadata.type: expected a text, got 7"),
        (f"{FIRST}.topic_metadata.offered_qos_profiles", 1, f"{IN_WORDS}.topic_metadata.offered_qos_profiles: expected"),
    ],
)
def test_what_is_wrong_in_the_metadata_is_named_by_file_and_field(tmp_path, place, value, words):
    with pytest.raises(BagError, match=f"bag/metadata.yaml: {words}"):
        read_all(changed_bag(tmp_path, **{place: value}))


def test_fields_that_nobody_reads_may_be_missing_or_anything(tmp_path):
    whole = read_all(BlockBag(sets=1).write(tmp_path / "whole"))
    odd = changed_bag(tmp_path, custom_data=[1], ros_distro=GONE, files=GONE, compression_format=None, later_field={"a": 1})
    assert read_all(odd) == whole > 0


@pytest.mark.parametrize("wrong", [{"compression_format": "lz4"}, {"compression_format": GONE}])
def test_compression_of_another_kind_is_named(tmp_path, wrong):
    with pytest.raises(BagError, match="metadata.yaml: compression_format: expected zstd, got"):
        read_all(changed_bag(tmp_path, compression_mode="FILE", **wrong))


@pytest.mark.parametrize("mode", ["file", "message"])
def test_messages_that_are_not_compressed_as_the_metadata_says_are_told(tmp_path, mode):
    with pytest.raises(BagError, match="decompress.*; is compression_mode in metadata.yaml right"):
        read_all(changed_bag(tmp_path, compression_mode=mode, compression_format="zstd"))


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("keep", [0, 3000])
def test_the_damaged_file_of_several_is_named(tmp_path, storage, keep):
    name = f"second.{'mcap' if storage == StoragePlugin.MCAP else 'db3'}"
    path = changed_bag(tmp_path, storage, relative_file_paths=[f"bag{name[6:]}", name])
    whole = (path / f"bag{name[6:]}").read_bytes()
    (path / name).write_bytes(whole)
    assert read_all(path) > 0
    (path / name).write_bytes(whole[:keep])
    with pytest.raises(BagError, match=f"^{path / name}: expected a rosbag2 that can be opened"):
        read_all(path)


@pytest.mark.parametrize(("column", "value"), [("timestamp", "'noon'"), ("data", "'words'")])
def test_messages_of_another_kind_in_a_database_are_refused_with_their_topic(tmp_path, column, value):
    path = BlockBag(sets=1).write(tmp_path / "bag", StoragePlugin.SQLITE3)
    with sqlite3.connect(path / "bag.db3") as database:
        database.execute(f"UPDATE messages SET {column} = {value} WHERE id = 2")
    with pytest.raises(BagError, match=r"bag: /\S+: expected bytes with a time of receipt, got (str at \d+|bytes at 'noon')"):
        read_all(path)


@pytest.mark.parametrize("name", ["run #3", "run?", "100%"])
def test_a_database_at_a_path_that_sqlite_reads_as_another_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    (BlockBag(sets=1).write(tmp_path / "bag", StoragePlugin.SQLITE3)).rename(tmp_path / name / "bag")
    with pytest.raises(BagError, match="expected a path without #, "):
        read_all(tmp_path / name / "bag")
    BlockBag(sets=1).write(tmp_path / name / "other")
    assert read_all(tmp_path / name / "other") > 0


def test_folders_without_a_bag_are_told_once(tmp_path):
    with pytest.raises(BagError, match=f"^{tmp_path}: expected metadata.yaml or one .mcap or .db3 file in it, got neither$"):
        read_all(tmp_path)
    with pytest.raises(BagError, match="^bag: expected a rosbag2 folder, .mcap or .db3 file, got .*/none, which does not exist$"):
        read_all(tmp_path / "none")


def test_a_reader_that_fails_half_way_leaves_no_file_open(tmp_path):
    path = changed_bag(tmp_path)
    with BagReader(path) as bag:
        inner = bag._reader
    assert not inner.is_open
    (path / "metadata.yaml").unlink()
    reader = BagReader(path)
    reader._list_topics = lambda: 1 / 0
    with pytest.raises(BagError, match="division"):
        reader.__enter__()
    assert not reader._reader.is_open
