"""Damaged shards: their scenes are read, left out, or refused with one error that names the file."""

from contextlib import suppress
from pathlib import Path

import pytest
from fuzzing import AMOUNTS, check_reader
from shard_records import fake_record

from pan3d_sim.data.scene_records import DamagedScene
from pan3d_sim.data.shards import write_array_shard, write_tar_shard
from training.data.arrays import ShardSet
from training.data.scenes.shards import UnreadableChapter, open_tar_shards

NAME = "scenes_00000000-00000001"
WORDS = {"kinds": ["a", "b", "c"], "settings": {"num_views": 2, "kind_set": "known"}}


@pytest.fixture(scope="module")
def shard(tmp_path_factory) -> Path:
    """Two scenes as arrays and as a tar file."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / NAME).mkdir()
    write_array_shard(folder / NAME, map(fake_record, (0, 1)), WORDS)
    write_tar_shard(folder / f"{NAME}.tar", map(fake_record, (0, 1)))
    return folder


def read_tar(path: Path) -> None:
    """What a stream does with a shard, which leaves out what is damaged."""
    (path.parent / "vocabulary.json").write_text('{"kinds": ["a", "b", "c"], "settings": {"num_views": 2}}')
    shards = open_tar_shards(path.parent)
    with suppress(UnreadableChapter):
        for _, members in shards.read(0, shards.keys(0)):
            with suppress(DamagedScene):
                shards.decode(members)


@AMOUNTS
def test_a_damaged_tar_shard_gives_its_sound_scenes(shard, amount, tmp_path):
    check_reader(read_tar, f"{NAME}.tar", tmp_path, amount, shard / f"{NAME}.tar")


@AMOUNTS
@pytest.mark.parametrize("name", ["images", "ids", "kinds"])
def test_a_damaged_array_is_read_or_refused_by_name(shard, name, amount, tmp_path):
    for path in (shard / NAME).iterdir():
        (tmp_path / NAME).mkdir(exist_ok=True)
        (tmp_path / NAME / path.name).write_bytes(path.read_bytes())
    whole = shard / NAME / f"{name}.npy"
    check_reader(lambda path: ShardSet(path.parent.parent), f"{NAME}/{name}.npy", tmp_path, amount, whole)


@AMOUNTS
def test_damaged_words_of_a_shard_are_read_or_refused_by_name(shard, amount, tmp_path):
    (tmp_path / f"{NAME}.tar").write_bytes((shard / f"{NAME}.tar").read_bytes())
    words = shard / "vocabulary.json"
    words.write_bytes((shard / NAME / "vocabulary.json").read_bytes())
    check_reader(lambda path: open_tar_shards(path.parent), "vocabulary.json", tmp_path, amount, words)
