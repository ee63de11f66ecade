"""Every rank gets its part of the same step, and broken samples are replaced, counted and named."""

import logging
import os
import shutil
from dataclasses import fields

import numpy as np
import pytest
import torch

from training.data.arrays import SceneBatch, ShardSet
from training.data.sources.shard_source import ShardSource
from training.settings import SamplingConfig

CONFIG = SamplingConfig(batch=1, view_counts=(2.0, 4.0), view_weights=(0.5, 0.5))


def parts_of(folder, *, ranks: int, accumulate: int, steps: int = 4) -> list[list[SceneBatch]]:
    """Batches of all ranks by step, in the order of their places."""
    sources = [ShardSource(ShardSet(folder), CONFIG, 5, rank, ranks, accumulate) for rank in range(ranks)]
    found = []
    for step in range(steps):
        for source in sources:
            source.begin_step(step)
        found.append([source.batch(part) for part in range(accumulate) for source in sources])
    return found


def equal(first: SceneBatch, second: SceneBatch) -> bool:
    names = [item.name for item in fields(SceneBatch) if item.name != "teacher"]  # who is asked later
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)


def test_two_ranks_see_what_one_rank_with_two_batches_sees(data_folder):
    two = parts_of(data_folder / "train", ranks=2, accumulate=1)
    one = parts_of(data_folder / "train", ranks=1, accumulate=2)
    assert all(equal(mine, theirs) for step in range(4) for mine, theirs in zip(two[step], one[step], strict=True))
    assert not equal(two[0][0], two[0][1])
    views = [{part.images.shape[1] for part in step} for step in two]
    assert all(len(own) == 1 for own in views) and {2, 4} == set().union(*views)


def test_a_restored_source_goes_on_also_with_other_ranks(data_folder):
    shards = ShardSet(data_folder / "train")
    source = ShardSource(shards, CONFIG, 5, 0, 1, 2)
    for step in range(3):
        source.begin_step(step)
        expected = [source.batch(0), source.batch(1)]
        if step == 1:
            state = source.state()
    for ranks in (1, 2):
        restored = ShardSource(shards, CONFIG, 5, ranks - 1, ranks, 2 // ranks)
        restored.restore([state])
        restored.begin_step(2)
        assert equal(restored.batch(2 // ranks - 1), expected[1])


@pytest.fixture
def damaged(data_folder, tmp_path):
    """Six scenes: the third has a pose that is not a number, the fifth shows an id that has no kind."""
    folder = tmp_path / "train"
    shutil.copytree(data_folder / "train", folder)
    for name, row, value in (("cam_from_world", 2, np.nan), ("ids", 4, 200)):
        path = folder / "part_000" / f"{name}.npy"
        array = np.load(path)
        array[row] = value
        np.save(path, array)
    return folder


def test_broken_samples_are_replaced_counted_and_named(damaged, caplog):
    source = ShardSource(ShardSet(damaged), CONFIG, 0, 0, 1, 1)
    with caplog.at_level(logging.WARNING):
        for step in range(12):
            source.begin_step(step)
            batch = source.batch(0)
            assert torch.isfinite(batch.cam_from_world).all() and batch.ids.max() < 16
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert source.corrupt == len(said) >= 4 and source.state()["corrupt"] == source.corrupt
    assert "scene 2 of" in caplog.text and "cam_from_world: expected finite values" in caplog.text
    assert "scene 4 of" in caplog.text and "ids: expected 0 to 31, got 200" in caplog.text


def test_too_many_broken_samples_end_the_run(damaged):
    source = ShardSource(ShardSet(damaged), SamplingConfig(batch=1, max_corrupt=2), 0, 0, 1, 1)
    with pytest.raises(ValueError, match="max_corrupt: expected at most 2 unreadable samples, got 3"):
        for step in range(100):
            source.begin_step(step)
            source.batch(0)


def test_a_file_that_is_cut_off_during_the_run_is_a_broken_sample_and_no_end(data_folder, tmp_path, caplog):
    folder = tmp_path / "train"
    for part in ("cut", "whole"):
        shutil.copytree(data_folder / "train" / "part_000", folder / part)
    source = ShardSource(ShardSet(folder), CONFIG, 0, 0, 1, 1)
    os.truncate(folder / "cut" / "images.npy", 200)  # reading behind the end would kill the process
    with caplog.at_level(logging.WARNING):
        for step in range(6):
            source.begin_step(step)
            assert torch.isfinite(source.batch(0).images).all()
    assert source.corrupt > 0 and "images.npy: expected" in caplog.text and "bytes as before, got 200" in caplog.text
