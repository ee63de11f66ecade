"""The map: probabilities against the printed formula, what labels may change, and what is refused."""

import math

import pytest
import torch
from refine_scenes import LABELS, table_map, table_views

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.losses import panopticsplatting_losses
from pan3d_core.refine.model import FEATURE_PARAMETERS, GAUSSIAN_PARAMETERS, QUERY_PARAMETERS, Block, PanopticMap, QueryGaussians
from pan3d_core.refine.rendering import RenderChoices, render_color, render_view
from pan3d_core.structures import Gaussians

LABEL_TERMS = ("semantics", "instances", "warp")


@pytest.fixture(scope="module")
def views():
    return table_views(2)[0]


def learnt(model: PanopticMap, seed: int = 0) -> PanopticMap:
    """With features as if something had been learnt."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in FEATURE_PARAMETERS:
            getattr(model, name).copy_(torch.randn(getattr(model, name).shape, generator=generator))
    return model


def test_probabilities_are_similarity_times_the_prior_over_its_peak(views):
    model = learnt(table_map(views, voxel_m=0.04))
    with torch.no_grad():
        model.query_quats_wxyz.copy_(torch.randn(model.num_queries, 4, generator=torch.Generator().manual_seed(1)))
    block = Block(torch.tensor([0, 7, 11]), torch.tensor([0, 2, 5]))
    found = model.attention(block).detach()
    model.requires_grad_(False)
    for g, i in enumerate(block.rows.tolist()):
        for c, k in enumerate(block.queries.tolist()):
            key = model.query_projection(model.query_tokens[k])
            key = (key - key.mean()) / (key.var(correction=0) + 1e-5).sqrt()
            similarity = 1 / (1 + math.exp(-float(model.instance_features[i] @ key)))
            w, x, y, z = (model.query_quats_wxyz[k] / model.query_quats_wxyz[k].norm()).tolist()
            turn = torch.tensor(
                [
                    [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                    [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                    [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
                ]
            )
            covariance = turn @ torch.diag((2 * model.query_log_scales[k]).exp()) @ turn.T
            away = model.means[i] - model.query_means[k]
            prior = math.exp(-0.5 * float(away @ torch.linalg.inv(covariance) @ away))
            assert float(found[g, c]) == pytest.approx(min(similarity * (prior + 1e-5), 1.0), rel=2e-3, abs=1e-7)


def test_the_prior_is_one_at_the_query_and_falls_with_its_size(views):
    model = table_map(views, voxel_m=0.04)
    with torch.no_grad():
        model.query_quats_wxyz[0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
        model.query_log_scales[0] = torch.tensor([0.1, 0.2, 0.4]).log()
    points = model.query_means[0].detach() + torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0, 0.2, 0], [0, 0, 0.4], [0.1, 0.2, 0.4]])
    prior = model.spatial_prior(points, torch.tensor([0]))[:, 0]
    torch.testing.assert_close(prior.detach(), torch.tensor([0.0, -0.5, -0.5, -0.5, -1.5]).exp())


@pytest.mark.parametrize("blending", ["labels", "features"])
def test_labels_never_move_a_gaussian_or_change_how_opaque_it_is(views, blending):
    model = learnt(table_map(views, voxel_m=0.03))
    choices = RenderChoices(blending=blending)
    shown = render_view(model, views[0].camera, choices)
    other = render_view(model, views[1].camera, choices, shown.queries)
    match = (torch.tensor([0]), torch.tensor([0]))
    losses = panopticsplatting_losses(shown.image, views[0].labels, model.class_logits(shown.queries), match, other.image)
    sum(losses[name] for name in LABEL_TERMS).backward(retain_graph=True)
    for name in GAUSSIAN_PARAMETERS:
        gradient = getattr(model, name).grad
        assert gradient is None or not gradient.any(), name
    for name in (*FEATURE_PARAMETERS, *QUERY_PARAMETERS):
        assert getattr(model, name).grad.any(), name
    losses["color"].backward()
    assert all(getattr(model, name).grad.any() for name in GAUSSIAN_PARAMETERS)


def test_local_attention_renders_what_global_attention_does(views):
    model = learnt(table_map(views, voxel_m=0.03))
    camera = views[0].camera
    local, everything = (render_view(model, camera, RenderChoices(attention=name)) for name in ("local", "global"))
    assert len(local.queries) <= len(everything.queries)
    torch.testing.assert_close(local.image.color, everything.image.color, rtol=0, atol=2e-3)
    torch.testing.assert_close(local.image.semantics, everything.image.semantics, rtol=0, atol=2e-3)
    columns = torch.tensor([everything.queries.tolist().index(k) for k in local.queries.tolist()])
    torch.testing.assert_close(local.image.instances, everything.image.instances[columns], rtol=0, atol=2e-3)


def test_blended_labels_are_distributions_and_need_no_second_classification(views):
    model = learnt(table_map(views, voxel_m=0.03))
    model.requires_grad_(False)
    labels = render_view(model, views[0].camera).image
    covered = labels.alpha > 0.5
    torch.testing.assert_close(labels.semantic_shares.sum(0)[covered], torch.ones(int(covered.sum())), rtol=0, atol=1e-4)
    assert float(labels.instance_probs.min()) >= 0 and float(labels.instance_probs.max()) <= 1
    features = render_view(model, views[0].camera, RenderChoices(blending="features")).image
    assert float((labels.semantic_shares - features.semantic_shares)[:, covered].abs().max()) > 0.05
    torch.testing.assert_close(labels.color, features.color)


def test_colour_alone_is_what_a_view_with_labels_shows(views):
    model = table_map(views, voxel_m=0.03)
    whole = RenderChoices(attention="global")
    color = render_color(model, views[0].camera).image
    torch.testing.assert_close(color.color, render_view(model, views[0].camera, whole).image.color)
    assert float(color.alpha.mean()) > 0.8


def test_pruned_queries_take_part_in_nothing(views):
    model = table_map(views, voxel_m=0.04)
    model.alive[1] = False
    assert 1 not in model.everything().queries.tolist()
    assert 1 not in render_view(model, views[0].camera).queries.tolist()


def test_the_same_seed_gives_the_same_map_whatever_was_drawn_before(views):
    first = table_map(views, voxel_m=0.04)
    torch.rand(100)
    second = table_map(views, voxel_m=0.04)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))


def test_what_is_refused():
    point, turn = torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    gaussians = Gaussians(point, point + 0.1, turn, torch.tensor([0.5]), point)
    queries = QueryGaussians(point, point + 0.1, turn)
    with pytest.raises(ValueError, match=r"labels: expected at least one thing"):
        PanopticMap(gaussians, queries, LabelSpace(("floor",), (False,)))
    with pytest.raises(ValueError, match=r"gaussians, queries: expected at least one of each, got 1 and 0"):
        PanopticMap(gaussians, QueryGaussians(point[:0], point[:0], turn[:0]), LABELS)
    harmonics = Gaussians(point, point + 0.1, turn, torch.tensor([0.5]), torch.zeros(1, 4, 3))
    with pytest.raises(ValueError, match=r"Gaussians.colors: expected RGB"):
        PanopticMap(harmonics, queries, LABELS)
    with pytest.raises(ValueError, match=r"RenderChoices.attention: expected one of local, global, got 'near'"):
        RenderChoices(attention="near")


def test_the_prior_stays_exact_far_from_the_origin(views):
    model = table_map(views, voxel_m=0.04)
    queries, points = torch.arange(model.num_queries), model.means.detach()[::7]
    near = model.spatial_prior(points, queries).detach()
    away = torch.tensor([400.0, -900.0, 50.0])
    with torch.no_grad():
        model.query_means += away
    far = model.spatial_prior(points + away, queries).detach()
    torch.testing.assert_close(far, near, rtol=0, atol=0.02)  # what 900 m leave of a float's digits
