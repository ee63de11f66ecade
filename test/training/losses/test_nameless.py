"""A thing without a name is found like any other; only its name teaches and judges nothing."""

from dataclasses import replace

import torch

from pan3d_core.models.mini.network import MiniArchitecture, PanMini
from training.data.arrays import NAMELESS
from training.data.augment import plain_inputs
from training.data.targets.mini import batch_targets
from training.data.targets.teachers import cell_classes
from training.data.targets.text import TextTargets
from training.judge.objects import FigureSums
from training.losses.mini import mini_losses


def without_names(batch, columns=slice(None)):
    kinds = batch.kinds.clone()
    kinds[:, columns] = torch.where(kinds[:, columns] >= 0, NAMELESS, kinds[:, columns])
    return replace(batch, kinds=kinds)


def outputs_of(batch, tiny):
    torch.manual_seed(0)
    return PanMini(MiniArchitecture(**tiny))(plain_inputs(batch, posed=True))


def test_masks_learn_from_it_and_text_vectors_do_not(batch, descriptions, tiny):
    outputs = outputs_of(batch, tiny)
    named, nameless = (batch_targets(item, outputs.plane_from_world) for item in (batch, without_names(batch)))
    told, untold = (mini_losses(outputs, targets, torch.ones(2), descriptions) for targets in (named, nameless))
    for name in ("masks", "early", "quality", "foreground", "depth", "votes"):
        assert torch.equal(told[name], untold[name]), name
    for name in ("text", "text_cosine", "dense_text"):
        assert told[name] > 0 and untold[name] == 0, name
    untold["total"].backward()  # nothing of it is undefined


def test_the_names_of_others_are_learnt_beside_it(batch, descriptions, tiny):
    outputs = outputs_of(batch, tiny)
    some = batch_targets(without_names(batch, slice(1, 2)), outputs.plane_from_world)
    terms = mini_losses(outputs, some, torch.ones(2), descriptions)
    gradient = torch.autograd.grad(terms["text"], outputs.queries.text_embedding)[0]
    taught = int((gradient.abs().sum(-1) > 0).sum())
    assert taught == sum(int((scene.kind >= 0).sum()) for scene in some.scenes) < sum(len(scene.kind) for scene in some.scenes)


def test_it_is_no_class_of_pixels(batch):
    classes = cell_classes(without_names(batch), 15)
    assert int(classes.min()) == -1 and (classes[batch.ids > 0] == -1).all()


def test_naming_is_judged_on_what_has_a_name(batch, tiny):
    outputs = outputs_of(batch, tiny)
    targets = batch_targets(batch, outputs.plane_from_world)
    queries = outputs.queries
    masks = torch.full_like(queries.mask_logits, -12.0)
    for b, scene in enumerate(targets.scenes):
        masks[b, : len(scene.kind)] = scene.masks2 * 24 - 12
    sure = torch.full_like(queries.quality_logits, 12.0)
    layers = tuple(replace(layer, objectness_logits=sure) for layer in queries.layers)
    right = replace(outputs, queries=replace(queries, mask_logits=masks, quality_logits=sure, layers=layers))
    text = TextTargets(("one", "two"), ("one", "two"), torch.arange(2), torch.eye(2, queries.text_embedding.shape[-1]), 1)
    figures = []
    for item in (batch, without_names(batch, slice(1, 2)), without_names(batch)):
        sums = FigureSums()
        sums.add(right, item, 0, text)
        figures.append((sums.nameable, sums.figures()))
    (all_named, first), (some, second), (none, third) = figures
    assert all_named == some + 1 and none == 0 and third.kind_accuracy == 0
    assert first.recall50 == second.recall50 == third.recall50 > 0
