"""EPS3D losses against loops over pixels, ids and Gaussians, and at the edges."""

import math
from dataclasses import replace

import pytest
import torch
from loss_checks import assert_zero_with_gradient, check_gradient, waves

from pan3d_core.models.vggt.network import VggtOutput
from training.losses import eps3d
from training.losses.eps3d import EPS3D_WEIGHTS, RenderedView
from training.losses.geometry import camera_loss, depth_loss

SMALL = replace(EPS3D_WEIGHTS, min_pixels=1, anchors=5, neighbours=3)


def test_colour_and_semantics_of_single_pixels():
    assert float(eps3d.color_loss(torch.tensor([0.2, 0.9]), torch.tensor([0.5, 0.8]))) == pytest.approx(0.2)
    features, teacher = waves(4, 2, 3) - 0.5, waves(4, 2, 3, seed=1) - 0.5
    total = 0.0
    for y in range(2):
        for x in range(3):
            a, b = features[:, y, x].tolist(), teacher[:, y, x].tolist()
            lengths = math.sqrt(sum(v * v for v in a)) * math.sqrt(sum(v * v for v in b))
            total += 1 - sum(p * q for p, q in zip(a, b)) / lengths
    assert float(eps3d.cosine_distillation(features, teacher)) == pytest.approx(total / 6)


def slow_contrast(features, ids, weights) -> float:
    """Instance term of a handful of pixels, one by one."""
    pixels = [(f.tolist(), int(i)) for f, i in zip(features, ids) if i > 0]
    lengths = [math.sqrt(sum(v * v for v in f)) for f, _ in pixels]
    unit = [([v / length for v in f], i) for (f, i), length in zip(pixels, lengths)]
    members = {i: [f for f, own in unit if own == i] for _, i in unit}
    members = {i: group for i, group in members.items() if len(group) > weights.min_pixels}
    center = {i: [sum(column) / len(group) for column in zip(*group)] for i, group in members.items()}
    width = {}
    for i, group in members.items():
        spread = sum(math.dist(f, center[i]) for f in group)
        width[i] = min(max(10 * spread / (len(group) * math.log(len(group) + 10)), 0.5), 1.0)
    total = 0.0
    for i, group in members.items():
        for f in group:
            scores = {j: math.exp(sum(a * b for a, b in zip(f, center[j])) / width[j]) for j in members}
            total -= math.log(scores[i] / sum(scores.values()))
    pull = sum((length - 1) ** 2 for length in lengths) / len(lengths)
    return (total / len(members) if len(members) > 1 else 0.0) + weights.unit_length * pull


@pytest.mark.parametrize("spread", [0.05, 0.3, 2.0])  # temperatures at both bounds and between
def test_instance_contrast_is_what_a_loop_finds(spread):
    centers = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0.5, 0.5, 0.5], [0, 0, 1]], dtype=torch.float64)
    ids = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2, 7, 7, 9])  # 0 belongs to nothing, 9 has one pixel
    owner = torch.tensor([3, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3])
    features = centers[owner] + spread * (waves(11, 3) - 0.5)
    found = eps3d.instance_contrast(features, ids, SMALL)
    assert float(found) == pytest.approx(slow_contrast(features, ids, SMALL))


def test_instance_contrast_ignores_what_the_ids_are_called():
    features, ids = waves(12, 4) - 0.5, torch.tensor([1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 0, 0])
    renamed = torch.tensor([0, 40, 7, 5])[ids]
    first, second = (eps3d.instance_contrast(features, i, SMALL) for i in (ids, renamed))
    torch.testing.assert_close(first, second)


