"""FAST3DIS's anchors on MapAnything in training: what it starts from, what learns, what an exported file does in the engine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from raycast_scene import TABLE_SCENE, camera_ring, cast
from safetensors.torch import save_file
from trainers import ALONE, trainer_of

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_core.engines.table import build_graph
from pan3d_core.models.fast3dis.files import load_fast3dis
from pan3d_core.models.mapanything import (
    MapAnything,
    MapAnythingSizes,
    cameras_of_output,
    known_of_scenes,
    z_depth_of_output,
)
from pan3d_core.views.preprocessing import preprocess
from training.data.arrays import ShardSet
from training.export.exporters import export_run
from training.export.request import ExportRequest
from training.families import run_config
from training.families.fast3dis import known_cameras
from training.families.fast3dis_settings import Fast3disFamilySettings
from training.train import Run

BASE = {
    "dim": 64, "encoder_depth": 2, "encoder_heads": 1, "native_grid": 5, "shared_dim": 64, "depth": 4, "heads": 1, "taps": [1, 2],
    "channels": [8, 8, 8, 8], "features": 8, "map_widths": [12, 16], "number_widths": [8, 12],
}  # fmt: skip


@pytest.fixture
def values(run_values, tmp_path):
    """Settings of a tiny run from an official file, whose network looks ahead and sees surfaces."""
    made = run_values("fast3dis", start_from=str(tmp_path / "map.safetensors"))
    made["model"] = {**made["model"], "base": {"map_anything": BASE}}
    save_file({name: value.clone() for name, value in official().state_dict().items()}, tmp_path / "map.safetensors")
    return made


def official() -> MapAnything:
    torch.manual_seed(5)
    base = MapAnything(Fast3disFamilySettings.from_dict({"base": {"map_anything": BASE}}).network.base).eval()
    torch.nn.init.constant_(base.dense_head[1].conv2[2].bias, 2.0)
    return base


def two_scenes(values):
    return ShardSet(Path(values["data"]) / "val").batch(np.array([0, 1]), [np.arange(3)] * 2)


@torch.no_grad()
def test_geometry_stays_that_of_the_official_weights_whatever_anchors_learn(values):
    trainer = trainer_of(values)
    for layer in trainer.model.lora_layers():
        layer.lora.lora_B.weight.normal_(std=0.1)
    batch = trainer.family.data.drawn(two_scenes(values))
    cameras = known_cameras(batch, metric=True)
    hw = (batch.images.shape[-2], batch.images.shape[-1])
    base = official()
    for told, depth in ((None, None), (cameras, None), (cameras, batch.depth)):
        found = trainer.model.eval()(batch.images, cameras=told, **({} if depth is None else {"depth": depth}))
        known = known_of_scenes(hw, None, None, None) if told is None else known_of_scenes(hw, told[1], told[0], depth)
        expected = base(batch.images, known)
        torch.testing.assert_close(found.geometry.depth, z_depth_of_output(expected), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.geometry.cam_from_world, cameras_of_output(expected)[0], atol=1e-5, rtol=1e-4)
        assert found.mask_logits().shape == (2, 8, 3, 16, 20) and found.class_logits.shape == (2, 8, 2)
        assert len(found.layers) == 3 and bool(torch.isfinite(found.mask_logits()).all())


def test_gradients_reach_anchors_and_corrections_and_nothing_that_is_frozen(values):
    trainer = trainer_of({**values, "model": {**values["model"], "posed_share": 1.0}})
    for layer in trainer.model.lora_layers():
        layer.lora.lora_B.weight.data.normal_(std=0.1)
    sample = trainer.family.prepare(two_scenes(values), torch.Generator().manual_seed(0))
    outputs = trainer.family.forward(trainer.model, sample, None)
    trainer.family.losses(outputs, sample, 0.5)["total"].backward()
    told = {name for name, parameter in trainer.model.named_parameters() if parameter.grad is not None and parameter.grad.any()}
    assert {"decoder.anchors", "decoder.content", "pixels.inject.weight"} <= told
    # What a last shared block adds to the scale's token is of geometry alone; its correction is told by what it adds to patches.
    assert {f"map_anything.info_sharing.self_attention_blocks.{block}.attn.qkv.lora.lora_A.weight" for block in range(4)} <= told
    assert not [name for name in told if name.startswith("map_anything.") and ".lora." not in name]


def test_shares_of_the_batches_are_told_cameras_in_metres_and_depth(values):
    shares = {"posed_share": 0.5, "measured_share": 0.5}
    family = trainer_of(
        {**values, "model": {**values["model"], **shares}, "sampling": {**values["sampling"], "augment": False}}
    ).family
    generator = torch.Generator().manual_seed(0)
    batch = two_scenes(values)
    samples = [family.prepare(batch, generator) for _ in range(40)]
    posed = [sample for sample in samples if sample.cameras is not None]
    measured = [sample for sample in samples if sample.depth is not None]
    assert 10 <= len(posed) <= 30 and 4 <= len(measured) < len(posed) and all(sample.cameras is not None for sample in measured)
    torch.testing.assert_close(posed[0].cameras[0], batch.cam_from_world)  # nothing is scaled
    torch.testing.assert_close(measured[0].depth, measured[0].truth.depth)


def test_a_run_is_exported_measured_started_from_and_answers_in_metres_in_the_engine(values, tmp_path, caplog):
    out = tmp_path / "export" / "tiny.safetensors"
    values = {**values, "steps": 2, "record": {**values["record"], "evaluate_scenes": 1}}
    run = Run(run_config(values), ALONE)
    run.go()
    export_run(ExportRequest(run.config.out, (), run.config.data, out, scenes=1))
    loaded, facts = load_fast3dis(out)
    averaged = run.trainer.averaged.module.state_dict()
    assert all(torch.equal(value, averaged[name]) for name, value in loaded.state_dict().items())
    assert facts["metric"] and facts["measured_share"] == 0.5 and [case["posed"] for case in facts["figures"]] == [True, False]
    card = out.with_suffix(".md").read_text()
    assert "frozen MapAnything" in card and "depth and cameras in metres" in card and "that of the weights it began with" in card
    trainer_of({**values, "start_from": str(out)})
    with pytest.raises(ValueError, match="start_from: expected a network with model.lora_alpha 8.0, got .* with 16.0"):
        trainer_of({**values, "model": {**values["model"], "lora_alpha": 8}, "start_from": str(out)})

    with caplog.at_level("INFO", "pan3d.engines"):
        engine = build_engine(ModelConfig(name="fast3dis", weights=str(out), device="cpu", min_score=0.0, nms_iou=1.0))
    assert "licence of these weights: that of the weights it began with. Weights of MapAnything are not part" in caplog.text
    small, cell = replace(engine.facts.preprocess, height=70, width=70), cast(TABLE_SCENE, camera_ring(3))
    for changes in ({}, {"depth": None}, {"depth": None, "cam_from_world": None}, {"intrinsics": None}):
        views = preprocess([replace(view, **changes) for view in cell.views], small)
        reconstruction, instances = engine(views)
        assert reconstruction.is_metric and reconstruction.depth.shape == (3, 56, 70) and 0 < len(instances.scores) <= 8
    with pytest.raises(ValueError, match="export: fast3dis on MapAnything runs in torch alone"):
        build_graph(ModelConfig(name="fast3dis", weights=str(out), device="cpu"))


def test_other_files_are_refused_by_what_differs(values, tmp_path):
    other = {**values["model"], "base": {"map_anything": {**BASE, "depth": 6}}}
    with pytest.raises(ValueError, match=r"start_from: expected weights of model.base.map_anything.depth=6, got .* with 4"):
        trainer_of({**values, "model": other})
    small = MapAnythingSizes(**{name: tuple(v) if isinstance(v, list) else v for name, v in BASE.items()})
    weights = {name: value.clone() for name, value in MapAnything(small).state_dict().items()}
    del weights["scale_head.output_proj.weight"]
    save_file(weights, tmp_path / "missing.safetensors")
    with pytest.raises(ValueError, match="1 missing: scale_head.output_proj.weight"):
        trainer_of({**values, "start_from": str(tmp_path / "missing.safetensors")})
    on_da3 = {**values["model"], "base": {"backbone": {"dim": 48, "depth": 6, "num_heads": 3, "taps": [2, 3, 4, 5]}}}
    with pytest.raises(ValueError, match="expected official weights of Depth Anything 3, .* which looks like MapAnything"):
        trainer_of({**values, "model": on_da3})
    with pytest.raises(ValueError, match="model.lora_blocks: expected cross_view with a base of MapAnything, got all"):
        Fast3disFamilySettings.from_dict({"base": "map-anything-apache", "lora_blocks": "all"})
    with pytest.raises(ValueError, match="model.base: expected nothing beside map_anything but licence, got head"):
        Fast3disFamilySettings.from_dict({"base": {"map_anything": {}, "head": {}}})
    assert Fast3disFamilySettings(base="map-anything-apache").licence == "Apache-2.0"
    assert Fast3disFamilySettings(base="map-anything").licence == "CC-BY-NC-4.0"
    assert Fast3disFamilySettings(base={"map_anything": BASE, "licence": "Apache-2.0"}).licence == "Apache-2.0"
