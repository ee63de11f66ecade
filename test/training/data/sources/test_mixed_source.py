"""Several sources by weight: the same for a seed, goes on exactly, shared by ranks, and without a source that ends."""

import logging
import math
import shutil
from collections import Counter
from dataclasses import fields

import pytest
import torch
from published_scenes import write_scannet
from trainers import trainer_of

from pan3d_eval.datasets.scenes import list_scenes
from training.data.arrays import SceneBatch, ShardSet
from training.data.convert import convert
from training.data.scenes.recordings import SamplePlan
from training.data.sources.draws import StepDraws
from training.data.sources.mixed_source import MixedSource
from training.data.sources.shard_source import ShardSource
from training.data.sources.stream_source import open_source
from training.families import run_config
from training.settings import SamplingConfig

SMALL, LARGE = (28, 36), (32, 48)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, fake_shard):
    """Two sources whose pictures tell them apart by their size."""
    root = tmp_path_factory.mktemp("sources")
    for name, seed, size in (("small", 1, SMALL), ("large", 2, LARGE)):
        fake_shard(root / name / "part_000", 6, seed, size)
    return root


def mixed(folders, rank=0, ranks=1, accumulate=2, **changes) -> MixedSource:
    config = SamplingConfig(**{"batch": 1, "view_counts": (2, 4), "view_weights": (0.5, 0.5), **changes})
    draws = StepDraws(config, 9)
    parts = {
        name: ShardSource(ShardSet(folders / name), config, 100 + k, rank, ranks, accumulate, draws)
        for k, name in enumerate(("small", "large"))
    }
    return MixedSource(parts, [3.0, 1.0], draws, accumulate, (rank, ranks))


def steps(source, first, last) -> list[SceneBatch]:
    found = []
    for step in range(first, last):
        source.begin_step(step)
        found += [source.batch(part) for part in range(source.accumulate)]
    return found


def same(left, right) -> bool:
    names = [item.name for item in fields(SceneBatch) if item.name != "teacher"]
    return len(left) == len(right) and all(
        torch.equal(getattr(a, name), getattr(b, name)) for a, b in zip(left, right, strict=True) for name in names
    )


def test_batches_are_of_one_source_each_by_weight_and_the_same_again(folders):
    found = steps(mixed(folders), 0, 60)
    counts = Counter(tuple(batch.images.shape[-2:]) for batch in found)
    assert set(counts) == {SMALL, LARGE} and 0.62 < counts[SMALL] / len(found) < 0.88
    assert same(found, steps(mixed(folders), 0, 60))
    # No scene of a source comes twice before all of them have come once.
    all_views = steps(mixed(folders, view_counts=(4,), view_weights=(1,)), 0, 12)
    sums = [int((batch.images * 255).round().sum()) for batch in all_views if batch.images.shape[-1] == SMALL[1]]
    assert len(sums) >= 12 and len(set(sums[:6])) == len(set(sums)) == 6


def test_a_restored_mixture_goes_on_exactly(folders):
    source = mixed(folders)
    steps(source, 0, 5)
    state = source.state()
    expected = steps(source, 5, 15)
    again = mixed(folders)
    again.restore([state])
    assert same(steps(again, 5, 15), expected)
    with pytest.raises(ValueError, match="sampling.sources: expected small, large as when the checkpoint was saved, got small"):
        MixedSource({"small": source._sources[0]}, [1.0], source.draws, 2).restore([state])


def test_ranks_share_the_sources(folders):
    two = [steps(mixed(folders, rank, 2, 1), 0, 8) for rank in range(2)]
    one = steps(mixed(folders, 0, 1, 2), 0, 8)
    for left, right in zip(*two, strict=True):
        assert left.images.shape == right.images.shape and not torch.equal(left.images, right.images)
    assert len(one) == 16


class Ending:
    """A source that has so many batches and no more."""

    corrupt, scenes, batch_size = 1, 6, 1

    def __init__(self, source, batches):
        self.source, self.left = source, batches

    def begin_step(self, step, batches=None):
        self.source.begin_step(step, batches)

    def batch(self, part):
        if not self.left:
            raise ValueError("data: expected scenes, got none any more")
        self.left -= 1
        return self.source.batch(part)

    def state(self):
        return self.source.state()

    def restore(self, states):
        self.source.restore(states)


def test_a_source_that_ends_is_left_out_and_counted(folders, caplog):
    whole = mixed(folders)
    config, draws = whole.draws.config, whole.draws
    parts = {
        name: ShardSource(ShardSet(folders / name), config, 100 + k, 0, 1, 2, draws) for k, name in enumerate(("small", "large"))
    }
    source = MixedSource({"small": Ending(parts["small"], 5), "large": parts["large"]}, [3.0, 1.0], draws, 2)
    with caplog.at_level(logging.WARNING):
        found = steps(source, 0, 20)
    assert len(found) == 40 and Counter(batch.images.shape[-1] for batch in found)[SMALL[1]] == 5
    assert source.ended == 1 and source.corrupt == 1 and "small gives no more scenes (data: expected scenes" in caplog.text
    state = source.state()
    assert state["sources"]["small"]["ended"] and not state["sources"]["large"]["ended"]
    again = mixed(folders)
    again.restore([state])
    assert again.ended == 1 and same(steps(again, 20, 24), steps(source, 20, 24))
    source._sources = (Ending(parts["small"], 0), Ending(parts["large"], 0))
    source.begin_step(30)
    with pytest.raises(ValueError, match="sampling.sources: expected one that has scenes left, got none of small, large"):
        source.batch(0)


