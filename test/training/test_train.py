"""The loop learns, resumes exactly, and what it exports is what was trained."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines.mini import build, read_checkpoint
from pan3d_core.models.mini import PanMini
from training.augment import plain_inputs
from training.datasets import ShardSet
from training.evaluate import average_precision, evaluate, match_masks
from training.export import export_weights, run_facts
from training.losses.mini import mini_losses
from training.model_card import write_card
from training.targets import batch_targets
from training.text_targets import load_text_targets
from training.train import RunLog, TrainConfig, Trainer, save_checkpoint


def config(data_folder, tmp_path, **changes) -> TrainConfig:
    return TrainConfig(data=data_folder, out=tmp_path, **{"steps": 6, "ranks": 1, "batch": 2, "bfloat16": False, **changes})


def test_one_scene_is_learnt_by_heart(data_folder, tiny):
    torch.manual_seed(0)
    batch = ShardSet(data_folder / "train").batch(np.array([0]), [np.arange(2)])
    text = load_text_targets(data_folder / "text_embeddings.npz")
    descriptions = text.embeddings[[0, 3]]
    model = PanMini(**tiny)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    inputs = plain_inputs(batch, posed=True)
    history = []
    for _ in range(40):
        outputs = model(inputs)
        terms = mini_losses(outputs, batch_targets(batch, outputs.plane_from_world), inputs.posed, descriptions)
        optimizer.zero_grad()
        terms["total"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in terms.items()})
    best = {name: min(terms[name] for terms in history[-10:]) for name in history[0]}
    assert best["total"] < 0.4 * history[0]["total"]
    assert best["masks"] < 0.4 * history[0]["masks"]
    assert best["depth"] < 0.5 * history[0]["depth"]
    assert best["foreground"] < 0.5 * history[0]["foreground"]


def test_a_resumed_run_equals_an_unbroken_one(data_folder, tmp_path, tiny):
    whole = Trainer(config(data_folder, tmp_path), 0, tiny)
    losses = [whole.train_step()["total"] for _ in range(6)]
    first = Trainer(config(data_folder, tmp_path), 0, tiny)
    for _ in range(3):
        first.train_step()
    save_checkpoint(first.state(), tmp_path / "last.pt")
    second = Trainer(config(data_folder, tmp_path), 0, tiny)
    second.restore(torch.load(tmp_path / "last.pt", weights_only=True))
    assert second.step == 3 and second.samples == 6
    assert [second.train_step()["total"] for _ in range(3)] == losses[3:]
    for name, value in whole.averaged.state_dict().items():
        torch.testing.assert_close(second.averaged.state_dict()[name], value, rtol=0, atol=0)


def test_the_schedule_ends_annealed_by_time_too(data_folder, tmp_path, tiny):
    trainer = Trainer(config(data_folder, tmp_path, steps=None, minutes=1.0), 0, tiny)
    trainer.step, trainer.elapsed = 500, 0.0
    rates = []
    for elapsed in (0.0, 30.0, 60.0):
        trainer.elapsed = elapsed
        trainer._set_learning_rate()
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 5e-4, 1e-6])
    assert trainer.progress() == 1.0


def test_export_loads_as_trained_and_writes_its_card(data_folder, tmp_path, tiny):
    trainer = Trainer(config(data_folder, tmp_path, steps=2), 0, tiny)
    log = RunLog(tmp_path)
    log.add(trainer.train_step())
    log.add(trainer.train_step())
    log.flush(trainer, 1.0)
    text, validation = load_text_targets(data_folder / "text_embeddings.npz"), ShardSet(data_folder / "val")
    figures = asdict(evaluate(trainer.averaged, validation, text, scenes=2, posed=True))
    for posed in (True, False):
        log.write("eval", trainer, {"posed": posed, **figures})
    state, out = trainer.state(), tmp_path / "mini.safetensors"
    export_weights(state, text, {**run_facts(state, text, len(validation)), "figures": {"cameras known": figures}}, out)
    loaded = read_checkpoint(out)
    for name, value in trainer.averaged.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert loaded.known_names.names == ("ball", "sphere", "block", "cube")
    assert build(ModelConfig(weights=str(out))).labels.names == ("ball", "block")
    write_card(out, [json.loads(line) for line in log.path.read_text().splitlines()], tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text()
    assert "4 samples in 2 steps" in card and "{" not in card


def test_average_precision_of_known_cases():
    assert average_precision([(0.9, True), (0.8, True)], 2) == 1.0
    assert average_precision([(0.9, False), (0.8, True)], 1) == 0.5
    assert average_precision([(0.9, True), (0.8, False)], 2) == 0.5
    assert average_precision([], 3) == 0.0 and average_precision([(0.5, True)], 0) == 0.0


def test_a_true_mask_is_claimed_once():
    truth = torch.zeros(1, 10, dtype=torch.bool)
    truth[0, :6] = True
    masks = torch.zeros(3, 10, dtype=torch.bool)
    masks[0, :5], masks[1, :6], masks[2, 6:] = True, True, True
    assert match_masks(masks, truth, 0.5) == [0, -1, -1]
    assert match_masks(masks[:0], truth, 0.5) == []
