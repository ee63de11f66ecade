"""pan3d-mini-eps3d in training: what it renders and learns from, what stays, what an export holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from raycast_scene import TABLE_SCENE, cast
from safetensors.torch import save_file
from trainers import ALONE, trainer_of

from pan3d_core.config import ModelConfig
from pan3d_core.engines.eps3d_mini import build
from pan3d_core.engines.mini import DEFAULT_WEIGHTS, EPS3D, FORMATS, NAMES_PREFIX, read_checkpoint
from pan3d_core.views.preprocessing import preprocess
from training.data.arrays import ShardSet
from training.data.targets.teachers import STUFF
from training.export.eps3d_mini import with_and_without
from training.export.exporters import export_run
from training.export.request import ExportRequest
from training.families import run_config
from training.judge.gaussians import CONTEXT_VIEWS, show_scene
from training.losses.eps3d_mini import eps3d_mini_losses, target_cameras
from training.run.loop import Trainer
from training.train import Run


def sample_of(trainer: Trainer, **changes):
    batch = ShardSet(trainer.config.data / "val").batch(np.array([0]), [np.arange(4)])
    return trainer.family.prepare(batch, torch.Generator().manual_seed(0))


@pytest.mark.slow
def test_one_scene_is_learnt(run_values):
    trainer = trainer_of(run_values(
        EPS3D, steps=150, sampling={"augment": False, "batch": 1}, schedule={"warmup_steps": 10},
        optimizer={"learning_rate": 5e-3, "average_first": 0.5, "average_last": 0.8},
    ))  # fmt: skip
    first = trainer.train_step()
    for _ in range(149):
        last = trainer.train_step()
    assert last["semantics"] < 0.2 * first["semantics"] and last["instances"] < 0.75 * first["instances"]


def test_a_sample_has_views_that_the_network_does_not_see(run_values):
    trainer = trainer_of(run_values(EPS3D, model={"context_views": [2, 2]}, sampling={"augment": False}))
    sample = sample_of(trainer)
    assert sample.inputs.images.shape[1] == 2 and sample.truth.images.shape[1] == 4
    outputs = trainer.model.eval()(sample.inputs)
    cameras = target_cameras(outputs, sample.truth, 0, posed=True)
    in_world = cameras @ outputs.geometry.plane_from_world[0]
    torch.testing.assert_close(in_world, sample.truth.cam_from_world[0], atol=1e-4, rtol=0)
    assert len(target_cameras(outputs, sample.truth, 0, posed=False)) == 2  # where the others stand is not known
    with pytest.raises(ValueError, match="model.context_views: expected fewest and most views, at least 1"):
        trainer_of(run_values(EPS3D, model={"context_views": [0, 2]}))


@pytest.mark.parametrize("splatting", [True, False])
def test_what_features_are_supervised_through(run_values, splatting):
    """Rendering mixes the pixels of all views; without it every view's pixels learn from their own view alone."""
    changes = {"context_views": [2, 2], "loss": {"splatting": splatting, "rendered_views": 4}}
    trainer = trainer_of(run_values(EPS3D, model=changes, sampling={"augment": False, "batch": 1}))
    sample = sample_of(trainer)
    outputs = trainer.family.forward(trainer.model, sample, None)
    outputs.outputs.maps.semantics.retain_grad()
    losses = trainer.family.losses(outputs, sample, 0.0)
    losses["semantics"].backward()
    gradient = outputs.outputs.maps.semantics.grad
    assert float(gradient[:, 0].abs().sum()) > 0 and float(gradient[:, 1].abs().sum()) > 0
    # Opacity and size of Gaussians matter for rendered features alone.
    reached = trainer.model.gaussian_head.output[-1].weight.grad
    assert (reached is not None and float(reached.abs().sum()) > 0) == splatting


def test_small_objects_weigh_more_at_first_than_at_the_end(run_values):
    trainer = trainer_of(run_values("pan3d-mini-eps3d", sampling={"augment": False}))
    sample = sample_of(trainer)
    outputs = trainer.family.forward(trainer.model, sample, None)

    def loss(progress, **changes):
        torch.manual_seed(0)
        weights = replace(trainer.family.weights, **changes)
        taken = (outputs.outputs, sample.truth, sample.inputs.posed, outputs.decoder, weights)
        return float(eps3d_mini_losses(*taken, progress)["instances"].detach())

    terms = trainer.family.weights.terms
    assert terms.balance > 0.5 and trainer.family.weights.final_balance == 0
    flat = loss(0.0, terms=replace(terms, balance=0.0))
    assert loss(1.0) == pytest.approx(flat) and loss(2.0) == pytest.approx(flat)
    assert loss(0.0) > 1.05 * flat  # what is not learned yet are the small ones
    assert loss(0.5) == pytest.approx(loss(0.0, terms=replace(terms, balance=terms.balance / 2)))


