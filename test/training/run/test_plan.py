"""What a step needs is known without computing it: weights, what autograd keeps, work; and what sharding and recomputing do."""

from dataclasses import replace

import pytest
import torch
from trainers import ALONE

from training.families import build_family, run_config
from training.run.loop import Trainer
from training.run.plan import BlockCost, SavedBytes, StepPlan, plan_step


def planned(values, views=0):
    config = run_config(values)
    return config, plan_step(config, build_family(config), views)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["segvggt", "fast3dis"])
def test_what_autograd_keeps_is_what_was_planned(run_values, family):
    config, plan = planned(run_values(family, sampling={"batch": 1, "view_counts": [2], "view_weights": [1.0]}))
    model = build_family(config).build()
    assert plan.weights == sum(item.numel() for item in model.parameters()) and plan.pictures == 2
    assert plan.trained == sum(item.numel() for item in model.parameters() if item.requires_grad)
    trainer = Trainer(config, build_family(config), ALONE)
    sample = trainer.family.prepare(_batch(trainer), torch.Generator().manual_seed(0))
    saved = SavedBytes(trainer.model)
    with saved.counting():
        trainer.family.forward(trainer.model.train(), sample, None)
    assert saved.total == pytest.approx(plan.kept_bytes, rel=0.05)
    assert plan.operations > 2 * plan.trained  # each weight takes part in a product, forward and backward


def _batch(trainer):
    trainer.source.begin_step(0)
    return trainer.source.batch(0)


@pytest.mark.slow
def test_recomputed_blocks_keep_their_inputs_alone(run_values):
    sampling = {"view_counts": [3], "view_weights": [1.0]}
    config, plan = planned(run_values("segvggt", sampling=sampling))
    expected = plan.memory(1, shards=False, recomputes=True)["for the backward pass"]
    recomputing = replace(config, execution=replace(config.execution, checkpoint_blocks=True))
    trainer = Trainer(recomputing, build_family(recomputing), ALONE)
    sample = trainer.family.prepare(_batch(trainer), torch.Generator().manual_seed(0))
    saved = SavedBytes(trainer.model)
    with saved.counting():
        trainer.family.forward(trainer.model.train(), sample, None)
    largest = max(block.kept_bytes for block in plan.blocks)
    assert saved.total + largest == pytest.approx(expected, rel=0.05) and expected < plan.kept_bytes
    assert plan.work(recomputes=True) > plan.work(recomputes=False) == plan.operations


@pytest.mark.slow
def test_more_views_than_the_data_have_can_be_planned(run_values):
    _, few = planned(run_values("segvggt", sampling={"batch": 1}), views=2)
    _, many = planned(run_values("segvggt", sampling={"batch": 1}), views=8)
    assert few.pictures == 2 and many.pictures == 8 and many.weights == few.weights
    _, fitted = planned(run_values("segvggt", sampling={"batch": 2, "images": 8}), views=8)
    assert fitted.pictures == 8 and fitted.kept_bytes == many.kept_bytes
    assert many.kept_bytes > 3.5 * few.kept_bytes and many.operations > 3.5 * few.operations


def test_memory_is_shared_as_the_strategies_share_it():
    plan = StepPlan(weights=1000, trained=600, pictures=1, blocks=(BlockCost(300, 50, 10, 7.0), BlockCost(200, 40, 10, 5.0)),
                    kept_bytes=200, operations=100.0)  # fmt: skip
    alone = plan.memory(1, shards=False, recomputes=False)
    assert alone == {
        "weights": 4000, "gradients": 2400, "moments": 4800, "averaged weights": 2400, "for the backward pass": 200,
    }  # fmt: skip
    copied = plan.memory(4, shards=False, recomputes=True)
    assert copied["gradients"] == 4800 and copied["for the backward pass"] == 200 - 40 - 30 + 50
    shared = plan.memory(4, shards=True, recomputes=False)
    assert shared["weights"] == 1000 + 4 * (500 + 600) and shared["gradients"] == 600 and shared["moments"] == 1200
    assert shared["averaged weights"] == 1000 and plan.work(recomputes=True) == 112.0


@pytest.mark.parametrize("family", ["pan3d-mini", pytest.param("eps3d", marks=pytest.mark.slow)])
def test_a_network_whose_work_depends_on_values_is_refused(run_values, family):
    with pytest.raises(ValueError, match=f"family {family}: expected a network whose work follows from the pictures' shapes"):
        planned(run_values(family))
