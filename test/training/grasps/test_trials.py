"""Trials of grasps: the same seed gives the same, a stopped run goes on, and what is held out stays out."""

import dataclasses
import json

import numpy as np
import pytest

from pan3d_core.grasping import select_grasps
from pan3d_core.grasping.hand_views import HandViews
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.clouds import true_cloud
from training.grasps import TrialsRequest, make_trials, read_trials, scene
from training.grasps.scene import BEST, MOVED, OUTCOMES, SceneMaker
from training.grasps.shards import joined, read_shard, shard_path, write_shard

SEED = 4_000_007


@pytest.fixture
def small(monkeypatch):
    """Scenes of two objects and few grasps."""
    monkeypatch.setattr(scene, "OBJECTS", (2, 2))
    monkeypatch.setattr(scene, "CHOSEN", (2, 2, 1))


def columns(trials):
    return {
        **{name: getattr(trials.views, name) for name in HandViews.__annotations__},
        **{item.name: getattr(trials, item.name) for item in dataclasses.fields(trials) if item.name != "views"},
    }


def assert_same(first, second, atol=0.0):
    for name, values in columns(first).items():
        np.testing.assert_allclose(values, columns(second)[name], atol=atol, err_msg=name)


def test_a_seed_gives_the_same_trials_and_they_are_read_as_they_were_written(small, tmp_path):
    first, second = (joined(SceneMaker(None, ("true",)).trials(SEED)) for _ in range(2))
    assert_same(first, second)
    assert {BEST, MOVED} <= set(first.chosen.tolist()) and first.outcome.max() < len(OUTCOMES)
    assert 0 < first.clean.mean() < 1, "a scene of which nothing can be told"
    assert not first.clean[first.outcome > 0].any()
    write_shard(tmp_path / "one.npz", first)
    assert_same(first, read_shard(tmp_path / "one.npz"), atol=0.005)
    write_shard(tmp_path / "none.npz", None)
    assert read_shard(tmp_path / "none.npz") is None


def test_a_damaged_shard_is_named(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match="bad.npz"):
        read_shard(tmp_path / "bad.npz")


def test_scenes_that_do_not_come_to_rest_have_no_trials(small, monkeypatch):
    def restless(*_, **__):
        raise RuntimeError("the pile arrangement does not come to rest")

    monkeypatch.setattr(scene, "RobotCell", restless)
    assert SceneMaker(None, ("true",)).trials(SEED) == []


@pytest.mark.parametrize(
    ("changes", "said"), [({"trials": 0}, "trials: expected at least 1"), ({"workers": 0}, "workers: expected at least 1")]
)
def test_a_request_that_makes_no_sense_is_refused(changes, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        TrialsRequest(**{"out": tmp_path, "trials": 1, "seed": 0, **changes})


def test_held_out_objects_and_unknown_inputs_are_refused():
    class HeldOut:
        split = "held-out"

    with pytest.raises(ValueError, match="models: expected those of the training split, got held-out"):
        SceneMaker(HeldOut(), ("true",))
    with pytest.raises(ValueError, match="inputs: expected some of true, views, colour, got smell"):
        SceneMaker(None, ("smell",))


def test_trials_of_other_settings_are_not_mixed(tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"version": 0}))
    with pytest.raises(ValueError, match="use another folder"):
        make_trials(TrialsRequest(tmp_path, 1, SEED, inputs=("true",)))
    with pytest.raises(ValueError, match=r"expected a folder with settings.json"):
        read_trials(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path):
    whole, stopped = (TrialsRequest(tmp_path / name, 200, SEED, 1, None, ("true",)) for name in ("whole", "stopped"))
    assert make_trials(whole) >= 200
    make_trials(dataclasses.replace(stopped, trials=1))
    shard_path(stopped.out, SEED).unlink()  # as if that one had been under way
    make_trials(dataclasses.replace(stopped, workers=2))
    first, second = read_trials(whole.out, 200), read_trials(stopped.out, 200)
    assert_same(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_what_sleeps_is_put_back_exactly():
    """What follows a state does not depend on what happened in between, nor on what slept then."""
    with RobotCell(SEED, num_objects=2, kinds=("box", "can")) as cell:
        cell.let_rest_sleep(scene.TIMESTEP_S)
        start = cell.save()
        cell.data.qpos[cell.bodies[0].qpos + 2] += 0.05
        cell.step(0.3)
        between = cell.data.qpos.copy()
        cell.restore(start)
        np.testing.assert_array_equal(start.physics, cell.save().physics)
        cell.data.qpos[cell.bodies[0].qpos + 2] += 0.05
        cell.step(0.3)
        np.testing.assert_array_equal(between, cell.data.qpos)
        assert abs(between[cell.bodies[0].qpos + 2] - 0.05) > 1e-3, "nothing fell: it slept on"


@pytest.mark.slow
def test_quick_trials_say_the_same_as_long_ones():
    same = []
    for seed in range(SEED, SEED + 3):
        with RobotCell(seed, arrangement="packed") as cell, RobotCell(seed, arrangement="packed") as sleepy:
            sleepy.let_rest_sleep(scene.TIMESTEP_S)
            cloud = true_cloud(cell)
            for index, instance_id in cloud.id_of_object.items():
                targets = select_grasps(cloud.panoptic, instance_id, support_height_m=0.0).targets[::3]
                long, quick = (
                    [trials.execute(target, target=index) for target in targets]
                    for trials in (GraspTrials(cell), GraspTrials(sleepy, scene.QUICK))
                )
                same += [one.details.get("clean") == other.details.get("clean") for one, other in zip(long, quick)]
    assert len(same) > 40 and np.mean(same) >= 0.9