def test_the_base_comes_from_a_file_and_stays(run_values, tmp_path):
    tiny = trainer_of(run_values("pan3d-mini")).model.state_dict()
    path = tmp_path / "base.safetensors"
    import json

    content = {"architecture": run_values("pan3d-mini")["model"], "names": ["ball"], "class_names": ["ball"], "facts": {}}
    save_file(
        {**{name: value.contiguous() for name, value in tiny.items()}, NAMES_PREFIX + "embeddings": torch.ones(1, 16)},
        path, metadata={"format": FORMATS["pan3d-mini"], "content": json.dumps(content)},
    )  # fmt: skip
    trainer = trainer_of(run_values(EPS3D, start_from=str(path)))
    for name, value in trainer.model.semantic_head.pyramid.state_dict().items():
        assert torch.equal(value, tiny[f"pyramid.{name}"])
    trainer.train_step()
    own = trainer.model.base.state_dict()
    assert all(torch.equal(own[name], value) for name, value in tiny.items())


@pytest.mark.slow
def test_an_exported_file_is_what_the_engine_loads(run_values, tmp_path):
    out = tmp_path / "export" / f"{EPS3D}.safetensors"
    run = Run(run_config(run_values(EPS3D, steps=2)), ALONE)
    run.go()
    export_run(ExportRequest(run.config.out, (), run.config.data, out, scenes=1))
    checkpoint = read_checkpoint(out, EPS3D)
    assert checkpoint.stuff_names.names == STUFF and set(checkpoint.known_names.class_names) == {"ball", "block"}
    facts = checkpoint.facts
    assert facts["steps"] == 2 and set(facts["text_space"]) == {"temperature", "none_similarity"}
    card = out.with_suffix(".md").read_text()
    assert "| 3 views, cameras known |" in card and "{" not in card

    engine = build(ModelConfig(name=EPS3D, weights=str(out), device="cpu", min_score=0.0))
    views = preprocess(cast(TABLE_SCENE).views, engine.facts.preprocess, 0.0)
    reconstruction, instances = engine(views)
    assert reconstruction.is_metric and len(reconstruction.gaussians) > 1000 and len(instances.scores) > 0
    assert engine.facts.text_space.temperature == pytest.approx(facts["text_space"]["temperature"])
    # Gaussians stand in the world: most lie in front of the first given camera, where its depth is.
    means = reconstruction.gaussians.means
    in_cam = means @ views.cam_from_world[0, :3, :3].T + views.cam_from_world[0, :3, 3]
    assert float((in_cam[:, 2] > 0.05).float().mean()) > 0.9
    with pytest.raises(ValueError, match=f"expected a checkpoint of format '{FORMATS[EPS3D]}'"):
        build(ModelConfig(name=EPS3D, weights=str(DEFAULT_WEIGHTS)))


def test_held_out_scenes_have_a_novel_view_where_poses_are_known(run_values):
    trainer = trainer_of(run_values(EPS3D))
    shards = ShardSet(trainer.config.data / "val")
    posed, free = (show_scene(trainer.model.eval(), shards, 0, posed=flag) for flag in (True, False))
    assert len(posed.views.colors) == 4 and len(free.views.colors) == CONTEXT_VIEWS == 3
    figures = trainer.family.evaluate(trainer.model, 2)
    assert [case["posed"] for case in figures] == [True, False] and figures[0]["scenes"] == 2
    assert np.isfinite(figures[0]["novel_semantic_miou"]) and np.isnan(figures[1]["novel_semantic_miou"])


def test_none_of_these_is_the_answer_where_the_own_text_is_missing():
    cosines = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    both, there = with_and_without(cosines, torch.tensor([0, 1]))
    assert both.tolist() == [*cosines.tolist(), [-1.0, cosines[0, 1].item()], [cosines[1, 0].item(), -1.0]]
    assert there.tolist() == [[True, False], [False, True], [False, False], [False, False]]
