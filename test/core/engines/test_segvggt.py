"""The engine around SegVGGT: what comes out, and what it says about unsuitable checkpoints."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine, segvggt
from pan3d_core.models.vggt.segvggt import official_name
from pan3d_core.structures import ViewBatch

ACCEPT_ALL = {"min_score": 0.0, "nms_iou": 1.0}


@pytest.fixture()
def checkpoint(tmp_path, monkeypatch, procedural):
    """A small member with the class count of ScanNet, stored as the official files are."""
    monkeypatch.setattr(segvggt, "segvggt_1b", procedural.tiny_segvggt)
    reference = procedural.fill(procedural.tiny_segvggt(18), official_name)
    state = {official_name(name): value for name, value in reference.state_dict().items()}
    torch.save({"model": state}, tmp_path / "segvggt.pt")
    return tmp_path / "segvggt.pt", state


@pytest.fixture()
def views(procedural):
    return ViewBatch(
        images=torch.from_numpy(procedural.uniform("image/segvggt_s2_56x70", (2, 3, 56, 70))).float(),
        intrinsics=None,
        cam_from_world=None,
        depth=None,
        stamps_ns=(0, 1),
        cameras=("left", "right"),
        original_hw=((56, 70), (56, 70)),
        network_from_original=torch.eye(3).expand(2, 3, 3),
    )


def config_for(path, **settings):
    return ModelConfig(name="segvggt", weights=str(path), device="cpu", **settings)


def test_views_to_geometry_and_instances(checkpoint, views, procedural):
    engine = build_engine(config_for(checkpoint[0], **ACCEPT_ALL))
    engine = replace(engine, thresholds=replace(engine.thresholds, min_pixels=0))
    assert len(engine.facts.labels) == 18 and engine.facts.labels.names[2] == "chair"
    assert not engine.facts.needs_depth
    reconstruction, instances = engine(views)
    assert not reconstruction.is_metric
    case = procedural.load_case("segvggt/tiny_s2_56x70.npz")
    torch.testing.assert_close(reconstruction.depth, case["depth"][0, ..., 0], atol=5e-5, rtol=1e-4)
    assert reconstruction.cam_from_world.shape == (2, 4, 4)
    assert reconstruction.world_points.shape == (2, 56, 70, 3)
    assert instances.mask_logits.shape[1:] == (2, 28, 35)
    assert len(instances.scores) == len(instances.class_logits) == len(instances.mask_logits) > 0
    assert instances.class_logits.shape[1] == 19
    assert ((instances.scores > 0) & (instances.scores <= 1)).all()
    assert (instances.scores.diff() <= 0).all()


def test_settings_limit_the_instances(checkpoint, views):
    engine = build_engine(config_for(checkpoint[0], max_instances=2, **ACCEPT_ALL))
    assert len(replace(engine, thresholds=replace(engine.thresholds, min_pixels=0))(views)[1].scores) == 2
    assert len(build_engine(config_for(checkpoint[0], min_score=1.0))(views)[1].scores) == 0


def test_bfloat16_is_an_option(checkpoint, views):
    engine = build_engine(config_for(checkpoint[0], precision="bfloat16"))
    assert engine(views)[0].depth.dtype == torch.float32


def test_licence_is_pointed_out(checkpoint, caplog):
    build_engine(config_for(checkpoint[0]))
    assert "licence" in caplog.text
    with pytest.raises(ValueError, match="ModelConfig.weights: expected the path of an official SegVGGT checkpoint.*licence"):
        build_engine(config_for(""))


def test_unsuitable_checkpoints(checkpoint, tmp_path):
    path, state = checkpoint
    with pytest.raises(FileNotFoundError, match="does not exist"):
        build_engine(config_for(tmp_path / "none.pt"))
    other = {name: value for name, value in state.items() if not name.startswith(("semantic_head", "aggregator.instance"))}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="does not fit SegVGGT"):
        build_engine(config_for(tmp_path / "other.safetensors"))
    odd = {**state, segvggt.CLASS_BIAS: torch.zeros(7)}
    save_file(odd, tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match="expected 19 or 199 class outputs, got 7"):
        build_engine(config_for(tmp_path / "odd.safetensors"))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match="cut short"):
        build_engine(config_for(path))


def test_device_names():
    with pytest.raises(ValueError, match="ModelConfig.device: expected auto"):
        build_engine(ModelConfig(name="segvggt", device="gpu please"))
    with pytest.raises(ValueError, match="ModelConfig.device: expected one of .* CUDA devices"):
        build_engine(ModelConfig(name="segvggt", device="cuda:99"))


@pytest.mark.parametrize(("label_set", "count"), [("scannetv2", 18), ("scannet200", 198)])
def test_label_sets(label_set, count):
    labels = segvggt.label_space(label_set)
    assert len(labels) == count
    assert not {"wall", "floor"} & set(labels.names)
