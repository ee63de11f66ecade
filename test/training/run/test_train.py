"""The loop learns, resumes bit for bit in every arrangement, skips what is broken, and what it exports is what was trained."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from trainers import ALONE, trainer_of

from pan3d_core.config import ModelConfig
from pan3d_core.engines.mini import build, read_checkpoint
from pan3d_core.models.mini.network import MiniArchitecture, PanMini
from training.data.arrays import ShardSet
from training.data.augment import plain_inputs
from training.data.targets.mini import batch_targets
from training.data.targets.text import load_text_targets
from training.export.exporters import export_run
from training.export.mini import export_weights, run_facts
from training.export.model_card import held_out_tables, joined_logs, mixture, round_table, write_card
from training.export.request import ExportRequest, mixed_state
from training.families import FAMILIES, run_config
from training.judge.objects import answered, measured
from training.losses.mini import mini_losses
from training.run.checkpoints import read_state
from training.run.loop import Trainer
from training.run.progress import RunLog
from training.train import Run


def totals(trainer: Trainer, steps: int) -> list[float]:
    return [trainer.train_step()["total"] for _ in range(steps)]


def equal_states(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.slow
def test_one_scene_is_learnt_by_heart(data_folder, tiny):
    torch.manual_seed(0)
    batch = ShardSet(data_folder / "train").batch(np.array([0]), [np.arange(2)])
    text = load_text_targets(data_folder / "text_embeddings.npz")
    descriptions = text.embeddings[[0, 3]]
    model = PanMini(MiniArchitecture(**tiny))
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


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name == "pan3d-mini" else pytest.mark.slow) for name in sorted(FAMILIES)]
)
def test_a_resumed_run_equals_an_unbroken_one(run_values, family):
    whole = trainer_of(run_values(family))
    losses = totals(whole, 5)
    assert all(np.isfinite(losses)) and len(set(losses)) == 5
    first = trainer_of(run_values(family))
    totals(first, 2)
    torch.save(first.state({}), first.config.out / "half.pt")
    second = trainer_of(run_values(family))
    second.restore(read_state(first.config.out / "half.pt"))
    assert second.step == 2 and second.samples == 4
    assert totals(second, 3) == losses[2:]
    assert equal_states(whole.averaged.module.state_dict(), second.averaged.module.state_dict())
    assert equal_states(whole.model.state_dict(), second.model.state_dict())


def test_every_family_measures_itself_and_shows_pictures(run_values):
    for name in FAMILIES:
        trainer = trainer_of(run_values(name))
        cases = trainer.family.evaluate(trainer.measured_model(), 1)
        assert cases and all(case["scenes"] == 1 and case["objects"] > 0 for case in cases)
        names = ("instance_f", "semantic_miou") if "instance_f" in cases[0] else ("ap50",)
        assert trainer.family.score(cases) == sum(cases[0][figure] for figure in names)
        (picture,) = trainer.family.pictures(trainer.measured_model(), 1).values()
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 10


def test_accumulated_batches_give_the_gradient_of_their_mean(run_values):
    values = run_values("segvggt", model={"geometry": "none"}, sampling={"augment": False, "batch": 2})
    at_once = trainer_of(values)
    in_parts = trainer_of(values, **{
        "sampling": replace(at_once.config.sampling, batch=1), "execution": replace(at_once.config.execution, accumulate=2)
    })  # fmt: skip
    assert totals(at_once, 3) == pytest.approx(totals(in_parts, 3), abs=1e-5)


@pytest.mark.slow
def test_recomputing_blocks_changes_nothing(run_values):
    for name in FAMILIES:
        plain = trainer_of(run_values(name))
        recomputed = trainer_of(run_values(name), execution=replace(plain.config.execution, checkpoint_blocks=True))
        assert totals(plain, 2) == totals(recomputed, 2)


@pytest.mark.slow
def test_a_compiled_model_learns_the_same(run_values, monkeypatch):
    # Tracing is what can fail on a model; the code generator behind it takes minutes and is torch's own matter.
    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compile_module(module, backend="aot_eager"))
    plain = trainer_of(run_values("segvggt"))
    compiled = trainer_of(run_values("segvggt"), execution=replace(plain.config.execution, compile=True))
    assert totals(compiled, 2) == pytest.approx(totals(plain, 2), rel=1e-4)
    assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()
    with pytest.raises(ValueError, match="expected false for pan3d-mini"):
        trainer_of(run_values("pan3d-mini", execution={"compile": True}))


def test_low_rank_pretrained_and_new_parameters_have_their_own_rates(run_values):
    optimizer = {"learning_rate": 1e-3, "lora_learning_rate": 1e-4, "pretrained_learning_rate": 2e-5}
    trainer = trainer_of(run_values("segvggt", optimizer=optimizer, schedule={"kind": "constant", "warmup_steps": 0}))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train_step()
    assert trainer.learning_rates() == {"new": 1e-3, "lora": 1e-4, "pretrained": 2e-5}
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert any(".lora." in name for name in moved) and any(name.startswith("query_decoder.") for name in moved)
    frozen = [name for name in before if name.startswith("vggt.aggregator.patch_embed.") or name.endswith("qkv.linear.weight")]
    assert frozen and not moved & set(frozen)
    names = {id(p): name for name, p in trainer.model.named_parameters()}
    trained = [names[id(p)] for p in trainer.trained]
    assert sorted(trained) == sorted(name for name, p in trainer.model.named_parameters() if p.requires_grad)


def test_the_teacher_of_geometry_is_what_the_run_started_from_and_stays_so(run_values, tmp_path):
    first = trainer_of(run_values("segvggt"))
    torch.save(first.state({}), tmp_path / "pretrained.pt")
    values = run_values("segvggt", model={"geometry": "teacher"}, start_from=str(tmp_path / "pretrained.pt"))
    trainer = trainer_of(values)
    images = torch.rand(1, 2, 3, 56, 70, generator=torch.Generator().manual_seed(0))

    def difference() -> float:
        with torch.no_grad():
            return float((trainer.model(images).geometry.depth - trainer.family.teacher(images).depth).abs().max())

    assert difference() == 0
    terms = trainer.train_step()
    assert terms["camera"] > 0 and difference() > 0
    assert not any("teacher" in name for name, _ in trainer.objective.named_parameters())
    with pytest.raises(ValueError, match="start_from: expected the weights of a pretrained VGGT"):
        trainer_of(run_values("segvggt", model={"geometry": "teacher"}))


def test_full_fine_tuning_moves_the_attention_layers(run_values):
    trainer = trainer_of(run_values("segvggt", model={"lora_rank": 0}))
    assert {group.name for group in trainer.groups} == {"new", "new, no decay", "pretrained", "pretrained, no decay"}
    trained = {id(p) for p in trainer.trained}
    assert all(id(block.attn.qkv.weight) in trained for block in trainer.model.vggt.aggregator.global_blocks)


def test_the_schedule_ends_annealed_by_time_too(run_values):
    trainer = trainer_of(run_values("pan3d-mini"), steps=0, minutes=1.0)
    rates = []
    for elapsed in (0.0, 30.0, 60.0):
        trainer.step, trainer.elapsed = 500, elapsed
        trainer.train_step()
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 5e-4, 1e-6], rel=1e-3)
    assert trainer.progress() >= 1.0


def test_steps_without_finite_gradient_are_left_out_and_end_the_run_after_some(run_values):
    trainer = trainer_of(run_values("pan3d-mini", optimizer={"max_bad_steps": 3}))
    trainer.train_step()
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    sound = trainer.family.prepare

    def broken(batch, generator):
        sample = sound(batch, generator)
        return replace(sample, inputs=replace(sample.inputs, images=sample.inputs.images * float("nan")))

    trainer.family.prepare = broken
    assert np.isnan(trainer.train_step()["total"])
    assert equal_states(before, dict(trainer.model.named_parameters()))
    trainer.family.prepare = sound
    assert np.isfinite(trainer.train_step()["total"])
    trainer.family.prepare = broken
    trainer.train_step()
    trainer.train_step()
    with pytest.raises(FloatingPointError, match="not finite in 3 steps in a row, the last one 5"):
        trainer.train_step()
    assert trainer.notes()["bad_steps"] == 4


def test_half_precision_with_a_loss_scale_resumes_exactly(run_values):
    values = run_values("pan3d-mini", execution={"precision": "float16"})
    whole, first, second = (trainer_of(values) for _ in range(3))
    losses = totals(whole, 4)
    totals(first, 2)
    second.restore(first.state({}))
    assert totals(second, 2) == losses[2:] and second.scaler.get_scale() == whole.scaler.get_scale()


@pytest.mark.slow
def test_a_run_can_start_from_the_weights_of_another(run_values, tmp_path):
    for name in FAMILIES:
        first = trainer_of(run_values(name))
        totals(first, 1)
        torch.save(first.state({}), tmp_path / "last.pt")
        second = trainer_of(run_values(name, start_from=str(tmp_path / "last.pt")))
        assert second.step == 0
        wanted = first.model.state_dict() if name == "segvggt" else first.averaged.module.state_dict()
        assert equal_states(second.model.state_dict(), wanted)


def test_a_checkpoint_of_another_network_is_refused(run_values):
    first = trainer_of(run_values("pan3d-mini"))
    other = trainer_of(run_values("pan3d-mini", model={"queries": 5}))
    with pytest.raises(ValueError, match="model: expected the checkpoint's"):
        other.restore(first.state({}))
    with pytest.raises(ValueError, match="expected a checkpoint of pan3d-mini, got one of an earlier version"):
        other.restore({"model": {}})


def test_export_loads_as_trained_and_writes_its_card(run_values, data_folder):
    run = Run(run_config(run_values("pan3d-mini", steps=2)), ALONE)
    run.go()
    text, validation = load_text_targets(data_folder / "text_embeddings.npz"), ShardSet(data_folder / "val")
    figures = asdict(measured(answered(run.trainer.averaged.module, validation, scenes=2, posed=True), text).figures())
    state, out = read_state(run.config.out / "last.pt"), run.config.out / "mini.safetensors"
    export_weights(state, text, {**run_facts(state, text, validation), "figures": {"cameras known": figures}}, out)
    loaded = read_checkpoint(out)
    for name, value in run.trainer.averaged.module.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert loaded.known_names.names == ("ball", "sphere", "block", "cube")
    assert build(ModelConfig(weights=str(out))).facts.labels.names == ("ball", "block")
    lines = [json.loads(line) for line in run.log.path.read_text().splitlines()]
    write_card(out, lines, run.config.out / "card.md")
    card = (run.config.out / "card.md").read_text()
    assert "| 1 | 4 | 2 |" in card and "{" not in card


def test_an_export_mixes_in_an_earlier_checkpoint_of_the_same_network(run_values, data_folder, tmp_path):
    for steps in (1, 3):
        Run(run_config(run_values("pan3d-mini", steps=steps, out=str(tmp_path / str(steps)))), ALONE).go()
    early, late = (tmp_path / name / "last.pt" for name in "13")
    mixed = mixed_state(read_state(late), early, 0.25)
    name = "decoder.learned"
    wanted = 0.75 * read_state(late)["ema"][name] + 0.25 * read_state(early)["ema"][name]
    torch.testing.assert_close(mixed["ema"][name], wanted)
    assert mixed["mixed"] == {"share": 0.25, "steps": 1, "samples": read_state(early)["samples"]}
    out = tmp_path / "mini.safetensors"
    export_run(ExportRequest(tmp_path / "3", (), data_folder, out, 1, (early, 0.25)))
    torch.testing.assert_close(read_checkpoint(out).model.state_dict()[name], wanted, rtol=1e-3, atol=1e-4)
    assert "0.75 times the last weights plus 0.25 times those after" in out.with_suffix(".md").read_text()
    with_file = mixed_state(read_state(late), out, 0.5)  # of which a run may have started
    half = 0.5 * (read_state(late)["ema"][name] + wanted)
    torch.testing.assert_close(with_file["ema"][name], half, rtol=1e-3, atol=1e-4)
    assert mixture(with_file).startswith(
        "The file holds 0.5 times the last weights plus 0.5 times those of mini.safetensors, SHA-256"
    )
    with pytest.raises(ValueError, match=r"mix: expected a share of 0 to 1, got 2"):
        mixed_state(read_state(late), early, 2.0)
    other = {**read_state(late), "architecture": {"dim": 96}}
    with pytest.raises(ValueError, match=r"mix: expected a checkpoint of the network that is exported, got .*last.pt of another"):
        mixed_state(other, early, 0.5)


def test_the_card_tells_of_earlier_rounds(run_values):
    facts = {"samples": 40, "steps": 5, "minutes": 2.0, "config": {"learning_rate": 6e-4, "seed": 2}}
    table = round_table({**facts, "earlier": [{**facts, "samples": 10}]})
    assert "| 1 | 10 | 5 | 2.0 | 0.0006 | 2 |" in table and "| 2 | 40 | 5 | 2.0 | 0.0006 | 2 |" in table


def test_logs_of_rounds_are_counted_on(tmp_path):
    for name, lines in (("first", [(4, 1.0), (8, 2.0)]), ("second", [(4, 1.5)])):
        (tmp_path / name).mkdir()
        text = "\n".join(json.dumps({"what": "eval", "samples": samples, "minutes": minutes}) for samples, minutes in lines)
        (tmp_path / name / "log.jsonl").write_text(text)
    joined = joined_logs([tmp_path / "first" / "log.jsonl", tmp_path / "second" / "log.jsonl"])
    assert [(line["samples"], line["minutes"]) for line in joined] == [(4, 1.0), (8, 2.0), (12, 3.5)]


def test_the_card_quotes_the_scoreboard_of_its_own_checkpoint(tmp_path):
    page = tmp_path / "board.md"
    page.write_text(
        "# Board\n\nSHA-256 `0123456789abcdef...`\n\n## Held-out\n\n"
        "| | AP50 |\n|---|---:|\n| **pan3d-mini**, poses given | 0.9 |\n"
        "| **pan3d-mini-fast3dis**, poses given | 0.8 |\n"
        "| other | 0.1 |\n\n## Cameras\n\n| | deg |\n|---|---:|\n| pan3d-mini: held-out | 5 |\n"
        "| pan3d-mini-fast3dis: held-out | 4 |\n\n## The rows\n\n- text\n"
    )
    quoted = held_out_tables(page, "0123456789abcdef" + 48 * "0")
    assert "| **pan3d-mini**, poses given | 0.9 |" in quoted and "held-out | 5 |" in quoted
    assert "other" not in quoted and "fast3dis" not in quoted
    kin = held_out_tables(page, "0123456789abcdef" + 48 * "0", "pan3d-mini-fast3dis")
    assert "poses given | 0.8 |" in kin and "held-out | 4 |" in kin and "0.9" not in kin
    for missing in (held_out_tables(page, 64 * "f"), held_out_tables(None, 64 * "f")):
        assert "0.9" not in missing and "make scoreboard" in missing


def test_new_parts_of_a_network_start_fresh(run_values, tmp_path, caplog):
    first = trainer_of(run_values("pan3d-mini"))
    state = first.state({})
    del state["ema"]["decoder.mask_bias"]
    torch.save(state, tmp_path / "older.pt")
    second = trainer_of(run_values("pan3d-mini", start_from=str(tmp_path / "older.pt")))
    assert "decoder.mask_bias" in caplog.text and second.model.decoder.mask_bias.item() == -2.0
    torch.save({**state, "ema": {**state["ema"], "other.weight": torch.zeros(1)}}, tmp_path / "foreign.pt")
    with pytest.raises(ValueError, match="start_from: expected weights of pan3d-mini, .* with other.weight"):
        trainer_of(run_values("pan3d-mini", start_from=str(tmp_path / "foreign.pt")))


def test_checkpoints_of_the_first_version_can_be_exported(run_values, data_folder):
    state = trainer_of(run_values("pan3d-mini")).state({})
    settings = {
        "minutes": 9.0,
        "ranks": 2,
        "batch": 4,
        "learning_rate": 1e-3,
        "seed": 0,
        "bfloat16": True,
        "data": "d",
        "out": "o",
    }
    old = {key: state[key] for key in ("architecture", "model", "ema", "step", "elapsed", "samples", "scenes")}
    text = load_text_targets(data_folder / "text_embeddings.npz")
    facts = run_facts({**old, "config": settings}, text, ShardSet(data_folder / "val"))
    assert facts["image_hw"] == [112, 144] and facts["validation_scenes"] == 2
    assert facts["config"] == {key: settings[key] for key in facts["config"]} and facts["device"] == "cpu"


def test_the_log_means_finite_terms_and_forgets_what_a_killed_run_wrote_ahead(run_values, tmp_path):
    trainer = trainer_of(run_values("pan3d-mini"))
    log = RunLog(tmp_path)
    log.add({"total": 1.0, "norm": float("inf")})
    log.add({"total": 3.0, "norm": 5.0})
    trainer.step = 2
    log.flush(trainer.moment(), {"new": 1e-3}, {"bad_steps": 1, "corrupt_samples": 0})
    state = log.state()
    trainer.step = 4
    log.flush(trainer.moment(), {"new": 1e-3}, {})
    with log.path.open("a") as stream:
        stream.write('{"what": "tra')
    RunLog(tmp_path).restore(state, 2)
    (line,) = [json.loads(text) for text in Path(log.path).read_text().splitlines()]
    assert line["total"] == 2.0 and line["norm"] == 5.0 and line["bad_steps"] == 1 and "corrupt_samples" not in line


def test_what_two_networks_have_in_common_is_mixed_to_the_bit(run_values, tmp_path):
    Run(run_config(run_values("pan3d-mini", steps=1, out=str(tmp_path))), ALONE).go()
    state = read_state(tmp_path / "last.pt")
    frozen = torch.tensor([-0.0, 0.0, 1.0, -2.5])
    state["ema"]["frozen"] = frozen
    torch.save(state, tmp_path / "last.pt")
    mixed = mixed_state(read_state(tmp_path / "last.pt"), tmp_path / "last.pt", 0.3)["ema"]["frozen"]
    assert torch.equal(mixed, frozen) and torch.equal(torch.signbit(mixed), torch.signbit(frozen))
