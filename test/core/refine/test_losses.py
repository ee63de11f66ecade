"""PanopticSplatting losses against loops over pixels and pairs, on the ray-cast scene, and at the edges."""

import math
from dataclasses import replace

import pytest
import torch
from loss_checks import assert_zero_with_gradient, check_gradient, waves
from raycast_scene import TABLE_SCENE, cast

from pan3d_core.models.matching import match_queries
from pan3d_core.refine import losses as ps
from pan3d_core.refine.losses import PANOPTICSPLATTING_WEIGHTS, RenderedLabels, ViewLabels

NOTHING = torch.zeros(0, dtype=torch.long)


def test_terms_start_one_after_the_other():
    weights = PANOPTICSPLATTING_WEIGHTS
    at = {k: (w.color, w.semantics, w.instances, w.warp) for k in (0, 2999, 3000, 6999, 7000, 30000) for w in [weights.at(k)]}
    assert at[0] == at[2999] == (1, 0, 0, 0)
    assert at[3000] == at[6999] == (1, 1, 1, 0)
    assert at[7000] == at[30000] == (1, 1, 1, 0.1)


def test_structural_similarity_is_what_a_loop_finds():
    a, b = waves(1, 13, 12), waves(1, 13, 12, seed=4)
    offsets = [(v, u) for v in range(-5, 6) for u in range(-5, 6)]
    line = [math.exp(-(k**2) / (2 * 1.5**2)) for k in range(-5, 6)]
    total = 0.0
    for y in range(13):
        for x in range(12):
            sums = [0.0] * 5
            for v, u in offsets:
                if 0 <= y + v < 13 and 0 <= x + u < 12:
                    w = line[v + 5] * line[u + 5] / sum(line) ** 2
                    p, q = float(a[0, y + v, x + u]), float(b[0, y + v, x + u])
                    for k, value in enumerate((p, q, p * p, q * q, p * q)):
                        sums[k] += w * value
            ma, mb, aa, bb, ab = sums
            total += ((2 * ma * mb + 1e-4) * (2 * (ab - ma * mb) + 9e-4)) / (
                (ma**2 + mb**2 + 1e-4) * (aa - ma**2 + bb - mb**2 + 9e-4)
            )
    assert float(ps.ssim(a, b)) == pytest.approx(total / 156)
    assert float(ps.ssim(a, a)) == pytest.approx(1)
    assert float(ps.color_loss(a, a)) == pytest.approx(0, abs=1e-9)
    assert float(ps.color_loss(a, b)) == pytest.approx(0.8 * float((a - b).abs().mean()) + 0.2 * (1 - total / 156))


def test_semantic_loss_is_what_a_loop_finds():
    shares = waves(3, 4, 5) + 0.1
    shares = shares / shares.sum(0)
    labels = torch.tensor([[0, 1, 2, -1, 0], [-1, -1, 2, 2, 1], [0, 0, 0, 1, 1], [2, -1, 0, 1, 2]])
    values = [-math.log(float(shares[labels[y, x], y, x])) for y in range(4) for x in range(5) if labels[y, x] >= 0]
    assert float(ps.semantic_loss(shares, labels)) == pytest.approx(sum(values) / len(values))


def test_mask_losses_of_all_pairs():
    probs, masks = 0.05 + 0.9 * waves(3, 2, 4), (waves(2, 2, 4, seed=5) > 0.5).double()
    cost = ps.instance_cost(probs, masks)
    for q in range(3):
        for m in range(2):
            p, t = probs[q].flatten().tolist(), masks[m].flatten().tolist()
            bce = -sum(b * math.log(a) + (1 - b) * math.log(1 - a) for a, b in zip(p, t)) / 8
            dice = 1 - (2 * sum(a * b for a, b in zip(p, t)) + 1) / (sum(p) + sum(t) + 1)
            assert float(cost[q, m]) == pytest.approx(bce + dice)


