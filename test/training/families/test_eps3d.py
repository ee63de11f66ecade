"""EPS3D at its own size in training, here with a small one: what it starts from, what stays, what it is compared with."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from trainers import trainer_of

from pan3d_core.models.eps3d.network import Eps3d, official_name
from training.data.arrays import ShardSet
from training.data.targets.teachers import FileTeacher
from training.families import build_family, run_config
from training.families.eps3d import at_size


def official_file(model: Eps3d, path) -> None:
    save_file({official_name(name): value.clone().contiguous() for name, value in model.state_dict().items()}, path)


@pytest.mark.parametrize("panoptic", [False, True], ids=["AnySplat", "EPS3D"])
def test_official_weights_are_where_a_run_starts(run_values, tmp_path, panoptic):
    values = run_values("eps3d", sampling={"batch": 1})
    torch.manual_seed(7)
    other = build_family(run_config(values)).build()
    start = other if panoptic else Eps3d(other.vggt, other.gaussian_head)
    official_file(start, tmp_path / "model.safetensors")
    trainer = trainer_of({**values, "start_from": str(tmp_path / "model.safetensors")})
    for name, value in start.state_dict().items():
        assert torch.equal(trainer.model.state_dict()[name], value), name
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train_step()
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("vggt."), name


def test_foreign_weights_are_refused(run_values, tmp_path):
    save_file({"some.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other.safetensors does not fit Eps3d"):
        trainer_of(run_values("eps3d", start_from=str(tmp_path / "other.safetensors")))


def test_views_outside_the_context_are_rendered_too(run_values):
    trainer = trainer_of(run_values("eps3d", model={"context_views": [2, 2]}, sampling={"batch": 1}))
    batch = ShardSet(trainer.config.data / "val").batch(np.array([0]), [np.arange(4)])
    sample = trainer.family.prepare(batch, torch.Generator().manual_seed(0))
    assert sample.context == 2 and sample.truth.images.shape == (1, 4, 3, 56, 70)
    assert sample.truth.teacher.ids.shape == (1, 4, 56, 70)
    found = trainer.family.forward(trainer.model, sample, None)
    assert found.cam_from_world.shape == (1, 4, 4, 4) and len(found.output.gaussians) == 1
    terms = trainer.family.losses(found, sample, 0.0)
    assert set(terms) == {"color", "semantics", "instances", "ins2sem", "total"} and bool(torch.isfinite(terms["total"]))
    figures = trainer.family.evaluate(trainer.model, 1)
    assert figures[0]["scenes"] == 1 and np.isfinite(figures[0]["novel_semantic_miou"])
    assert trainer.family.pictures(trainer.model, 1)["scene 0"].dtype == np.uint8


def test_a_folder_of_maps_can_teach_and_widths_must_agree(run_values, tmp_path):
    values = run_values("eps3d", model={"teacher": str(tmp_path / "maps"), "context_views": [2, 2]}, sampling={"batch": 1})
    trainer = trainer_of(values)
    batch = ShardSet(trainer.config.data / "val").batch(np.array([0]), [np.arange(4)])
    teacher = FileTeacher(tmp_path / "maps")
    for width in (16, 8):
        for image in batch.images.flatten(0, 1):
            teacher.write(image, torch.ones(image.shape[1:], dtype=torch.long), torch.full((width, 14, 18), 0.5))
        if width == 16:
            sample = trainer.family.prepare(batch, torch.Generator().manual_seed(0))
            assert sample.truth.teacher.features.shape == (1, 4, 16, 14, 18)
    with pytest.raises(ValueError, match="model.text_channels: expected 8 as the teacher's features, got 16"):
        trainer.family.prepare(batch, torch.Generator().manual_seed(0))


def test_features_of_another_size_are_picked_not_mixed():
    features = torch.zeros(3, 2, 2)
    features[:, 0, 0] = 1.0
    assert set(at_size(features, (5, 7)).unique().tolist()) == {0.0, 1.0}


def test_sem2ins_can_be_left_out(run_values):
    trainer = trainer_of(run_values("eps3d", model={"sem2ins": False}))
    features = torch.randn(4, 32)
    assert torch.equal(trainer.model.sem2ins(features, torch.randn(4, 32)), features)
    assert not any(p.requires_grad for p in trainer.model.sem2ins.parameters())


def test_wrong_settings_are_named(run_values):
    with pytest.raises(ValueError, match="model.height: expected a multiple of 14, got 60"):
        trainer_of(run_values("eps3d", model={"height": 60}))
    with pytest.raises(ValueError, match="model.context_views: expected fewest and most views"):
        trainer_of(run_values("eps3d", model={"context_views": [4, 2]}))
