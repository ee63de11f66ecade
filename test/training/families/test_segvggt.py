"""SegVGGT made one's own: what is kept of official and exported files, what is new, what is refused, and what is void."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from official_networks import OFFICIAL_TINY, official_segvggt
from safetensors.torch import save_file
from trainers import trainer_of

from pan3d_core.engines.segvggt import label_space
from pan3d_core.language.minilm import TextEncoder
from pan3d_core.models.losses import segvggt_losses
from pan3d_core.models.matching import segvggt_cost
from pan3d_core.models.vggt.segvggt import official_name
from training.families.segvggt import scene_instances
from training.families.segvggt_settings import SegVggtSettings
from training.families.starting.class_rows import adapted_rows
from training.families.starting.corrections import fit_corrections
from training.families.starting.segvggt import BIAS, WEIGHT, start_segvggt
from training.losses.void import heard, known_pixels


@pytest.fixture
def official(run_values, tmp_path):
    """Settings of a run that starts from an official file, and the file's tensors."""
    tensors = official_segvggt(tmp_path / "segvggt.pt")
    values = run_values("segvggt", model=OFFICIAL_TINY, start_from=str(tmp_path / "segvggt.pt"), sampling={"batch": 1})
    return values, tensors


def test_an_official_file_gives_everything_but_the_classes(official, caplog):
    values, tensors = official
    with caplog.at_level("INFO", "pan3d.training"):
        trainer = trainer_of(values)
    own = {official_name(name): value for name, value in trainer.model.state_dict().items()}
    assert own.keys() == tensors.keys()
    assert {name for name in own if not (own[name].shape == tensors[name].shape and torch.equal(own[name], tensors[name]))} == {
        WEIGHT, BIAS,
    }  # fmt: skip
    assert own[WEIGHT].shape == (3, 8) and torch.equal(own[WEIGHT][-1], tensors[WEIGHT][-1])  # "no match" stays
    torch.testing.assert_close(own[BIAS][0], tensors[BIAS][:-1].mean())
    assert "734 tensors kept" in caplog.text and "0 kept; 2 new (ball, block)" in caplog.text
    assert np.isfinite(trainer.train_step()["total"])