def test_a_batch_has_as_many_scenes_as_its_pictures_may_be(folders):
    config = SamplingConfig(view_counts=(1, 2, 3, 4), view_weights=(1, 1, 1, 1), images=8, batch=1)
    source = ShardSource(ShardSet(folders / "small"), config, 3, 0, 1, 1)
    shapes = set()
    for step in range(30):
        source.begin_step(step)
        batch = source.batch(0)
        assert len(batch.images) == source.batch_size
        shapes.add(tuple(batch.images.shape[:2]))
    assert shapes == {(8, 1), (4, 2), (2, 3), (2, 4)}
    assert StepDraws(config, 0).scenes(24) == 1


def test_pictures_are_cut_to_the_shape_of_the_step_and_the_cameras_follow(folders):
    config = SamplingConfig(view_counts=(2,), view_weights=(1,), batch=2, aspects=(0.33, 1.0))
    source, plain = (
        ShardSource(ShardSet(folders / "small"), own, 3, 0, 1, 1)
        for own in (config, SamplingConfig(view_counts=(2,), view_weights=(1,), batch=2))
    )
    seen = []
    for step in range(12):
        for own in (source, plain):
            own.begin_step(step)
        batch, whole = source.batch(0), plain.batch(0)
        height, width = batch.images.shape[-2:]
        aspect = source.draws.aspect(step)
        assert abs(height - aspect * width) <= 1 and (height == SMALL[0] or width == SMALL[1])
        shift = (whole.intrinsics - batch.intrinsics)[0, 0, :2, 2].long().tolist()
        rows, columns = slice(shift[1], shift[1] + height), slice(shift[0], shift[0] + width)
        for name in ("images", "depth", "ids"):
            assert torch.equal(getattr(batch, name), getattr(whole, name)[..., rows, columns])
        seen.append(aspect)
    assert min(seen) >= 0.33 and max(seen) <= 1 and max(seen) - min(seen) > 0.3


@pytest.mark.parametrize("family", ["segvggt", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fast3dis", "eps3d"))])
def test_networks_of_any_size_learn_from_mixed_shapes_and_go_on_exactly(run_values, run_data, tmp_path, family):
    other = tmp_path / "more"
    shutil.copytree(run_data / "train", other)
    sampling = {
        "batch": 4, "images": 4, "view_counts": [2], "view_weights": [1.0], "aspects": [0.5, 1.0],
        "sources": {str(run_data / "train"): 1, str(other): 2},
    }  # fmt: skip
    values = run_values(family, sampling=sampling)
    whole, before, after = (trainer_of(values) for _ in range(3))
    curve = [whole.train_step() for _ in range(3)]
    assert all(math.isfinite(value) for terms in curve for value in terms.values())
    assert whole.samples == 6 and whole.notes() == {"bad_steps": 0, "corrupt_samples": 0, "ended_sources": 0}
    before.train_step()
    after.restore(before.state({}))
    assert [after.train_step() for _ in range(2)] == curve[1:] and whole.source.scenes == 12


def test_arrays_and_recordings_are_mixed(tmp_path, fake_shard):
    scene, plan = write_scannet(tmp_path), SamplePlan(("chair", "lamp"), views=3, interval=1, samples=1, width=56, height=42)
    for part in ("train", "val"):
        convert(list_scenes([scene]), plan, tmp_path / "data" / part)
    arrays, scans = str(tmp_path / "data" / "train"), str(tmp_path / "scans")
    values = {
        "family": "segvggt", "data": str(tmp_path / "data"), "out": "run",
        "sampling": {"sources": {arrays: 1, scans: 1}, "size": [42, 28], "interval": 1, "stretches": 1, "workers": 0, "batch": 1,
                     "view_counts": [3], "view_weights": [1.0]},
    }  # fmt: skip
    source = open_source(run_config(values), 0, 1)
    found = steps(source, 0, 12)
    assert {tuple(batch.images.shape[-2:]) for batch in found} == {(42, 56), (28, 42)} and source.scenes == 2
    with pytest.raises(ValueError, match="sampling.sources: .*expected kinds chair, lamp"):
        fake_shard(tmp_path / "balls" / "part_000", 1, 1, SMALL)
        values["sampling"]["sources"] = {str(tmp_path / "balls"): 1.0}
        open_source(run_config(values), 0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": {"a": 0}}, "sources: a: expected a weight above 0, got 0"),
        ({"sources": {"a": 1.0}, "stream": "b"}, "stream: expected none beside sources, got 'b'"),
        ({"aspects": (1.0, 0.3)}, "aspects: expected lowest and highest"),
    ],
)
def test_settings_that_say_nothing_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SamplingConfig(**changes)


def test_families_of_one_shape_refuse_others(run_values):
    with pytest.raises(ValueError, match="sampling.aspects: expected none for pan3d-mini"):
        trainer_of(run_values("pan3d-mini", sampling={"aspects": [0.5, 1.0]}))
    with pytest.raises(ValueError, match="sampling.aspects: expected none with model.teacher"):
        trainer_of(run_values("eps3d", sampling={"aspects": [0.5, 1.0]}, model={"teacher": "folder"}))
