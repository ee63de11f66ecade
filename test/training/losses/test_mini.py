"""The objective is small for right answers, larger for wrong ones, and finite for scenes without objects."""

from dataclasses import replace

import torch

from pan3d_core.models.mini.network import MiniArchitecture, MiniOutputs, PanMini
from pan3d_core.models.mini.queries import QueryOutputs, QueryPrediction
from training.data.augment import plain_inputs
from training.data.targets.mini import BatchTargets, batch_targets
from training.losses.mini import MiniLossWeights, match_scene, mini_losses


def perfect(targets: BatchTargets, outputs: MiniOutputs, descriptions: torch.Tensor) -> MiniOutputs:
    """Outputs that answer everything right; query k + 2 takes object k."""
    size, views, height, width = outputs.plane_depth.shape
    count = outputs.queries.quality_logits.shape[1]
    masks4 = torch.full((size, count, views, height // 4, width // 4), -12.0)
    masks2 = torch.full((size, count, views, height // 2, width // 2), -12.0)
    text = outputs.queries.text_embedding.detach().clone()
    matched = torch.full((size, count), -12.0)
    for b, scene in enumerate(targets.scenes):
        rows = torch.arange(len(scene.kind)) + 2
        masks4[b, rows], masks2[b, rows] = scene.masks4 * 24 - 12, scene.masks2 * 24 - 12
        text[b, rows], matched[b, rows] = descriptions[scene.kind], 12.0
    layer = QueryPrediction(masks4, matched)
    queries = QueryOutputs((layer,) * len(outputs.queries.layers), masks2, matched, text)
    ratio = (targets.log_depth - outputs.plane_depth.log()).where(targets.depth_valid, torch.zeros(()))
    return replace(
        outputs,
        log_ratio=torch.nn.functional.avg_pool2d(ratio, 2),
        log_error=torch.full_like(outputs.log_error, -5.0),
        foreground_logits=targets.foreground2 * 24 - 12,
        center_offset=targets.center_offset,
        queries=queries,
    )


def test_right_answers_cost_little_and_are_matched(batch, descriptions, tiny):
    outputs = PanMini(MiniArchitecture(**tiny))(plain_inputs(batch, posed=True))
    targets = batch_targets(batch, outputs.plane_from_world)
    right = perfect(targets, outputs, descriptions)
    terms = mini_losses(right, targets, torch.ones(2), descriptions)
    wrong = mini_losses(outputs, targets, torch.ones(2), descriptions)
    limits = {"depth": 0.02, "foreground": 0.05, "votes": 1e-6, "masks": 1.2, "quality": 0.05, "text": 0.05, "text_cosine": 1e-5}
    for name, limit in limits.items():
        assert terms[name] < limit and terms[name] < wrong[name], name
    layer = right.queries.layers[-1]
    match = match_scene(layer.mask_logits[0], layer.objectness_logits[0], targets.scenes[0].masks4, MiniLossWeights())
    assert match[0].tolist() == [2, 3, 4] and match[1].tolist() == [0, 1, 2]


def test_votes_and_cameras_count_only_where_they_can_be_known(batch, descriptions, tiny):
    outputs = PanMini(MiniArchitecture(**tiny))(plain_inputs(batch, posed=True))
    targets = batch_targets(batch, outputs.plane_from_world)
    posed = mini_losses(outputs, targets, torch.ones(2), descriptions)
    unposed = mini_losses(outputs, targets, torch.zeros(2), descriptions)
    assert posed["camera"] == 0 and unposed["camera"] > 0
    assert posed["votes"] > 0 and unposed["votes"] == 0


def test_scenes_without_objects_have_finite_gradients(batch, descriptions, tiny):
    empty = replace(batch, ids=torch.zeros_like(batch.ids), depth=torch.zeros_like(batch.depth))
    model = PanMini(MiniArchitecture(**tiny))
    outputs = model(plain_inputs(empty, posed=True))
    terms = mini_losses(outputs, batch_targets(empty, outputs.plane_from_world), torch.ones(2), descriptions)
    terms["total"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_void_teaches_nothing_where_it_lies(batch, descriptions, tiny):
    """An object that nobody has named: finding it costs nothing, and no gradient comes of its pixels."""
    outputs = PanMini(MiniArchitecture(**tiny))(plain_inputs(batch, posed=True))
    whole = perfect(batch_targets(batch, outputs.plane_from_world), outputs, descriptions)
    kinds = batch.kinds.clone()
    kinds[:, 1] = -1
    void = replace(batch, kinds=kinds)
    targets = batch_targets(void, outputs.plane_from_world)
    assert not targets.known2.all() and len(targets.scenes[0].kind) == 2
    background = replace(targets, known2=torch.ones_like(targets.known2))  # as if it were known to be no object
    found, missed = (mini_losses(whole, item, torch.ones(2), descriptions) for item in (targets, background))
    for name in ("foreground", "masks", "quality"):
        assert found[name] < 0.5 * missed[name], name
    logits = whole.foreground_logits.detach().requires_grad_()
    mini_losses(replace(whole, foreground_logits=logits), targets, torch.ones(2), descriptions)["foreground"].backward()
    assert bool((logits.grad[~targets.known2] == 0).all()) and bool((logits.grad[targets.known2] != 0).any())