def test_instance_loss_of_one_view():
    probs, masks = 0.05 + 0.9 * waves(3, 2, 4), (waves(2, 2, 4, seed=5) > 0.5).double()
    match = match_queries(ps.instance_cost(probs, masks))
    logits, class_id = 2 * waves(3, 5) - 1, torch.tensor([3, 0])
    cost = ps.instance_cost(probs, masks)
    pairs = list(zip(*(index.tolist() for index in match)))
    expected = sum(float(cost[q, m]) for q, m in pairs) / 2
    # Classes: a weighted mean in which the query without a mask counts a tenth.
    wanted = {q: int(class_id[m]) for q, m in pairs}
    parts = [(1.0 if q in wanted else 0.1, -float(logits[q].log_softmax(-1)[wanted.get(q, 4)])) for q in range(3)]
    expected += sum(w * v for w, v in parts) / sum(w for w, _ in parts)
    assert float(ps.instance_loss(probs, masks, match, (logits, class_id))) == pytest.approx(expected)


def test_a_query_without_a_mask_in_this_view_keeps_its_own():
    probs = (0.05 + 0.9 * waves(3, 2, 4)).requires_grad_()
    masks = (waves(1, 2, 4, seed=5) > 0.5).double()
    match = match_queries(ps.instance_cost(probs, masks))
    ps.instance_loss(probs, masks, match, (torch.zeros(3, 2), torch.tensor([0]))).backward()
    assert [bool(gradient.any()) for gradient in probs.grad] == [q == int(match[0]) for q in range(3)]


def rendered(index: int, scene=None, noise: float = 0.0) -> RenderedLabels:
    """The ray-cast scene as perfect Gaussians would render it: three classes, one query per object, half-transparent."""
    scene = scene or cast(TABLE_SCENE)
    view, ids = scene.views[index], scene.ids[index]
    kinds = torch.tensor([0, 1, 2, 2, 1])[ids]
    alpha = torch.full_like(scene.depth[index], 0.5).double()
    classes = torch.nn.functional.one_hot(kinds, 3).permute(2, 0, 1).double()
    classes = (1 - noise) * classes + noise * (waves(*classes.shape, seed=index) + 0.01)
    classes = classes / classes.sum(0)
    queries = torch.stack([(ids == k + 1) for k in range(4)]).double() * (1 - noise)
    return RenderedLabels(
        color=view.image.double(),
        depth=scene.depth[index].double(),
        alpha=alpha,
        semantics=alpha * classes,
        instances=alpha * queries,
        intrinsics=view.intrinsics.double(),
        cam_from_world=view.cam_from_world.double(),
    )


def test_pixels_warp_onto_the_same_surface():
    scene = cast(TABLE_SCENE)
    first, second = rendered(0, scene), rendered(1, scene)
    pixels, seen = ps.warp_pixels(first, second, 0.05)
    assert 0.3 < float(seen.double().mean()) < 1
    place = pixels[seen].round().long()
    same = scene.ids[1][place[:, 1], place[:, 0]] == scene.ids[0][seen]
    assert float(same.double().mean()) > 0.97
    # Every pixel of its own view is seen where it is.
    pixels, seen = ps.warp_pixels(first, first, 0.05)
    rows, columns = torch.meshgrid(torch.arange(112), torch.arange(144), indexing="ij")
    torch.testing.assert_close(pixels, torch.stack([columns, rows], -1).double(), atol=1e-4, rtol=0)
    assert float(seen.double().mean()) > 0.9  # the image's rim may fall outside by rounding
    # Turned away, the other camera sees none of it.
    away = replace(second, cam_from_world=torch.diag(torch.tensor([-1.0, 1, -1, 1]).double()) @ second.cam_from_world)
    assert not ps.warp_pixels(first, away, 0.05)[1].any()


