"""The scorer learns, its probabilities are shares, and no scene is both learnt from and judged on."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pan3d_core.grasping.hand_views import OTHER_POINTS, OWN_POINTS, TERMS, HandViews
from pan3d_core.grasping.scorer import GraspScorer, ScorerNetwork, read_scorer
from training.grasps.__main__ import main
from training.grasps.learning import (
    LearnRequest,
    _batches,
    _pair_loss,
    calibrate,
    judge,
    learn,
    objects_of,
    outputs,
    split_by_scene,
)
from training.grasps.scene import BEST, SceneTrials
from training.grasps.shards import SETTINGS_FILE, shard_path, write_shard
from training.run.refusing import REFUSED


def made_up(count, rng, shift=1.0):
    """Trials whose hands have clean lifts where the object's points are between the pads, whatever the analytic score says."""
    clean = rng.random(count) < 0.5
    own = rng.normal(0, 0.01, (count, OWN_POINTS, 7)).astype(np.float32)
    own[~clean, :, 2] += shift * 0.05
    views = HandViews(
        own, np.zeros((count, OTHER_POINTS, 3), np.float32), np.full(count, OWN_POINTS), np.zeros(count, int),
        rng.random((count, len(TERMS))).astype(np.float32),
    )  # fmt: skip
    none = np.zeros(count, np.float32)
    return SceneTrials(
        views, clean, (~clean).astype(np.uint8), none, none, np.zeros(count, np.uint8), np.zeros(count, np.uint8),
        np.full(count, BEST, np.uint8),
    )  # fmt: skip


def test_it_learns_what_decides_and_says_how_sure_it_is():
    trials = made_up(240, np.random.default_rng(0))
    seeds = np.repeat(np.arange(8), 30)
    split = split_by_scene(seeds)
    told = []
    network = learn(trials, seeds, split, LearnRequest(epochs=25), lambda *row: told.append(row))
    found = judge(GraspScorer(network, ""), trials, seeds, split.held_out)
    assert found.auc > 0.95 > 0.7 > found.auc_analytic and found.brier < 0.1 and found.first_clean > 0.9
    assert len(told) == 25 and told[-1][1] < 0.3 < told[0][1]


def test_the_same_seed_learns_the_same():
    trials = made_up(120, np.random.default_rng(1))
    seeds = np.repeat(np.arange(4), 30)
    split = split_by_scene(seeds)
    first, second = (learn(trials, seeds, split, LearnRequest(epochs=2), lambda *_: None).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_no_scene_is_on_both_sides():
    seeds = np.random.default_rng(0).integers(0, 37, 500)
    split = split_by_scene(seeds)
    assert not set(seeds[split.learnt]) & set(seeds[split.held_out]) and len(split.held_out) > 0
    assert len(split.learnt) + len(split.held_out) == 500
    with pytest.raises(ValueError, match="at least two scenes, got 1"):
        split_by_scene(np.zeros(10))


def test_calibrated_probabilities_are_shares():
    rng = np.random.default_rng(3)
    network, odds = ScorerNetwork(), torch.from_numpy(rng.normal(0, 1, 4000).astype(np.float32))
    clean = torch.from_numpy((rng.random(4000) < torch.sigmoid(0.5 * odds - 1).numpy()).astype(np.float32))
    calibrate(network, odds, clean)
    assert abs(float(network.scale) - 0.5) < 0.1 and abs(float(network.shift) + 1) < 0.1


def test_a_mirrored_hand_is_judged_as_it_was_learnt():
    """The network has no memory of rows that are no points."""
    trials = made_up(8, np.random.default_rng(4))
    network, half = ScorerNetwork(), np.full(8, 40)
    views = replace(trials.views, own_count=half)
    changed = replace(views, own=np.where(np.arange(OWN_POINTS)[None, :, None] < 40, views.own, 9.0).astype(np.float32))
    torch.testing.assert_close(outputs(network, views), outputs(network, changed))


def test_the_command_writes_a_file_that_is_read_and_its_card(tmp_path, capsys):
    rng = np.random.default_rng(5)
    (tmp_path / SETTINGS_FILE).write_text(json.dumps({"first_seed": 7}))
    for seed in range(7, 11):
        write_shard(shard_path(tmp_path, seed), made_up(40, rng))
    write_shard(shard_path(tmp_path, 11), None)
    write_shard(shard_path(tmp_path, 13), made_up(40, rng))  # behind a gap: another run is still at 12
    out = tmp_path / "scorer.safetensors"
    assert main(["learn", str(tmp_path), "-o", str(out), "--epochs", "2"]) == 0
    read_scorer(out)
    card = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "160 grasps that were tried" in card and "{" not in card
    assert "epoch 2:" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["learn", str(tmp_path), "-o", str(tmp_path / "scorer.pt"), "--epochs", "1"])
    told = capsys.readouterr().err
    assert ended.value.code == REFUSED and "out: expected a file .safetensors, got" in told and "Traceback" not in told


def test_trials_of_one_object_are_compared_with_each_other():
    rng = np.random.default_rng(6)
    trials = made_up(240, rng)
    objects = np.repeat(np.arange(24), 10).astype(np.uint8)
    trials = replace(trials, target=objects)
    seeds = np.repeat(np.arange(8), 30)
    rows = np.arange(240)
    groups = objects_of(trials, seeds)
    assert len(np.unique(groups)) == 24 and (groups.reshape(24, 10) == groups[::10, None]).all()
    parts = _batches(rows, groups, 4, rng)
    assert sorted(np.concatenate(parts).tolist()) == rows.tolist()
    assert all(len(np.unique(groups[part])) <= 7 for part in parts), "objects are torn apart"
    clean = torch.tensor([1.0, 0.0, 1.0, 0.0])
    right, wrong = torch.tensor([3.0, 0.0, 9.0, 6.0]), torch.tensor([0.0, 3.0, 9.0, 6.0])
    same = torch.tensor([0, 0, 1, 1])
    assert _pair_loss(right, clean, same) < 0.1 < 1.0 < _pair_loss(wrong, clean, same)
    assert _pair_loss(wrong, clean, torch.arange(4)) == 0, "of different objects nothing is compared"
