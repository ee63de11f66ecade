"""FAST3DIS losses against loops over queries, pixels and points, and at the edges."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from loss_checks import assert_zero_with_gradient, check_gradient, waves

from pan3d_core.models.matching import match_queries
from training.losses import fast3dis
from training.losses.fast3dis import FAST3DIS_WEIGHTS, LayerPrediction

NOTHING = torch.zeros(0, dtype=torch.long)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def prediction(queries=4, views=2, hw=(3, 5), seed=0.0) -> LayerPrediction:
    return LayerPrediction(4 * waves(queries, views, *hw, seed=seed) - 2, 3 * waves(queries, seed=seed + 1) - 1)


def truth(objects=2, views=2, hw=(3, 5)) -> torch.Tensor:
    return (waves(objects, views, *hw, seed=7) > 0.5).double()


def test_focal_loss_of_single_values():
    logits, targets = torch.tensor([0.3, -1.2], dtype=torch.float64), torch.tensor([1.0, 0.0])
    p = [sigmoid(0.3), sigmoid(-1.2)]
    wanted = [-0.25 * (1 - p[0]) ** 2 * math.log(p[0]), -0.75 * p[1] ** 2 * math.log(1 - p[1])]
    assert fast3dis.focal_loss(logits, targets).tolist() == pytest.approx(wanted)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.double(), reduction="none")
    torch.testing.assert_close(fast3dis.focal_loss(logits, targets, alpha=0.5, gamma=0.0), plain / 2)


def test_overlap_is_the_share_of_the_claims_that_others_claim():
    probs, scores = waves(5, 12), waves(5, seed=2)
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                total += float(sum(scores[i] * probs[i, u] * scores[j] * probs[j, u] for u in range(12)))
    area = float((scores[:, None] * probs).sum())
    assert float(fast3dis.overlap_penalty(probs, scores)) == pytest.approx(total / area)
    # Twice the resolution is the same penalty, everything twice is 1, and masks that share no pixel have none.
    assert float(fast3dis.overlap_penalty(torch.eye(3).repeat(2, 1), torch.ones(6))) == pytest.approx(1)
    doubled = fast3dis.overlap_penalty(probs.repeat_interleave(4, 1), scores)
    assert float(doubled) == pytest.approx(float(fast3dis.overlap_penalty(probs, scores)))
    assert float(fast3dis.overlap_penalty(torch.eye(3), torch.ones(3))) == pytest.approx(0, abs=1e-9)


def test_the_overlap_s_weight_grows_then_falls():
    weight = FAST3DIS_WEIGHTS.overlap
    assert [weight(t) for t in (0.0, 0.6, 1.0)] == pytest.approx([0.01, 1.0, 0.1])
    assert weight(0.3) == pytest.approx(0.1)  # half way in the exponent
    assert weight(0.8) == pytest.approx(0.55)
    assert weight(-1.0) == weight(0.0) and weight(2.0) == weight(1.0)
    steps = [weight(t / 100) for t in range(101)]
    assert max(steps) == pytest.approx(1.0) and all(b > a for a, b in zip(steps[:60], steps[1:60]))
    assert all(b < a for a, b in zip(steps[60:], steps[61:]))


def test_contrast_is_what_a_loop_finds():
    features, ids = waves(7, 3) - 0.5, torch.tensor([1, 1, 2, 2, 2, 5, 1])  # 5 has no partner
    unit = [[float(v) for v in row / row.norm()] for row in features]

    def likeness(i, j):
        return math.exp(sum(a * b for a, b in zip(unit[i], unit[j])) / 0.1)

    values = []
    for i in range(7):
        partners = [j for j in range(7) if j != i and ids[j] == ids[i]]
        if partners:
            everyone = sum(likeness(i, a) for a in range(7) if a != i)
            values.append(-sum(math.log(likeness(i, p) / everyone) for p in partners) / len(partners))
    assert len(values) == 6
    assert float(fast3dis.supervised_contrast(features, ids)) == pytest.approx(sum(values) / 6)
    # Neither the length of a feature nor the numbers of the instances matter.
    again = fast3dis.supervised_contrast(features * torch.arange(1, 8)[:, None], torch.tensor([9, 9, 4, 4, 4, 1, 9]))
    assert float(again) == pytest.approx(sum(values) / 6)


def test_pixels_are_balanced_over_instances_and_views():
    ids = torch.zeros(3, 20, 30, dtype=torch.long)
    ids[0, :10], ids[1, :, :20], ids[1, 0, 25], ids[2, 5:8, 5:9] = 1, 2, 1, 3
    weights = replace(FAST3DIS_WEIGHTS, pixels_per_instance=16)
    place = fast3dis.balanced_pixels(ids, weights, torch.Generator().manual_seed(1))
    assert len(place.unique()) == len(place)
    view, owner = place // 600, ids.flatten()[place]
    counts = {(v, i): int(((view == v) & (owner == i)).sum()) for v in range(3) for i in range(4)}
    assert {key: n for key, n in counts.items() if n} == {(0, 1): 16, (1, 2): 16, (1, 1): 1, (2, 3): 12}
    assert len(fast3dis.balanced_pixels(ids, replace(weights, pixels=10))) == 10
    assert len(fast3dis.balanced_pixels(torch.zeros_like(ids), weights)) == 0


def test_one_layer_is_what_a_loop_finds():
    layer, masks = prediction(), truth()
    match = (torch.tensor([0, 3]), torch.tensor([1, 0]))
    found = fast3dis.layer_losses(layer, masks, match)
    focal, bce, dice = 0.0, 0.0, 0.0
    for q in range(4):
        p = sigmoid(float(layer.objectness_logits[q]))
        focal += -0.25 * (1 - p) ** 2 * math.log(p) if q in (0, 3) else -0.75 * p**2 * math.log(1 - p)
    for q, g in ((0, 1), (3, 0)):
        p = [sigmoid(float(v)) for v in layer.mask_logits[q].flatten()]
        t = masks[g].flatten().tolist()
        bce -= sum(math.log(a) if b else math.log(1 - a) for a, b in zip(p, t)) / len(p)
        dice += 1 - (2 * sum(a * b for a, b in zip(p, t)) + 1) / (sum(p) + sum(t) + 1)
    assert float(found["objectness"]) == pytest.approx(focal / 2)
    assert float(found["bce"]) == pytest.approx(bce / 2)
    assert float(found["dice"]) == pytest.approx(dice / 2)


def test_the_cost_prefers_the_mask_that_fits():
    masks = torch.zeros(2, 1, 4, 4)
    masks[0, 0, :2], masks[1, 0, 2:] = 1, 1
    logits = torch.stack([8 * (masks[1] - 0.5), torch.zeros(1, 4, 4), 8 * (masks[0] - 0.5)])
    cost = fast3dis.fast3dis_cost(LayerPrediction(logits, torch.zeros(3)), masks)
    assert [index.tolist() for index in match_queries(cost)] == [[0, 2], [1, 0]]
    # Of two equal masks the surer query is taken.
    twins = LayerPrediction(torch.stack([logits[0], logits[0]]), torch.tensor([-1.0, 1.0]))
    assert match_queries(fast3dis.fast3dis_cost(twins, masks[1:]))[0].tolist() == [1]


def test_all_layers_count_and_the_contrast_counts_once():
    layers, masks = [prediction(seed=s) for s in (0.0, 3.0, 6.0)], truth()
    matches = [match_queries(fast3dis.fast3dis_cost(layer, masks)) for layer in layers]
    samples = waves(8, 3), torch.tensor([1, 1, 2, 2, 3, 3, 3, 1])
    losses = fast3dis.fast3dis_losses(layers, masks, matches, samples, 0.6)
    single = [fast3dis.layer_losses(layer, masks, match) for layer, match in zip(layers, matches)]
    for name in ("objectness", "bce", "dice", "overlap"):
        torch.testing.assert_close(losses[name], sum(item[name] for item in single))
    contrast = fast3dis.supervised_contrast(*samples)
    expected = 2 * losses["objectness"] + 5 * losses["bce"] + 5 * losses["dice"] + 1.0 * losses["overlap"] + 0.5 * contrast
    torch.testing.assert_close(losses["total"], expected)
    with pytest.raises(ValueError, match="zip"):
        fast3dis.fast3dis_losses(layers, masks, matches[:2], samples, 0.6)


class Outputs:
    """Two scenes of a model with two decoder layers."""

    def __init__(self):
        self.embeddings = [waves(2, 4, 6, seed=k) - 0.5 for k in range(2)]
        self.layers = [SimpleNamespace(class_logits=waves(2, 4, 2, seed=8 + k)) for k in range(2)]
        self.mask_features = (waves(2, 3, 6, 4, 5, seed=5) - 0.5).requires_grad_()

    def mask_logits(self, queries=slice(None), layer=-1):
        return torch.einsum("bqc,bschw->bqshw", self.embeddings[layer][:, queries], self.mask_features)


def test_a_scene_of_a_model_s_outputs():
    outputs, ids = Outputs(), (torch.arange(60) % 3).reshape(3, 4, 5)
    masks = torch.stack([ids == 1, ids == 2]).float()
    losses = fast3dis.scene_losses(outputs, 1, (masks, ids), 0.5, generator=torch.Generator().manual_seed(2))
    layers = [
        LayerPrediction(
            outputs.mask_logits(layer=k)[1].float(), (item.class_logits[1, :, 0] - item.class_logits[1, :, 1]).float()
        )
        for k, item in enumerate(outputs.layers)
    ]
    matches = [match_queries(fast3dis.fast3dis_cost(layer, masks)) for layer in layers]
    # All pixels with an instance are few enough to be taken, so their order is all that chance decides.
    flat = torch.nonzero(ids.flatten() > 0)[:, 0]
    view, pixel = flat // 20, flat % 20
    features = outputs.mask_features[1].flatten(2)[view, :, pixel].float()
    expected = fast3dis.fast3dis_losses(layers, masks, matches, (features, ids.flatten()[flat]), 0.5)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)
    losses["total"].backward()
    assert outputs.mask_features.grad[1].any() and not outputs.mask_features.grad[0].any()


def test_the_overlap_can_be_left_out_or_kept_constant():
    moments = (0.0, 0.3, 0.6, 0.8, 1.0)
    none = fast3dis.Fast3disLossWeights(overlap_peak=0.0)
    fixed = fast3dis.Fast3disLossWeights(overlap_start=0.5, overlap_peak=0.5, overlap_floor=0.5)
    assert [none.overlap(moment) for moment in moments] == [0.0] * 5
    assert [fixed.overlap(moment) for moment in moments] == pytest.approx([0.5] * 5)
    for wrong in ({"overlap_start": 0.0}, {"temperature": 0.0}, {"overlap_warmup": 1.1}, {"bce": -1.0}, {"dice": float("nan")}):
        with pytest.raises(ValueError, match=f"Fast3disLossWeights.{next(iter(wrong))}: expected"):
            fast3dis.Fast3disLossWeights(**wrong)


def test_gradients():
    masks, match = truth(), (torch.tensor([0, 3]), torch.tensor([1, 0]))
    ids = torch.tensor([1, 1, 2, 2, 3])

    def total(mask_logits, objectness, features):
        layer = LayerPrediction(mask_logits, objectness)
        weights = fast3dis.Fast3disLossWeights(overlap_peak=0.0)
        return fast3dis.fast3dis_losses([layer], masks, [match], (features, ids), 0.3, weights)["total"]

    def shared_area(probs, scores):  # the claimed area, by which the penalty divides, has no gradient
        return fast3dis.overlap_penalty(probs, scores) * (scores[:, None] * probs).sum().detach()

    check_gradient(shared_area, waves(5, 12), waves(5, seed=2))
    layer = prediction()
    check_gradient(total, layer.mask_logits, layer.objectness_logits, waves(5, 3) - 0.5)


def test_a_scene_without_objects_teaches_to_find_none():
    layer = prediction()
    layer.objectness_logits.requires_grad_()
    layer.mask_logits.requires_grad_()
    nothing = (torch.zeros(0, 3, dtype=torch.float64, requires_grad=True), NOTHING)
    match = match_queries(fast3dis.fast3dis_cost(layer, truth(0)))
    losses = fast3dis.fast3dis_losses([layer], truth(0), [match], nothing, 0.0)
    assert float(losses["bce"].detach()) == float(losses["dice"].detach()) == float(losses["contrast"].detach()) == 0
    assert float(losses["objectness"].detach()) > 0
    losses["total"].backward()
    assert bool((layer.objectness_logits.grad > 0).all())  # every query's score should fall


def test_edges():
    features = (waves(3, 2) - 0.5).requires_grad_()
    assert_zero_with_gradient(fast3dis.supervised_contrast(features, torch.tensor([1, 2, 3])), features)  # no partners
    probs = waves(1, 6).requires_grad_()
    assert_zero_with_gradient(fast3dis.overlap_penalty(probs, torch.ones(1)), probs)  # one query overlaps nobody
    one_view = fast3dis.layer_losses(prediction(views=1), truth(views=1), (torch.tensor([1]), torch.tensor([0])))
    assert all(torch.isfinite(value) for value in one_view.values())
    empty_mask = fast3dis.layer_losses(prediction(), torch.zeros(1, 2, 3, 5), (torch.tensor([1]), torch.tensor([0])))
    assert all(torch.isfinite(value) for value in empty_mask.values())