def test_instance_contrast_draws_pixels():
    features, ids = waves(500, 4) - 0.5, torch.arange(500) % 5 + 1
    few = replace(SMALL, pixels=60, unit_length=0.0)
    values = [float(eps3d.instance_contrast(features, ids, few, torch.Generator().manual_seed(s))) for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    # A sum over pixels: with all of them it is several times as large.
    assert float(eps3d.instance_contrast(features, ids, replace(few, pixels=500))) > 5 * values[0]


def test_ins2sem_is_what_a_loop_finds():
    semantics, instances = waves(9, 4) - 0.5, waves(9, 3, seed=2) - 0.5
    anchors = torch.randperm(9, generator=torch.Generator().manual_seed(3))[:5].tolist()

    def cosine(table, i, j):
        a, b = table[i].tolist(), table[j].tolist()
        return sum(p * q for p, q in zip(a, b)) / math.hypot(*a) / math.hypot(*b)

    values = []
    for a in anchors:
        others = sorted((j for j in range(9) if j != a), key=lambda j: -cosine(instances, a, j))[:3]
        values += [1 - cosine(semantics, a, j) for j in others]
    found = eps3d.ins2sem(semantics, instances, SMALL, torch.Generator().manual_seed(3))
    assert float(found) == pytest.approx(sum(values) / len(values))


def test_ins2sem_teaches_the_semantics_alone_and_rests_when_instances_agree():
    semantics, instances = (waves(9, 4) - 0.5).requires_grad_(), (waves(9, 3, seed=2) - 0.5).requires_grad_()
    eps3d.ins2sem(semantics, instances, SMALL).backward()
    assert semantics.grad.any() and instances.grad is None
    owner = torch.arange(40) % 4
    by_instance = torch.eye(4)[owner]
    assert float(eps3d.ins2sem(2 * by_instance, by_instance, SMALL)) == pytest.approx(0, abs=1e-6)


def view(seed=0.0) -> RenderedView:
    ids = torch.tensor([[1, 1, 2, 2], [1, 1, 2, 2], [0, 3, 3, 2]])
    return RenderedView(
        color=waves(3, 3, 4, seed=seed),
        true_color=waves(3, 3, 4, seed=seed + 1),
        semantics=waves(6, 2, 2, seed=seed + 2) - 0.5,
        true_semantics=waves(6, 2, 2, seed=seed + 3) - 0.5,
        instances=waves(5, 3, 4, seed=seed + 4) - 0.5,
        instance_ids=ids,
    )


def test_the_whole_objective_adds_up():
    views, gaussians = [view(), view(9.0)], (waves(9, 6) - 0.5, waves(9, 5, seed=1) - 0.5)
    losses = eps3d.eps3d_losses(views, gaussians, SMALL, torch.Generator().manual_seed(0))
    assert float(losses["color"]) == pytest.approx(sum(float((v.color - v.true_color).abs().mean()) for v in views) / 2)
    pixels = [v.instances.reshape(5, 12).T for v in views]
    slow = sum(slow_contrast(p, v.instance_ids.flatten(), SMALL) for p, v in zip(pixels, views)) / 2
    assert float(losses["instances"]) == pytest.approx(slow)
    parts = {"color": 0.1, "instances": 1e-3, "semantics": 0.1, "ins2sem": 1e-4}
    assert float(losses["total"]) == pytest.approx(sum(w * float(losses[name]) for name, w in parts.items()))


def test_geometry_follows_the_teacher_where_it_is_sure():
    def geometry(seed):
        conf = 1 + waves(1, 2, 5, 8, seed=seed)
        return VggtOutput(waves(4, 1, 2, 9, seed=seed), 0.5 + waves(1, 2, 5, 8, seed=seed + 1), conf)

    student, teacher = geometry(0.0), geometry(4.0)
    student.depth.requires_grad_()
    loss = eps3d.geometry_loss(student, teacher)
    sure = torch.stack([view >= view.flatten().sort(descending=True).values[27] for view in teacher.depth_conf[0]])  # 28 of 40
    depth = depth_loss(student.depth[0], student.depth_conf[0], teacher.depth[0], sure)
    torch.testing.assert_close(loss, 10 * camera_loss(student.pose_encodings, teacher.pose_encodings[-1]) + sum(depth.values()))
    loss.backward()
    assert not student.depth.grad[0][~sure].any() and student.depth.grad[0][sure].any()


def test_gradients():
    features, ids = waves(10, 3) - 0.5, torch.tensor([1, 1, 1, 2, 2, 2, 2, 3, 3, 0])
    # The length that features are divided by and the temperature are constants by design; lengths of 1 and temperatures at
    # their bound leave a function whose differences can be compared.
    unit = torch.nn.functional.normalize(features, dim=-1)
    steady = replace(SMALL, highest_temperature=0.5)

    def along_the_sphere(change):
        moved = torch.nn.functional.normalize(unit + change, dim=-1)
        return eps3d.instance_contrast(moved, ids, steady)

    check_gradient(along_the_sphere, torch.zeros_like(unit))
    check_gradient(lambda s: eps3d.ins2sem(s, features, SMALL, torch.Generator().manual_seed(1)), waves(10, 4) - 0.5)
    check_gradient(lambda f: eps3d.cosine_distillation(f, waves(4, 2, 2, seed=1) - 0.5), waves(4, 2, 2) - 0.5)
    check_gradient(lambda c: eps3d.color_loss(c, waves(3, 2, 2, seed=1)), waves(3, 2, 2))


def test_the_pull_to_unit_length_is_the_only_gradient_along_a_feature():
    features, ids = (waves(10, 3) - 0.5).requires_grad_(), torch.tensor([1] * 5 + [2] * 5)
    eps3d.instance_contrast(features, ids, replace(SMALL, unit_length=0.0)).backward()
    contrast = features.grad.clone()
    features.grad = None
    eps3d.instance_contrast(features, torch.ones_like(ids), SMALL).backward()  # one id: the pull alone
    length = features.detach().norm(dim=-1, keepdim=True)
    torch.testing.assert_close(features.grad, 2 * (length - 1) / 10 * features.detach() / length)
    assert contrast.any()


def test_edges():
    features = (waves(6, 3) - 0.5).requires_grad_()
    nothing = torch.zeros(6, dtype=torch.long)
    assert_zero_with_gradient(eps3d.instance_contrast(features, nothing, SMALL), features)
    alone = eps3d.instance_contrast(features, nothing + 4, replace(SMALL, unit_length=0.0))
    assert_zero_with_gradient(alone, features)
    assert_zero_with_gradient(eps3d.instance_contrast(features[:0], nothing[:0], SMALL), features)
    assert_zero_with_gradient(eps3d.ins2sem(features[:1], features[:1]), features)
    assert torch.isfinite(eps3d.instance_contrast(torch.zeros(6, 3), torch.tensor([1, 1, 1, 2, 2, 2]), SMALL))
    one = eps3d.eps3d_losses([view()], (waves(2, 6), waves(2, 5)))  # one view, two Gaussians, ids of few pixels
    assert all(torch.isfinite(value) for value in one.values())
