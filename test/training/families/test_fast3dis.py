"""FAST3DIS in training: what learns and what stays, what a run starts from, what it is told of cameras and of its progress."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from trainers import ALONE, trainer_of

from pan3d_core.models.da3.network import DA3_VARIANTS, AnyViewDa3
from pan3d_core.models.fast3dis.files import load_fast3dis
from training.data.arrays import ShardSet
from training.export.exporters import export_run
from training.export.request import ExportRequest
from training.families import build_family, run_config
from training.families.fast3dis import known_cameras, one_scene, scene_truth
from training.families.fast3dis_settings import Fast3disFamilySettings
from training.losses.fast3dis import scene_losses
from training.train import Run


def official_file(values: dict, path) -> AnyViewDa3:
    """Random weights of the run's base as an official file would hold them; the model that they are from. Its cameras stand near
    each other and look ahead with an angle of view of about a radian, so that anchors are seen."""
    torch.manual_seed(5)
    base = AnyViewDa3(Fast3disFamilySettings.from_dict(values["model"]).network.base).eval()
    with torch.no_grad():
        base.backbone.pretrained.cls_token.normal_()
        for layer, bias in ((base.cam_dec.fc_t, 0.0), (base.cam_dec.fc_qvec, 0.0), (base.cam_dec.fc_fov[0], 1.0)):
            layer.weight.mul_(0.1)
            layer.bias.fill_(bias)
        base.cam_dec.fc_qvec.bias[3] = 1.0  # the real part
    save_file({f"model.{name}": value.clone() for name, value in base.state_dict().items()}, path)
    return base


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "left", "ap50"), [(50, 0.6, 0.0), (200, 0.1, 0.9)], ids=["begun", "by heart"])
def test_one_scene_is_learnt(run_values, tmp_path, steps, left, ap50):
    values = run_values(
        "fast3dis", steps=steps, start_from=str(tmp_path / "model.safetensors"), sampling={"augment": False, "batch": 1},
        schedule={"warmup_steps": 10}, optimizer={
            "learning_rate": 4e-3, "lora_learning_rate": 4e-3, "clip_norm": 5.0, "average_first": 0.5, "average_last": 0.8,
        },
    )  # fmt: skip
    official_file(values, tmp_path / "model.safetensors")
    trainer = trainer_of(values)
    scene = ShardSet(Path(values["data"]) / "val").batch(np.array([0]), [np.arange(4)])
    trainer.source.batch = lambda part: scene
    history = [trainer.train_step()["total"] for _ in range(steps)]
    assert history[-1] < left * history[0]
    posed, unposed = trainer.family.evaluate(trainer.measured_model(), 1)
    assert posed["posed"] and not unposed["posed"] and posed["objects"] == unposed["objects"] == 3
    assert min(posed["ap50"], unposed["ap50"]) >= ap50


def test_only_low_rank_corrections_and_new_parts_learn(run_values, tmp_path):
    start = tmp_path / "model.safetensors"
    values = run_values("fast3dis", start_from=str(start), schedule={"kind": "constant", "warmup_steps": 0})
    official_file(values, start)
    trainer = trainer_of(values)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    for _ in range(2):  # the first factor of a correction moves when the second one has
        trainer.train_step()
    assert trainer.learning_rates() == {"new": 1e-4, "lora": 5e-5}
    assert {group.weight_decay for group in trainer.groups} == {0.05, 0.0}
    learns = {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert learns == {name for name, _ in trainer.model.named_parameters() if ".lora." in name or not name.startswith("da3.")}
    assert {id(p) for p in trainer.trained} == {id(p) for p in trainer.model.parameters() if p.requires_grad}
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == learns
    assert all(p.grad is None for p in trainer.model.parameters() if not p.requires_grad)


def test_a_run_starts_from_official_weights_with_its_corrections_at_zero(run_values, tmp_path):
    values = run_values("fast3dis", start_from=str(tmp_path / "model.safetensors"))
    base = official_file(values, tmp_path / "model.safetensors")
    trainer = trainer_of(values)
    images = torch.rand(1, 3, 3, 56, 70, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, answer = base(images), trainer.model.eval()(images)
    torch.testing.assert_close(answer.geometry.depth, expected.depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(answer.geometry.cam_from_world, expected.cam_from_world, atol=1e-5, rtol=1e-5)
    assert all(not layer.lora.lora_B.weight.any() for layer in trainer.model.lora_layers())
    assert any(p.requires_grad for p in trainer.model.da3.parameters())
    trainer.train_step()
    for name, value in base.state_dict().items():
        own = trainer.model.da3.state_dict()
        assert torch.equal(own[name if name in own else name.replace(".attn.qkv.", ".attn.qkv.linear.").replace(
            ".attn.proj.", ".attn.proj.linear.")], value)  # fmt: skip


@pytest.mark.slow
def test_an_exported_file_answers_as_the_averaged_weights_and_can_be_started_from(run_values, tmp_path):
    start, out = tmp_path / "model.safetensors", tmp_path / "export" / "tiny.safetensors"
    values = run_values("fast3dis", steps=2, start_from=str(start), record={"evaluate_scenes": 0})
    official_file(values, start)
    run = Run(run_config(values), ALONE)
    run.go()
    export_run(ExportRequest(run.config.out, (), run.config.data, out, scenes=1))

    loaded, facts = load_fast3dis(out)
    images = torch.rand(1, 3, 3, 56, 70, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, answer = run.trainer.averaged.module.eval()(images), loaded(images)
    torch.testing.assert_close(answer.mask_logits(), expected.mask_logits(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(answer.geometry.depth, expected.geometry.depth, atol=1e-5, rtol=1e-5)
    averaged = run.trainer.averaged.module.state_dict()
    assert all(torch.equal(value, averaged[name]) for name, value in loaded.state_dict().items())
    assert facts["steps"] == 2 and facts["start_from"] == "model.safetensors" and facts["loss"]["bce"] == 5.0
    assert [case["posed"] for case in facts["figures"]] == [True, False]
    card = out.with_suffix(".md").read_text()
    assert "| size in training | 70 x 56 pixels" in card and "| given | 1 | 3 |" in card and "{" not in card

    second = trainer_of({**values, "start_from": str(out)})
    assert all(torch.equal(value, second.model.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert second.model.decoder.content.requires_grad and not second.model.da3.cam_enc.token_norm.weight.requires_grad
    with pytest.raises(ValueError, match="start_from: expected a network with model.lora_alpha 8.0, got .* with 16.0"):
        trainer_of({**values, "model": {**values["model"], "lora_alpha": 8}, "start_from": str(out)})


def test_families_without_a_file_format_are_not_exported(run_values, tmp_path):
    trainer = trainer_of(run_values("segvggt"))
    torch.save({**trainer.state({}), "family": "segments"}, trainer.config.out / "last.pt")
    with pytest.raises(ValueError, match="run: expected a run of pan3d-mini, .*, got one of segments"):
        export_run(ExportRequest(trainer.config.out, (), trainer.config.data, tmp_path / "x.safetensors", scenes=1))


def test_half_precision_of_the_backbone_learns_too(run_values):
    trainer = trainer_of(run_values("fast3dis", execution={"precision": "bfloat16"}))
    assert all(np.isfinite(trainer.train_step()["total"]) for _ in range(2))
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}


def test_files_that_do_not_fit_are_refused_with_the_reason(run_values, tmp_path):
    values = run_values("fast3dis")
    first = trainer_of(values)
    torch.save(first.state({}), tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"start_from: expected a network with model.lora_rank 2, got .*run.pt with 4"):
        trainer_of({**values, "model": {**values["model"], "lora_rank": 2}, "start_from": str(tmp_path / "run.pt")})
    # Height and width are not the network's: a run at another size may start from there.
    trainer_of({**values, "model": {**values["model"], "height": 42}, "start_from": str(tmp_path / "run.pt")})

    save_file({"something.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="start_from: expected official weights of Depth Anything 3.* looks like another model"):
        trainer_of({**values, "start_from": str(tmp_path / "other.safetensors")})

    base = Fast3disFamilySettings.from_dict(values["model"]).network.base
    smaller = AnyViewDa3(replace(base, backbone=replace(base.backbone, dim=32, num_heads=2)))
    save_file({name: value.clone() for name, value in smaller.state_dict().items()}, tmp_path / "smaller.safetensors")
    with pytest.raises(ValueError, match=r"smaller.safetensors does not fit AnyViewDa3\n.* of another shape"):
        trainer_of({**values, "start_from": str(tmp_path / "smaller.safetensors")})


def test_a_published_member_of_another_size_is_named(run_values, tmp_path):
    with torch.device("meta"):
        names = AnyViewDa3(DA3_VARIANTS["da3-small"]).state_dict()
    tensors = {name: torch.zeros(1).expand(value.shape) for name, value in names.items()}
    torch.save(tensors, tmp_path / "small.pt")  # expanded zeros take no space
    with pytest.raises(ValueError, match="expected weights of model.base=a network of its own size, .* looks like da3-small"):
        trainer_of(run_values("fast3dis", start_from=str(tmp_path / "small.pt")))


def test_a_share_of_the_batches_is_told_its_cameras(run_values):
    batch = ShardSet(Path(run_values("fast3dis")["data"]) / "train").batch(np.array([0, 1]), [np.arange(4)] * 2)

    def samples(share: float, *, augment: bool) -> list:
        values = run_values("fast3dis", model={"posed_share": share}, sampling={"augment": augment})
        family = build_family(run_config(values))
        return [family.prepare(batch, torch.Generator().manual_seed(seed)) for seed in range(20)]

    assert all(sample.cameras is None for sample in samples(0.0, augment=False))
    told = [sample.cameras is not None for sample in samples(0.5, augment=True)]
    assert 4 < sum(told) < 16
    for sample in samples(1.0, augment=False):
        cam_from_first, intrinsics = sample.cameras
        torch.testing.assert_close(cam_from_first[:, 0], torch.eye(4).expand(2, 4, 4), atol=1e-5, rtol=0)
        assert torch.equal(intrinsics, sample.truth.intrinsics) and sample.images.shape[-2:] == (56, 70)
        torch.testing.assert_close(cam_from_first, known_cameras(batch)[0])
    disturbed = [sample.cameras[0] - known_cameras(sample.truth)[0] for sample in samples(1.0, augment=True)]
    assert 1e-4 < max(float(d.abs().max()) for d in disturbed) < 0.2  # calibration is never exact


def test_the_objective_is_the_mean_over_scenes_at_the_progress_of_the_run(run_values):
    trainer = trainer_of(run_values("fast3dis", sampling={"augment": False}))
    family = trainer.family
    trainer.source.begin_step(0)
    sample = family.prepare(trainer.source.batch(0), torch.Generator().manual_seed(0))
    outputs = family.forward(trainer.model, sample, None)
    weights = replace(family.settings.loss, contrast=0.0)  # whose sample is drawn at random
    family.settings = replace(family.settings, loss=weights)
    mask_hw = tuple(outputs.mask_features.shape[-2:])
    for progress in (0.0, 0.6):
        terms = family.losses(outputs, sample, progress)
        single = [
            scene_losses(outputs, b, scene_truth(ids, mask_hw), progress, weights) for b, ids in enumerate(sample.truth.ids)
        ]
        torch.testing.assert_close(terms["total"], torch.stack([own["total"] for own in single]).mean())
    early, late = (family.losses(outputs, sample, progress) for progress in (0.0, 0.6))
    assert float((late["total"] - early["total"]).detach()) == pytest.approx(0.99 * float(early["overlap"].detach()), rel=1e-2)
    for b in range(2):
        torch.testing.assert_close(one_scene(outputs, b).mask_logits(layer=0)[0], outputs.mask_logits(layer=0)[b])


def test_the_loop_hands_its_progress_to_the_losses(run_values, monkeypatch):
    trainer = trainer_of(run_values("fast3dis", steps=4))
    seen, own = [], trainer.family.losses
    monkeypatch.setattr(trainer.family, "losses", lambda *a: seen.append(a[2]) or own(*a))
    for _ in range(3):
        trainer.train_step()
    assert seen == [0.0, 0.25, 0.5]


def test_settings_are_read_strictly():
    settings = Fast3disFamilySettings.from_dict(
        {"base": "da3-large", "decoder": {"layers": 6, "first_low": [-2, -2, 0.1]}, "loss": {"bce": 20, "overlap_peak": 0.0}}
    )
    assert settings.network.base == DA3_VARIANTS["da3-large"] and settings.decoder.queries == 300
    assert settings.decoder.first_low == (-2.0, -2.0, 0.1) and settings.loss.bce == 20.0
    assert Fast3disFamilySettings.from_dict(settings.architecture()).network == settings.network
    assert Fast3disFamilySettings.from_dict(settings.to_dict()) == settings
    shown = run_config({"family": "fast3dis", "data": "d", "out": "o", "model": {"loss": {"bce": 20}}}).to_dict()["model"]
    assert shown["loss"]["bce"] == 20 and shown["loss"]["dice"] == 5.0 and shown["decoder"]["queries"] == 300
    for wrong, message in [
        (
            {"base": "da3-metric-large"},
            "da3-base, da3-large, da3-giant, map-anything-apache, map-anything or sizes",
        ),
        ({"base": {"backbone": {"width": 3}}}, "model.base.backbone.width: expected one of dim"),
        ({"height": 100}, "model.height: expected a multiple of 14, got 100"),
        ({"decoder": {"layers": 2.5}}, "model.decoder.layers: expected int, got 2.5"),
        ({"decoder": {"start": "seeds"}}, "model.decoder.start: expected learned"),
        ({"decoder": {"first_low": [0, 0]}}, "model.decoder.first_low: expected 3 values"),
        ({"loss": {"focal": 1.0}}, "model.loss.focal: expected one of objectness"),
        ({"loss": 3}, "model.loss: expected names with values, got 3"),
        ({"loss": {"temperature": 0.0}}, "temperature: expected more than 0"),
        ({"posed_share": 1.5}, "model.posed_share: expected 0 to 1"),
        ({"lora_rank": 0}, "model.lora_rank: expected 1 or more"),
        ({"colour": 1}, "model.colour: expected one of base"),
    ]:
        with pytest.raises(ValueError, match=message):
            Fast3disFamilySettings.from_dict(wrong)
