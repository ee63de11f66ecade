"""A region of which nobody says what it shows teaches none of the small siblings anything there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from trainers import trainer_of

from pan3d_core.engines.mini import EPS3D
from pan3d_core.models.mini.fast3dis import Fast3disMini, Fast3disMiniSettings
from training.data.arrays import ShardSet
from training.data.augment import plain_inputs
from training.data.targets.mini import batch_targets
from training.judge.gaussians import ShownScene, rendered_figures
from training.losses.fast3dis_mini import fast3dis_mini_losses
from training.losses.void import known_pixels


def with_void(batch):
    """The same scenes, of whose first object nobody says what it is."""
    kinds = batch.kinds.clone()
    kinds[:, 1] = -1
    return replace(batch, kinds=kinds)


@pytest.fixture
def anchors(tiny, batch):
    """Outputs of a small `pan3d-mini-fast3dis` for the scenes, and their targets with void in them."""
    decoder = {"queries": 6, "dim": 32, "heads": 2, "feed_forward": 32, "layers": 3, "bands": 8}
    torch.manual_seed(0)
    model = Fast3disMini(Fast3disMiniSettings.from_dict({"base": tiny, "decoder": decoder, "lora_rank": 4}))
    outputs = model(plain_inputs(batch, posed=True))
    return outputs, batch_targets(with_void(batch), outputs.plane_from_world)


def test_no_mask_and_no_feature_of_anchors_learns_where_nothing_is_known(anchors, descriptions):
    outputs, targets = anchors
    known2, queries = targets.known2, outputs.queries
    assert not known2.all()
    # On their own, since the last mask is also made of earlier ones beside it.
    layers = [layer.mask_logits.detach().requires_grad_() for layer in queries.layers]
    last, features = (item.detach().requires_grad_() for item in (queries.mask_logits, outputs.mask_features))
    own = tuple(replace(layer, mask_logits=mask) for layer, mask in zip(queries.layers, layers, strict=True))
    outputs = replace(outputs, mask_features=features, queries=replace(queries, layers=own, mask_logits=last))
    told = [last, *layers, features]
    gradients = torch.autograd.grad(fast3dis_mini_losses(outputs, targets, descriptions, 0.6)["total"], told)
    known4 = torch.stack([known_pixels(~known, tuple(layers[0].shape[-2:])) for known in known2])
    for gradient, known in zip(gradients[:-1], (known2, *[known4] * len(layers)), strict=True):
        per_pixel = gradient.abs().sum(1)
        assert float(per_pixel[~known].max()) == 0 and float(per_pixel[known].max()) > 0
    contrasted = gradients[-1].abs().sum(2)
    assert float(contrasted[~known4].max()) == 0 and float(contrasted[known4].max()) > 0


def test_an_anchor_that_lies_on_void_is_told_neither_that_it_is_wrong_nor_how_good(anchors, descriptions):
    outputs, targets = anchors
    void = (~targets.known2).float() * 24 - 12
    masks2 = outputs.queries.mask_logits.detach().clone()
    masks2[:, 0] = void
    four = torch.nn.functional.avg_pool2d(void, 2)
    layers = []
    for layer in outputs.queries.layers:
        masks4 = layer.mask_logits.detach().clone()
        masks4[:, 0] = four
        layers.append(replace(layer, mask_logits=masks4))
    queries = replace(outputs.queries, layers=tuple(layers), mask_logits=masks2)
    terms = fast3dis_mini_losses(replace(outputs, queries=queries), targets, descriptions, 0.6)
    told = [queries.quality_logits, *(layer.objectness_logits for layer in layers)]
    for gradient in torch.autograd.grad(terms["total"], told):
        assert float(gradient[:, 0].abs().max()) == 0 and float(gradient[:, 1:].abs().max()) > 0


def test_where_nothing_at_all_is_known_anchors_are_told_nothing(batch, anchors, descriptions):
    outputs, _ = anchors
    nothing = replace(batch, ids=torch.ones_like(batch.ids), kinds=torch.full_like(batch.kinds, -1))
    targets = batch_targets(nothing, outputs.plane_from_world)
    terms = fast3dis_mini_losses(outputs, targets, descriptions, 0.6)
    assert {name: float(value.detach()) for name, value in terms.items()} == dict.fromkeys(terms, 0.0)
    terms["total"].backward()


def mini_gaussians(run_values):
    trainer = trainer_of(run_values(EPS3D, model={"loss": {"splatting": False}}, sampling={"augment": False, "batch": 1}))
    batch = with_void(ShardSet(trainer.config.data / "train").batch(np.array([0]), [np.arange(4)]))
    return trainer, trainer.family.prepare(batch, torch.Generator().manual_seed(0))


def test_features_of_gaussians_learn_nothing_of_void(run_values):
    """Of the heads' own pixels: rendered ones mix with what lies beside them. Colours are known everywhere."""
    trainer, sample = mini_gaussians(run_values)
    void = sample.truth.void[0]
    assert bool(void.any()) and not bool(sample.truth.taught.ids[0][void].any())
    found = trainer.family.forward(trainer.model, sample, None)
    outputs = found.outputs
    torch.manual_seed(0)  # which views are compared
    terms = trainer.family.losses(found, sample, 0.5)
    maps = [outputs.maps.semantics, outputs.maps.instances]
    objective = terms["semantics"] + terms["instances"] + terms["texts"]
    for gradient in torch.autograd.grad(objective, maps):
        per_pixel = gradient[0].abs().sum(1)
        on_void = void[: len(per_pixel)]
        assert float(per_pixel[on_void].max()) == 0 and float(per_pixel[~on_void].max()) > 0


def test_void_is_no_object_that_rendered_instances_miss(run_values):
    trainer, sample = mini_gaussians(run_values)
    family, batch = trainer.family, sample.truth

    def figures(shown_batch):
        views = type("Views", (), {})()
        views.colors = 0.5 * shown_batch.images[0]
        views.semantics = torch.zeros(4, trainer.model.text_decoder.expand.weight.shape[1], *shown_batch.images.shape[-2:])
        views.instances = torch.nn.functional.one_hot(shown_batch.ids[0].clamp_max(3), 4).movedim(-1, 1).float()
        shown = ShownScene(shown_batch, views, 1)
        return rendered_figures(lambda _: shown, trainer.model.text_decoder, 1, family.data.text, family.truth)

    kinds = batch.kinds.clone()
    kinds[:, 1] = 0
    assert figures(batch).objects == figures(replace(batch, kinds=kinds)).objects - 1
