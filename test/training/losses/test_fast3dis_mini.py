"""The objective of pan3d-mini-fast3dis: little for right answers, finite without objects, its constants by name."""

from dataclasses import replace

import pytest
import torch

from pan3d_core.models.mini.fast3dis import Fast3disMini, Fast3disMiniSettings
from pan3d_core.models.mini.network import MiniArchitecture, PanMini
from pan3d_core.models.mini.queries import QueryOutputs, QueryPrediction
from training.data.augment import plain_inputs
from training.data.targets.mini import batch_targets
from training.families.fast3dis_mini import adopt_base, loss_weights
from training.losses.fast3dis_mini import fast3dis_mini_losses, scene_ids


@pytest.fixture
def model(tiny):
    decoder = {"queries": 6, "dim": 32, "heads": 2, "feed_forward": 32, "layers": 3, "bands": 8}
    torch.manual_seed(0)
    return Fast3disMini(Fast3disMiniSettings.from_dict({"base": tiny, "decoder": decoder, "lora_rank": 4}))


def test_right_answers_cost_little(batch, descriptions, model):
    outputs = model(plain_inputs(batch, posed=True))
    targets = batch_targets(batch, outputs.plane_from_world)
    queries = outputs.queries
    masks4, masks2 = torch.full_like(queries.layers[0].mask_logits, -12.0), torch.full_like(queries.mask_logits, -12.0)
    matched, text = torch.full_like(queries.quality_logits, -12.0), queries.text_embedding.detach().clone()
    features = torch.zeros_like(outputs.mask_features)
    for b, scene in enumerate(targets.scenes):
        rows = torch.arange(len(scene.kind)) + 2
        masks4[b, rows], masks2[b, rows] = scene.masks4 * 24 - 12, scene.masks2 * 24 - 12
        text[b, rows], matched[b, rows] = descriptions[scene.kind], 12.0
        features[b] = torch.nn.functional.one_hot(scene_ids(scene), 32).permute(0, 3, 1, 2)
    right = replace(
        outputs, mask_features=features,
        queries=QueryOutputs((QueryPrediction(masks4, matched),) * len(queries.layers), masks2, matched, text),
    )  # fmt: skip
    terms = fast3dis_mini_losses(right, targets, descriptions, 0.6)
    wrong = fast3dis_mini_losses(outputs, targets, descriptions, 0.6)
    limits = {"objectness": 0.01, "bce": 0.5, "dice": 0.5, "fine_dice": 0.1, "quality": 0.05, "text": 0.05}
    for name, limit in limits.items():
        assert terms[name] < limit and terms[name] < wrong[name], name
    assert terms["overlap"] < 0.02  # not 0: cells on a border belong to two objects in part
    assert terms["contrast"] < wrong["contrast"] and terms["total"] < 0.2 * wrong["total"]


def test_scenes_without_objects_have_finite_gradients(batch, descriptions, model):
    empty = replace(batch, ids=torch.zeros_like(batch.ids), depth=torch.zeros_like(batch.depth))
    outputs = model(plain_inputs(empty, posed=True))
    fast3dis_mini_losses(outputs, batch_targets(empty, outputs.plane_from_world), descriptions, 0.0)["total"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_overlap_counts_by_its_schedule(batch, descriptions, model):
    outputs = model(plain_inputs(batch, posed=True))
    targets = batch_targets(batch, outputs.plane_from_world)
    weights = loss_weights({"anchors": {"overlap_start": 1.0, "overlap_peak": 1000.0, "overlap_floor": 1.0}})
    found = []
    for progress in (0.0, 0.6, 1.0):
        torch.manual_seed(0)  # the contrastive loss draws pixels
        found.append(fast3dis_mini_losses(outputs, targets, descriptions, progress, weights))
    early, peak, late = ((terms["total"], terms["overlap"]) for terms in found)
    torch.testing.assert_close(peak[0] - early[0], 999 * peak[1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(late[0], early[0], rtol=1e-5, atol=1e-4)


def test_constants_are_set_by_name():
    weights = loss_weights({"quality": 0.5, "anchors": {"contrast": 0.0}})
    assert weights.quality == 0.5 and weights.anchors.contrast == 0.0 and weights.anchors.bce == loss_weights({}).anchors.bce
    with pytest.raises(ValueError, match="model.loss.anchors.contrst: expected one of objectness, .*, got an unknown name"):
        loss_weights({"anchors": {"contrst": 1}})
    with pytest.raises(ValueError, match="model.loss.masks: expected one of anchors, .*, got an unknown name"):
        loss_weights({"masks": 1})


def test_a_base_is_adopted_whole_and_frozen(model, tiny):
    torch.manual_seed(1)
    base = PanMini(MiniArchitecture(**tiny))
    adopt_base(model, base.state_dict(), "there")
    for name, value in model.base.state_dict().items():
        if ".lora." not in name:
            assert torch.equal(value, base.state_dict()[name.replace(".linear.", ".")]), name
    assert torch.equal(model.pixels.pyramid.from16.weight, base.pyramid.from16.weight)
    assert all(p.requires_grad == (".lora." in name) for name, p in model.base.named_parameters())
    with pytest.raises(ValueError, match="there"):
        adopt_base(model, PanMini(MiniArchitecture(**{**tiny, "dim": 96})).state_dict(), "there")