def test_without_corrections_those_of_the_file_are_merged_and_the_network_says_the_same(official):
    values, _ = official
    corrected = trainer_of(values)
    plain = trainer_of({**values, "model": {**values["model"], "lora_rank": 0}})
    assert not any(".lora." in name for name in plain.model.state_dict())
    images = torch.rand(1, 2, 3, 56, 70, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, answer = corrected.model.eval()(images), plain.model.eval()(images)
    torch.testing.assert_close(answer.mask_logits(), expected.mask_logits(), atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(answer.geometry.depth, expected.geometry.depth, atol=1e-4, rtol=1e-4)
    back = fit_corrections(plain.model.vggt.state_dict(), corrected.model.vggt.state_dict())
    assert back.keys() == corrected.model.vggt.state_dict().keys()


def test_a_checkpoint_keeps_the_classes_that_it_has_by_name(run_values, tmp_path, caplog):
    both = trainer_of(run_values("segvggt"))
    torch.save(both.state({}), tmp_path / "both.pt")
    one = {**run_values("segvggt", model={"classes": ["block"]}), "start_from": str(tmp_path / "both.pt")}
    with caplog.at_level("INFO", "pan3d.training"):
        trainer = trainer_of(one)
    assert "classes: 1 kept (block); 0 new" in caplog.text
    name = "semantic_head.scratch.output_instance.2.weight"
    before, after = (own.model.state_dict()[name] for own in (both, trainer))
    assert torch.equal(after, before[1:]) and trainer.family.architecture["classes"] == ["block"]
    assert np.isfinite(trainer.train_step()["total"])  # balls are void


def test_rows_of_classes():
    torch.manual_seed(0)
    names = label_space("scannetv2").names
    layer, fresh = (torch.randn(19, 8), torch.randn(19)), (torch.randn(4, 8), torch.randn(4))
    wanted = ("mug", "Chair", "shower_curtain")
    rows = adapted_rows(layer, names, fresh, wanted, "mean")
    assert rows.kept == ("Chair", "shower_curtain") and rows.new == ("mug",)
    assert torch.equal(rows.weight[1], layer[0][names.index("chair")]) and torch.equal(rows.bias[-1], layer[1][-1])
    torch.testing.assert_close(rows.weight[0], layer[0][:-1].mean(0))
    assert torch.equal(adapted_rows(layer, names, fresh, wanted, "random").weight[0], fresh[0][0])
    nobody = adapted_rows(layer, (), fresh, wanted, "mean")  # of unknown names only "no match" can be kept
    assert nobody.kept == () and torch.equal(nobody.weight[:3], fresh[0][:3]) and torch.equal(nobody.weight[3], layer[0][-1])


def test_new_classes_can_begin_near_those_of_like_names():
    names, wanted = ("chair", "toilet", "window"), ("armchair",)
    layer, fresh = (torch.eye(4, 3), torch.zeros(4)), (torch.zeros(2, 3), torch.zeros(2))
    shares = adapted_rows(layer, names, fresh, wanted, "text").weight[0]
    cosines = TextEncoder().encode(list(wanted)) @ TextEncoder().encode(list(names)).T
    torch.testing.assert_close(shares, torch.softmax(cosines[0] / 0.07, 0))
    assert shares.argmax() == 0 and shares[0] > 0.9


def test_weights_of_another_size_name_tensor_and_shapes(official, run_values):
    values, tensors = official
    wider = {**values, "model": {**values["model"], "queries": 12}}
    with pytest.raises(ValueError, match=r"aggregator.instance_query_token expected \(1, 12, 48\), got \(1, 10, 48\)"):
        trainer_of(wider)
    with pytest.raises(ValueError, match=r"output_instance.2.weight expected \(3, 9\), got \(19, 8\)"):
        trainer_of({**values, "model": {**values["model"], "class_hidden": 9}})


def test_a_class_list_that_does_not_fit_the_data_is_refused(run_values, tmp_path):
    with pytest.raises(ValueError, match="model.classes: expected some of ball, block as in the data, got 'blok'; did you mean"):
        trainer_of(run_values("segvggt", model={"classes": ["ball", "blok"]}))
    with pytest.raises(ValueError, match="model.classes: expected each name once"):
        trainer_of(run_values("segvggt", model={"classes": ["ball", "ball"]}))
    with pytest.raises(ValueError, match=r"model.num_classes: expected 2 as there are names \(ball, block\), got 5"):
        trainer_of(run_values("segvggt", model={"num_classes": 5}))
    with pytest.raises(ValueError, match="model.new_classes: expected mean, text or random, got 'zero'"):
        SegVggtSettings(new_classes="zero")
    with pytest.raises(ValueError, match="model.max_depth_m: expected more than 0"):
        SegVggtSettings(max_depth_m=0.0)


def test_a_foreign_file_is_refused(run_values, tmp_path):
    save_file({"some.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other.safetensors does not fit SegVGGT"):
        trainer_of(run_values("segvggt", start_from=str(tmp_path / "other.safetensors")))


def test_a_vggt_gives_its_part_and_the_rest_begins_fresh(official, tmp_path):
    values, tensors = official
    vggt = {
        name.replace(".linear.", "."): value.clone() for name, value in tensors.items()
        if "instance" not in name and not name.startswith("semantic_head.") and ".lora." not in name
    }  # fmt: skip
    save_file({**vggt, "track_head.x": torch.zeros(1)}, tmp_path / "vggt.safetensors")
    trainer = trainer_of({**values, "start_from": ""})
    kept = start_segvggt(trainer.model, trainer.family.settings, str(tmp_path / "vggt.safetensors"))
    assert kept.tensors == len(vggt) and not kept.notes and "aggregator.instance_query_token" in kept.fresh
    state = trainer.model.vggt.state_dict()
    for name in ("aggregator.global_blocks.5.attn.qkv.linear.weight", "camera_head.pose_branch.fc1.weight"):
        assert torch.equal(state[name], vggt[name.replace(".linear.", ".")])


def test_what_is_void_changes_no_loss(run_values):
    trainer = trainer_of(run_values("segvggt", model={"geometry": "none"}, sampling={"augment": False, "batch": 1}))
    family = trainer.family
    trainer.source.begin_step(0)
    batch = trainer.source.batch(0)
    kinds = batch.kinds.clone()
    kinds[0, 1] = -1  # nobody says what object 1 is
    sample = family.prepare(replace(batch, kinds=kinds), torch.Generator())
    assert bool(sample.truth.void.any()) and torch.equal(sample.truth.void, sample.truth.ids == 1)
    outputs = family.forward(trainer.model, sample, None)
    known = known_pixels(sample.truth.void[0], tuple(outputs.feature_map.shape[2:4]))
    terms = family.losses(outputs, sample, 0.0)
    # Whatever the network says there, the masks' losses stay: features of void pixels have no gradient.
    (gradient,) = torch.autograd.grad(terms["total"], outputs.feature_map)
    assert float(gradient[0][~known].abs().max()) == 0 and float(gradient[0][known].abs().max()) > 0


def test_where_nothing_is_known_no_query_is_told_anything(run_values):
    trainer = trainer_of(run_values("segvggt", model={"geometry": "none"}, sampling={"augment": False, "batch": 1}))
    trainer.source.begin_step(0)
    batch = trainer.source.batch(0)
    nothing = replace(batch, ids=torch.ones_like(batch.ids), kinds=torch.full_like(batch.kinds, -1))
    sample = trainer.family.prepare(nothing, torch.Generator())
    terms = trainer.family.losses(trainer.family.forward(trainer.model, sample, None), sample, 0.0)
    assert {name: float(value.detach()) for name, value in terms.items()} == dict.fromkeys(terms, 0.0)
    terms["total"].backward()


def test_queries_on_void_are_not_heard():
    known = torch.ones(1, 2, 4, dtype=torch.bool)
    known[..., 2:] = False
    on_void, beside, nowhere = (torch.full((1, 2, 4), -1.0) for _ in range(3))
    on_void[..., 1:], beside[..., :3] = 1.0, 1.0
    rows, logits = heard(torch.stack([on_void, beside, nowhere]), known)
    assert rows.tolist() == [1, 2] and logits.shape == (2, 4)
    assert heard(torch.stack([on_void, beside]), torch.ones_like(known))[0].tolist() == [0, 1]
    assert heard(torch.stack([on_void]), torch.zeros_like(known))[0].tolist() == []


def test_instances_of_a_scene_leave_void_out():
    ids = torch.tensor([[[0, 1, 2, 3]]]).repeat(1, 4, 1)
    targets, known = scene_instances(ids, torch.tensor([-1, 4, -1, 0]), (4, 4))
    assert targets.instance_id.tolist() == [1, 3] and targets.class_id.tolist() == [4, 0]
    assert known[0, 0].tolist() == [True, True, False, True] and targets.masks.shape == (2, 12)


def test_a_run_can_keep_vggt_alone_of_what_it_starts_from(official, caplog):
    values, tensors = official
    values = {**values, "model": {**values["model"], "keep_queries": False}}
    with caplog.at_level("INFO", "pan3d.training"):
        trainer = trainer_of(values)
    own = {official_name(name): value for name, value in trainer.model.state_dict().items()}
    same = {name for name in own if own[name].shape == tensors[name].shape and torch.equal(own[name], tensors[name])}
    inside = {official_name(name) for name in trainer.model.state_dict() if name.startswith("vggt.")}
    assert inside <= same and "aggregator.instance_query_token" not in same and WEIGHT not in same
    assert np.isfinite(trainer.train_step()["total"])


def test_a_frozen_vggt_stays_as_it_was(run_values):
    trainer = trainer_of(run_values("segvggt", model={"frozen": True, "geometry": "none"}))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train_step()
    changed = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not any(name.startswith("vggt.") for name in changed)
    with pytest.raises(
        ValueError, match="model.geometry: expected none beside model.frozen, where nothing of it is learnt, got truth"
    ):
        SegVggtSettings(frozen=True)


@pytest.mark.parametrize(("part", "place"), [("loss", segvggt_losses), ("cost", segvggt_cost)])
def test_where_a_query_looks_counts_in_the_loss_and_in_the_matching_or_not(run_values, part, place, monkeypatch):
    seen = []

    def watched(*given):
        seen.append(given[-1])
        return place(*given)

    monkeypatch.setattr(f"training.families.segvggt.{place.__name__}", watched)
    trainer = trainer_of(run_values("segvggt", model={part: {"frames": 0.0}}))
    assert np.isfinite(trainer.train_step()["total"]) and {weights.frames for weights in seen} == {0.0}
    assert part not in trainer.family.architecture and "query_layers" not in trainer.family.architecture


def test_queries_that_read_the_last_layers_learn_and_are_stored_so(run_values):
    trainer = trainer_of(run_values("segvggt", model={"query_layers": 1}))
    assert trainer.family.architecture["query_layers"] == 1 and len(trainer.model.query_decoder.cross_blocks) == 1
    assert np.isfinite(trainer.train_step()["total"])
