"""Scores become probabilities: the fit finds what decides, is written into the file, and engines and figures use it."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from pan3d_core.engines.mini import DEFAULT_WEIGHTS, read_checkpoint
from pan3d_core.models.mini.decode import EVIDENCE, ScoreCalibration, find_instances
from pan3d_core.runtime.checksums import CHECKSUM, read_stored, write_weights
from training.data.arrays import ShardSet
from training.data.targets.text import TextTargets
from training.export.mini import rounds_of, start_of
from training.export.model_card import score_words
from training.judge import scores
from training.judge.objects import answered, measured
from training.judge.scores import CASES, JudgedMasks, fitted, write_scores
from training.judge.worlds import Judged

SCENES = 4


def masks_where(quality_decides: float, count: int = 4000) -> JudgedMasks:
    """Masks that are right as often as a weight on their quality says, and sure of themselves."""
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(count, len(EVIDENCE)))
    right = rng.random(count) < 1 / (1 + np.exp(-quality_decides * evidence[:, EVIDENCE.index("quality")] + 1))
    return JudgedMasks(evidence, np.full(count, 0.9), right)


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "pan3d-mini.safetensors"
    path.write_bytes(DEFAULT_WEIGHTS.read_bytes())
    return path


def test_the_fit_finds_what_decides_and_is_calibrated():
    masks = masks_where(2.0)
    calibration = fitted(masks)
    found = calibration.to_dict()
    assert found.pop("quality") == pytest.approx(2.0, abs=0.2) and found.pop("bias") == pytest.approx(-1.0, abs=0.15)
    assert max(map(abs, found.values())) < 0.12
    before, after = masks.errors(calibration)
    assert before > 0.4 and after < 0.03


def test_masks_of_one_sort_teach_nothing():
    masks = masks_where(2.0, 10)
    with pytest.raises(ValueError, match="masks: expected right and wrong ones to learn from, got 10 of one sort"):
        fitted(JudgedMasks(masks.evidence, masks.scores, np.ones(10, bool)))


def test_evidence_and_truth_of_a_network_in_a_world(data_folder):
    found = JudgedMasks.of(Judged.read(DEFAULT_WEIGHTS), ShardSet(data_folder / "val"), SCENES, CASES["cameras known"])
    assert len(found.right) == len(found.scores) == len(found.evidence) > 4 and found.right.any()
    assert np.isfinite(found.evidence).all()
    joined = found.joined(found)
    assert len(joined.right) == 2 * len(found.right)


def test_what_is_written_is_read_by_engines_and_figures(copy, data_folder):
    constant = ScoreCalibration(torch.zeros(len(EVIDENCE)), -1.0)
    before = read_checkpoint(copy)
    write_scores(copy, constant, ["odd"])
    after = read_checkpoint(copy)
    assert after.scores.to_dict() == constant.to_dict() and after.facts["score_worlds"] == ["odd"]
    assert after.checksum != before.checksum and {**after.facts, "score_worlds": 0} == {**before.facts, "score_worlds": 0}
    assert all(torch.equal(value, before.model.state_dict()[name]) for name, value in after.model.state_dict().items())
    judged, shards = Judged.read(copy), ShardSet(data_folder / "val")
    answers = list(answered(judged.model, shards, scenes=SCENES, posed=True, bfloat16=False))
    text = TextTargets(("ball", "block"), ("ball", "block"), torch.arange(2), torch.eye(2, 384), 1)
    sums = measured(answers, text, judged.scores)
    told = np.concatenate(sums.scores)
    assert len(told) and np.allclose(told, 1 / (1 + np.e)), "every score is the constant one"
    assert len(find_instances(answers[0][0], 0, 0.3, calibration=judged.scores)[0]) == 0


def test_a_network_that_learns_on_keeps_the_meaning_of_its_scores(copy):
    write_scores(copy, ScoreCalibration(torch.ones(len(EVIDENCE)), 0.5), ["odd"])
    state = {"config": {"start_from": str(copy)}, "family": "pan3d-mini"}
    start = start_of(state)
    assert start.scores.bias == 0.5
    assert start_of(state | {"family": "pan3d-mini-fast3dis"}) is None  # another network on top
    assert start_of({"config": {"start_from": "run/last.pt"}, "family": "pan3d-mini"}) is None
    rounds = rounds_of(start)
    assert [item["samples"] for item in rounds[-1:]] == [start.facts["samples"]] and "figures" not in rounds[-1]
    assert len(rounds) == len(start.facts["earlier"]) + 1 and rounds_of(None) == []


def test_the_command_prints_both_errors_and_writes_on_request(copy, data_folder, monkeypatch, capsys):
    options = ["--fit", f"own={data_folder}", "--world", f"other={data_folder}", "--network", str(copy), "--scenes", str(SCENES)]
    monkeypatch.setattr(JudgedMasks, "of", lambda judged, shards, scenes, case: masks_where(2.0, 100 * scenes))
    monkeypatch.setattr(sys, "argv", ["scores", *options])
    scores.main()
    assert read_checkpoint(copy).facts == read_checkpoint(DEFAULT_WEIGHTS).facts
    monkeypatch.setattr(sys, "argv", ["scores", *options, "--write"])
    scores.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| own", "| other"))]
    assert len(rows) == 4 and "| fit |" in rows[0] and "| held out |" in rows[1] and rows[:2] == rows[2:]
    assert read_checkpoint(copy).facts["score_worlds"] == ["own"]
    monkeypatch.setattr(sys, "argv", ["scores", *options, "--network", "other.pt", "--write"])
    with pytest.raises(ValueError, match="--network: expected one weight file to write to, got "):
        scores.main()


def test_scores_of_other_names_are_refused_with_the_file(copy):
    write_scores(copy, ScoreCalibration(torch.zeros(len(EVIDENCE)), 0.0), [])
    tensors, metadata = read_stored(copy, "weights", "a weight file")
    content = json.loads(metadata["content"])
    content["scores"] = {"objectness": 1.0}
    words = {name: text for name, text in metadata.items() if name != CHECKSUM}
    write_weights(copy, tensors, {**words, "content": json.dumps(content)})
    with pytest.raises(ValueError, match="pan3d-mini.safetensors.*scores: expected objectness"):
        read_checkpoint(copy)


def test_the_card_says_what_scores_are(copy):
    plain = replace(read_checkpoint(copy), scores=None)
    assert "geometric mean" in score_words(plain)
    write_scores(copy, ScoreCalibration(torch.zeros(len(EVIDENCE)), 0.0), ["odd", "wild"])
    assert "(`odd`, `wild`; " in score_words(read_checkpoint(copy))