def test_warping_is_what_a_loop_finds():
    scene = cast(TABLE_SCENE)
    first, second = rendered(0, scene, noise=0.3), rendered(1, scene, noise=0.2)
    pixels, seen = ps.warp_pixels(first, second, 0.05)
    some = torch.nonzero(seen)[:: max(1, int(seen.sum()) // 40)].tolist()
    chosen = torch.zeros_like(seen)
    chosen[tuple(torch.tensor(some).T)] = True
    values = []
    for y, x in some:
        u, v = pixels[y, x].tolist()
        u0, v0 = min(int(u), 142), min(int(v), 110)
        corners = [(v0, u0, (1 - u + u0) * (1 - v + v0)), (v0, u0 + 1, (u - u0) * (1 - v + v0))]
        corners += [(v0 + 1, u0, (1 - u + u0) * (v - v0)), (v0 + 1, u0 + 1, (u - u0) * (v - v0))]
        share = [sum(w * float(second.semantics[c, r, k]) / 0.5 for r, k, w in corners) for c in range(3)]
        query = [sum(w * float(second.instances[q, r, k]) / 0.5 for r, k, w in corners) for q in range(4)]
        mine = [float(first.semantics[c, y, x]) / 0.5 for c in range(3)]
        kl = sum(p * (math.log(max(p, 1e-6)) - math.log(max(m, 1e-6))) for p, m in zip(share, mine))
        values.append(kl + sum(abs(p - float(first.instances[q, y, x]) / 0.5) for q, p in enumerate(query)))
    # Hide all other pixels of the first view: nothing is there.
    only = replace(first, depth=torch.where(chosen, first.depth, 0.0))
    assert float(ps.warp_loss(only, second)) == pytest.approx(sum(values) / len(values), abs=1e-6)


def test_consistent_labels_have_little_to_warp_and_the_other_view_is_constant():
    scene = cast(TABLE_SCENE)
    first, second = rendered(0, scene), rendered(1, scene)
    swapped = replace(first, instances=first.instances.flip(0))
    right, wrong = float(ps.warp_loss(first, second)), float(ps.warp_loss(swapped, second))
    assert wrong > right + 0.02
    parts = [rendered(0, scene, noise=0.3), rendered(1, scene, noise=0.2)]
    for part in parts:
        part.semantics.requires_grad_()
        part.instances.requires_grad_()
        part.depth.requires_grad_()
    ps.warp_loss(*parts).backward()
    assert parts[0].semantics.grad.any() and parts[0].instances.grad.any() and parts[0].depth.grad is None
    assert parts[1].semantics.grad is None and parts[1].instances.grad is None


def test_the_neighbour_is_the_nearest_view_that_sees_enough():
    scene = cast(TABLE_SCENE)
    views = [rendered(k, scene) for k in range(4)]
    assert ps.neighbour_view(views, 0, PANOPTICSPLATTING_WEIGHTS) == 1
    blind = replace(views[1], depth=torch.zeros_like(views[1].depth))
    assert ps.neighbour_view([views[0], blind, *views[2:]], 0, PANOPTICSPLATTING_WEIGHTS) == 2
    assert ps.neighbour_view(views[:1], 0, PANOPTICSPLATTING_WEIGHTS) is None


def small_view(seed=0.0, hw=(4, 5)) -> RenderedLabels:
    shares = waves(3, *hw, seed=seed + 1) + 0.2
    return RenderedLabels(
        color=waves(3, *hw, seed=seed),
        depth=1 + 0.01 * waves(*hw, seed=seed + 2),
        alpha=0.5 + 0.4 * waves(*hw, seed=seed + 3),
        semantics=0.3 * shares / shares.sum(0),
        instances=0.05 + 0.3 * waves(2, *hw, seed=seed + 4),
        intrinsics=torch.tensor([[5.0, 0, 2], [0, 5, 1.5], [0, 0, 1]]).double(),
        cam_from_world=torch.eye(4).double(),
    )


def test_the_whole_objective_adds_up_and_skips_what_has_not_started():
    view, other = small_view(), small_view(5.0)
    labels = ViewLabels(waves(3, 4, 5, seed=8), torch.arange(20).reshape(4, 5) % 4 - 1, torch.ones(1, 4, 5), torch.tensor([1]))
    match, logits = (torch.tensor([1]), torch.tensor([0])), waves(2, 3)
    losses = ps.panopticsplatting_losses(view, labels, logits, match, other)
    assert all(float(losses[name]) > 0 for name in ("color", "semantics", "instances", "warp"))
    expected = losses["color"] + losses["semantics"] + losses["instances"] + 0.1 * losses["warp"]
    torch.testing.assert_close(losses["total"], expected)
    early = ps.panopticsplatting_losses(view, labels, logits, match, other, PANOPTICSPLATTING_WEIGHTS.at(10))
    assert float(early["semantics"]) == float(early["instances"]) == float(early["warp"]) == 0
    torch.testing.assert_close(early["total"], losses["color"])


def test_gradients():
    view, other = small_view(), small_view(5.0)
    labels = ViewLabels(waves(3, 4, 5, seed=8), torch.arange(20).reshape(4, 5) % 4 - 1, torch.ones(1, 4, 5), torch.tensor([1]))
    match = (torch.tensor([1]), torch.tensor([0]))

    def total(color, semantics, instances, logits):
        changed = replace(view, color=color, semantics=semantics, instances=instances)
        return ps.panopticsplatting_losses(changed, labels, logits, match, other)["total"]

    check_gradient(total, view.color, view.semantics, view.instances, waves(2, 3))


def test_queries_hear_little_of_a_view_without_masks_and_nothing_of_one_that_says_nothing():
    view, image, nobody = small_view(), waves(3, 4, 5, seed=8), (NOTHING, NOTHING)
    labels = ViewLabels(image, torch.zeros(4, 5, dtype=torch.long), torch.zeros(0, 4, 5), NOTHING)
    logits = waves(2, 3).requires_grad_()
    losses = ps.panopticsplatting_losses(view, labels, logits, nobody, None)
    expected = 0.1 * float(-logits.detach().log_softmax(-1)[:, -1].mean())  # of an object, which has a mask, it were the whole
    assert float(losses["instances"].detach()) == pytest.approx(expected)
    silent = replace(labels, semantics=torch.full((4, 5), -1))
    assert float(ps.panopticsplatting_losses(view, silent, logits, nobody, None)["instances"]) == 0


def test_edges():
    view = small_view()
    view.semantics.requires_grad_()
    view.instances.requires_grad_()
    void = torch.full((4, 5), -1)
    assert_zero_with_gradient(ps.semantic_loss(view.semantic_shares, void), view.semantics)
    blind = replace(small_view(5.0), depth=torch.zeros(4, 5).double())
    assert_zero_with_gradient(ps.warp_loss(view, blind), view.semantics, view.instances)
    # No masks in this view: queries learn no mask, only that this view gives them no class.
    none = ps.instance_loss(view.instance_probs, torch.zeros(0, 4, 5), (NOTHING, NOTHING), (waves(2, 3), NOTHING))
    assert float(none.detach()) > 0 and not torch.autograd.grad(none, view.instances)[0].any()
    empty = ps.instance_loss(
        view.instance_probs, torch.zeros(1, 4, 5), (torch.tensor([0]), torch.tensor([0])), (waves(2, 3), torch.tensor([-1]))
    )
    assert torch.isfinite(empty)
    # Nothing to name: every query has a mask of unknown class, or there is no query at all.
    one = (torch.tensor([0]), torch.tensor([0]))
    unknown = ps.instance_loss(view.instance_probs[:1], torch.ones(1, 4, 5), one, (waves(1, 3), torch.tensor([-1])))
    bce, dice = ps.pairwise_mask_losses(view.instance_probs[:1].flatten(1), torch.ones(1, 20))
    torch.testing.assert_close(unknown, (bce + dice)[0, 0])
    nobody = ps.instance_loss(
        view.instance_probs[:0], torch.ones(1, 4, 5), (NOTHING, NOTHING), (waves(1, 3)[:0], torch.tensor([1]))
    )
    assert float(nobody.detach()) == 0
    # Where nothing was rendered alpha is 0 and nothing becomes infinite.
    bare = replace(small_view(), alpha=torch.zeros(4, 5).double(), semantics=torch.zeros(3, 4, 5).double())
    assert torch.isfinite(ps.semantic_loss(bare.semantic_shares, torch.zeros(4, 5, dtype=torch.long)))
    # Certain and wrong: bounded.
    assert torch.isfinite(ps.instance_cost(torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[1.0, 0.0]]]))).all()
