"""The engine of official EPS3D checkpoints with a small network."""

import pytest
import torch

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines import eps3d as eps3d_engine
from pan3d_core.engines.eps3d import Eps3dEngine, text_space_of
from pan3d_core.engines.facts import EngineFacts
from pan3d_core.models.eps3d.cameras import counted_from_centers, novel_cameras
from pan3d_core.views.preprocessing import preprocess


@pytest.fixture
def official(procedural):
    model = procedural.fill(procedural.tiny_eps3d(), str).eval()
    space = text_space_of(model)
    facts = EngineFacts(PreprocessConfig(height=56, width=70), text_space=space)
    return Eps3dEngine(model, space, facts, min_score=0.0, max_instances=5, readout="cells")


def test_an_official_network_gives_gaussians_and_objects_without_names(official, cell):
    views = preprocess(cell.views[:2], official.facts.preprocess)
    reconstruction, instances = official(views)
    gaussians = reconstruction.gaussians
    assert len(gaussians) > 0 and gaussians.semantic_features.shape[1] == gaussians.instance_features.shape[1] == 32
    assert not reconstruction.is_metric and reconstruction.depth.shape == (2, 56, 70)
    assert instances.class_logits is None and len(instances.labels) == 0 and len(instances.scores) <= 5
    space = official.facts.text_space
    assert space.encoder == "lseg" and space.temperature == pytest.approx(0.07)
    assert instances.text_embeddings.shape[1] == len(space.bias)
    again = official(views)[1]
    assert torch.equal(again.mask_logits, instances.mask_logits)  # sampling is seeded


def test_pixels_counted_from_the_corner():
    corner = torch.tensor([[[50.0, 0.0, 35.0], [0.0, 50.0, 28.0], [0.0, 0.0, 1.0]]])
    assert counted_from_centers(corner)[0, :2, 2].tolist() == [34.5, 27.5]  # the middle of 70 x 56 pixels


def test_an_official_engine_needs_its_file_and_says_whose_terms_hold(tmp_path, procedural, monkeypatch, caplog):
    with pytest.raises(ValueError, match="ModelConfig.weights: expected the path of an official EPS3D checkpoint.*licences"):
        eps3d_engine.build(ModelConfig(name="eps3d"))
    monkeypatch.setattr(eps3d_engine, "load_eps3d", lambda path: procedural.tiny_eps3d())
    engine = eps3d_engine.build(ModelConfig(name="eps3d", weights="some.safetensors", device="cpu", readout="pixels"))
    assert engine.readout == "pixels" and "AnySplat" in caplog.text
    assert engine.facts.text_space is engine.text_space and engine.facts.device == "cpu"


def test_novel_cameras_have_the_unit_of_the_context(procedural):
    vggt = procedural.fill(procedural.tiny_eps3d(), str).vggt.eval()
    images = torch.rand(1, 4, 3, 56, 70, generator=torch.Generator().manual_seed(0))
    joint, intrinsics = vggt(images).cameras()
    context = joint[:, :2].clone()
    context[..., :3, 3] *= 3.0
    novel, lenses = novel_cameras(vggt, images, context)
    torch.testing.assert_close(novel[..., :3, 3], 3.0 * joint[:, 2:, :3, 3], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(novel[..., :3, :3], joint[:, 2:, :3, :3])
    torch.testing.assert_close(lenses, intrinsics[:, 2:])
    alone = torch.eye(4)[None, None]
    torch.testing.assert_close(novel_cameras(vggt, images, alone)[0][..., :3, 3], joint[:, 1:, :3, 3])
